import { parseServerUrl } from "../../../../queue/handlers/email/server_url.ts";
import { emailSending } from "../../../../queue/handlers/email_sending.ts";
import { MailTransport } from "../../../../queue/handlers/email/transport.ts";
import { Queue } from "../../../../queue/queue.ts";
import { assertEquals, assertMatch, assertThrows, ok } from "../../../support/assert.ts";
import { driven, FakeClock } from "../../../support/fake_clock.ts";
import { libraryIsQuiet, withMail, withMailbox } from "../../../support/http/mailing.ts";
import { answer, openMailbox } from "../../../support/http/smtp.ts";
import { reaches, until } from "../../../support/queue.ts";
import { listeningEnds } from "../../../../queue/watch/messages.ts";

const people = (n: number) => Array.from({ length: n }, (_, i) => `person${i}@example.com`);

Deno.test("the URL of a server says how it may be used; a wrong one is refused without being repeated", () => {
  assertEquals(parseServerUrl("smtps://me:p%40ss@mail.example?connections=2&rate=0.5&per_hour=10&per_day=100"), {
    host: "mail.example",
    port: 465,
    secure: true,
    login: { user: "me", pass: "p@ss" },
    connections: 2,
    rate: 0.5,
    limits: { perHour: 10, perDay: 100 },
  });
  assertThrows(() => parseServerUrl("smtp://user:12#s3cr3t@host"), RangeError);
  assertThrows(() => parseServerUrl("smtp://user:12?s3cr3t@host"), (error: Error) => !error.message.includes("s3cr3t"));
  for (const query of ["rate=0", "rate=fast", "connections=1.5", "per_hour=", "per_day=-1", "speed=9"]) {
    assertThrows(() => parseServerUrl(`smtp://me:s3cret@mail.example?${query}`), (error: Error) => {
      ok(error instanceof RangeError && !error.message.includes("s3cret"));
      return true;
    });
  }
});

Deno.test("several servers share a mailing; one that fails leaves its messages to the others", async () => {
  const [first, second] = [await openMailbox(), await openMailbox()];
  first.onMail = () => {
    if (first.mails.length === 3) throw answer(421, "4.3.2 shutting down");
  };
  first.onRecipient = () => {
    if (first.mails.length === 3) throw answer(421, "4.3.2 shutting down");
  };
  const servers = [first, second].map(({ port }) => `smtp://localhost:${port}?connections=1`);
  await withMail(servers, async ({ submit, ends }) => {
    const { task, log } = await ends(await submit({ recipients: people(12) }));
    assertEquals([task.status, task.attempts.length], ["SUCCESS", 1]);
    const got = [...first.mails, ...second.mails].map(({ to }) => to);
    assertEquals(got.toSorted(), people(12).toSorted());
    assertEquals(first.mails.length, 3);
    ok(log.some((line) => line.includes(`localhost:${first.port} could not be used: 421`)));
  });
  await first.close();
  await second.close();
});

Deno.test("a server is used no faster than its rate", async () => {
  const mailbox = await openMailbox();
  await withMail([`smtp://localhost:${mailbox.port}?rate=0.5`], async ({ submit, ends, clock }) => {
    const times: number[] = [];
    mailbox.onMail = () => void times.push(clock.monotonic());
    await ends(await submit({ recipients: people(5) }), 500);
    ok(times.every((time, i) => time >= i * 2_000), `${times}`);
  });
  await mailbox.close();
});

Deno.test("limits by hour and day hold over restarts, and the task says until when it waits", async () => {
  const mailbox = await openMailbox();
  const kv = await Deno.openKv(":memory:");
  // Two an hour and three a day, from ten minutes before eleven at night.
  const clock = new FakeClock(Date.UTC(2030, 0, 1, 22, 50));
  const times: number[] = [];
  mailbox.onMail = () => void times.push(clock.now());
  let id = "";
  const url = `smtp://localhost:${mailbox.port}?per_hour=2&per_day=3`;
  const run = async (work: (queue: Queue) => Promise<unknown>) => {
    const transport = new MailTransport(clock, { servers: [url], ledger: () => queue.mail });
    const queue: Queue = new Queue({ kv, clock, definitions: [emailSending(transport, clock)] });
    await queue.start();
    await driven(clock, work(queue), 1_000);
    await driven(clock, queue.stop());
    transport.close();
    await libraryIsQuiet();
  };
  await run(async (queue) => {
    const input_params = { recipients: people(5), rate_per_second: 1_000 };
    ({ task: { task: { id } } } = await queue.submit({ task_type: "email_sending", input_params }));
    await until(queue, async () => {
      const { run } = await queue.get(id);
      return /^the limit of the mail server is reached until 2030-01-01T23:00/.test(run?.message ?? "") ? true : null;
    });
  });
  assertEquals(mailbox.mails.length, 2);
  await run((queue) => reaches(queue, id, "SUCCESS", "FAILED"));
  assertEquals(times.map((time) => new Date(time).toISOString().slice(8, 13)), [
    "01T22",
    "01T22",
    "01T23",
    "02T00",
    "02T00",
  ]);
  assertEquals(mailbox.mails.map(({ to }) => to).toSorted(), people(5));
  await mailbox.close();
  kv.close();
  await listeningEnds(kv);
});

Deno.test("who is on the suppression list gets nothing, however the address is written", async () => {
  await withMailbox(async (mailbox, { queue, submit, ends }) => {
    assertEquals(
      await queue.mail.suppress(["Ana@Example.com", "ben@example.com", "ben@example.com"], "asked", "me"),
      2,
    );
    assertEquals(await queue.mail.suppress(["ana@example.com"], "again", null), 0);
    const recipients = ["ana@example.com", "BEN@example.com", "cleo@example.com"];
    const { outcomes } = await ends(await submit({ recipients }));
    assertEquals(outcomes.map(([, , outcome, words]) => [outcome, words.replace(/^250.*/, "")]), [
      ["skipped", "on the suppression list"],
      ["skipped", "on the suppression list"],
      ["sent", ""],
    ]);
    assertEquals(await queue.mail.unsuppress("ANA@example.com"), true);
    assertEquals(await queue.mail.unsuppress("ana@example.com"), false);
    await ends(await submit({ recipients }));
    assertEquals(mailbox.mails.map(({ to }) => to), ["cleo@example.com", "ana@example.com", "cleo@example.com"]);
    const { suppressions, next } = await queue.mail.suppressions(10);
    assertEquals([suppressions.map(({ address, reason, added_by }) => [address, reason, added_by]), next], [
      [["ben@example.com", "asked", "me"]],
      null,
    ]);
  });
});

Deno.test("a mailing with more failures than it may have stops", async () => {
  await withMailbox(async (mailbox, { submit, ends }) => {
    mailbox.onRecipient = (address) => {
      if (/person[1-9]/.test(address)) throw answer(550, "5.1.1 no such user");
    };
    const { task, outcomes } = await ends(await submit({ recipients: people(20), max_failures: 3 }));
    assertEquals(task.status, "FAILED");
    assertMatch(task.error!.message, /^4 messages have bounced or their outcome is unknown: 550 5\.1\.1/);
    assertEquals(outcomes.filter(([, , outcome]) => outcome === "bounced").length, 4);
    assertEquals(mailbox.mails.length, 1);
  });
});

Deno.test("a mailing to those who did not get it is a new task: the failed, and apart from them the unknown", async () => {
  await withMailbox(async (mailbox, { queue, upload, submit, ends, clock }) => {
    let strict = true;
    mailbox.onRecipient = (address) => {
      if (strict && address.startsWith("gone")) throw answer(550, "5.1.1 no such user");
    };
    mailbox.onMail = ({ to }) => {
      if (strict && to.startsWith("lost")) mailbox.hangUp();
    };
    const list = [
      "email,name,city",
      'gone@x.example,"Gone, Ann",Bonn',
      "lost@x.example,Lou,Köln",
      "ok@x.example,Olga,Ulm",
      "OK@x.example,Olga,Ulm",
      "nobody,Ned,Rom",
    ].join("\n");
    const params = {
      upload_id: await upload("l.csv", list),
      subject: "{{name}} in {{city}} ({{number}} of {{total}})",
    };
    const id = await submit(params);
    const { task } = await ends(id);
    const { sent, failed, skipped, unknown } = task.result as Record<string, number>;
    assertEquals([sent, failed, skipped, unknown], [1, 1, 2, 1]);
    strict = false;
    mailbox.mails.length = 0;

    const failedAgain = await driven(clock, queue.redo(id, "failed", "me"));
    const first = await ends(failedAgain.task.id);
    assertEquals([first.task.status, first.task.retried_from, first.task.submitted_by], ["SUCCESS", id, "me"]);
    assertEquals(mailbox.mails.map(({ to }) => to), ["gone@x.example"]);
    assertMatch(mailbox.mails[0].text, /^Subject: Gone, Ann in Bonn \(1 of 5\)\r$/m);
    assertMatch(mailbox.mails[0].messageId, new RegExp(`^<${failedAgain.task.id.toLowerCase()}\\.1@`));

    const unknownAgain = await driven(clock, queue.redo(id, "unknown"));
    await ends(unknownAgain.task.id);
    assertEquals(mailbox.mails.map(({ to }) => to), ["gone@x.example", "lost@x.example"]);
    // Asked for twice, it is done once.
    assertEquals(await driven(clock, queue.redo(id, "failed").catch((error) => error.code)), "illegal_transition");
    assertEquals(
      await driven(clock, queue.redo(first.task.id, "failed").catch((error) => error.code)),
      "illegal_transition",
    );
  });
});

Deno.test("a mailing that begins anew has new Message-IDs; one that goes on keeps them", async () => {
  await withMailbox(async (mailbox, { queue, submit, ends, clock }) => {
    mailbox.onRecipient = (address) => {
      if (mailbox.mails.length === 1 && address.startsWith("person1")) throw answer(550, "5.1.8 bad sender");
    };
    const id = await submit({ recipients: people(2) });
    assertEquals((await ends(id)).task.status, "FAILED");
    mailbox.onRecipient = () => {};
    await driven(clock, queue.retry(id, "checkpoint"));
    assertEquals((await ends(id)).task.status, "SUCCESS");
    const ids = mailbox.mails.map(({ messageId }) => messageId);
    assertEquals(ids, [1, 2].map((n) => `<${id.toLowerCase()}.${n}@a.example>`));
    const other = await submit({ recipients: ["x@example.com"], max_failures: 0 });
    mailbox.onRecipient = () => {
      throw answer(550, "5.1.1 no such user");
    };
    assertEquals((await ends(other)).task.status, "FAILED");
    mailbox.onRecipient = () => {};
    await driven(clock, queue.retry(other, "start"));
    await ends(other);
    assertEquals(mailbox.mails.at(-1)!.messageId, `<${other.toLowerCase()}.2.1@a.example>`);
  });
});
