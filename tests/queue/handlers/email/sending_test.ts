import { systemClock } from "../../../../queue/task/clock.ts";
import { parseRecipients } from "../../../../queue/handlers/email/recipients.ts";
import { fill, fillHtml, fillLine } from "../../../../queue/handlers/email/template.ts";
import { MailTransport, parseSender } from "../../../../queue/handlers/email/transport.ts";
import { emailSending } from "../../../../queue/handlers/email_sending.ts";
import { Queue } from "../../../../queue/queue.ts";
import { assertEquals, assertMatch, assertRejects, assertThrows, ok } from "../../../support/assert.ts";
import { withApp } from "../../../support/http/app.ts";
import { driven } from "../../../support/fake_clock.ts";
import { withMail, withMailbox } from "../../../support/http/mailing.ts";
import { reaches } from "../../../support/queue.ts";
import { answer, CERTIFICATE, KEY, openMailbox } from "../../../support/http/smtp.ts";
import { listeningEnds } from "../../../../queue/watch/messages.ts";

Deno.test("each message is in the outbox once, with its address, subject and a Message-ID of task and number", async () => {
  await withApp({}, async ({ submit, queue, call }) => {
    const recipients = ["ana@example.com", "ben@example.com"];
    const params = { recipients, subject: "Grüße {{number}}", body: "To {{email}}", delay_per_email: 0.5 };
    const task = await submit("email_sending", params);
    const { task: { result } } = await reaches(queue, task.id, "SUCCESS");
    assertEquals(result, {
      recipients: 2,
      sent: 2,
      failed: 0,
      skipped: 0,
      unknown: 0,
      can_be_retried: 0,
      failures: [],
    });
    const files = await queue.artifacts.list(task.id);
    assertEquals(files.map(({ name }) => name), ["0001.eml", "0002.eml", "outcomes.csv", "preview.html"]);
    const message = await (await call(`/api/tasks/${task.id}/artifacts/0002.eml`)).text();
    assertMatch(message, /^To: ben@example\.com\r$/m);
    assertMatch(message, new RegExp(`^Message-ID: <${task.id.toLowerCase()}\\.2@localhost>\r$`, "m"));
    assertMatch(message, /^Subject: =\?UTF-8\?/m);
    assertMatch(message, /To ben@example\.com/);
    const outcomes = await (await call(`/api/tasks/${task.id}/artifacts/outcomes.csv`)).text();
    assertEquals(outcomes, "number,email,outcome,words\r\n1,ana@example.com,sent,\r\n2,ben@example.com,sent,\r\n");
  });
});

Deno.test("generated addresses bounce at the given rate, and sent and failed add up", async () => {
  await withApp({}, async ({ submit, queue }) => {
    const all = await submit("email_sending", { num_emails: 3, delay_per_email: 0.5, failure_rate: 1 });
    const { task: { result } } = await reaches(queue, all.id, "SUCCESS");
    const { sent, failed, failures } = result as { sent: number; failed: number; failures: { reason: string }[] };
    assertEquals([sent, failed, failures.length], [0, 3, 3]);
    assertMatch(failures[0].reason, /^550 /);
  });
});

Deno.test("a line break in what becomes a header and a bad address are refused", async () => {
  await withApp({ worker: false }, async ({ send }) => {
    for (
      const [params, pointer] of [
        [{ subject: "a\r\nBcc: b@example.com" }, "subject"],
        [{ recipients: ["a@example.com\r\nBcc: b@example.com"] }, "recipients/0"],
        [{ recipients: ["nobody"] }, "recipients/0"],
        [{ reply_to: "a@example.com\nBcc: b@example.com" }, "reply_to"],
        [{ list_unsubscribe: "https://a.example/\r\nBcc: b@example.com" }, "list_unsubscribe"],
        [{ list_unsubscribe: "javascript:alert(1)" }, "list_unsubscribe"],
      ] as const
    ) {
      const answer = await send("POST", "/api/tasks/submit", { task_type: "email_sending", input_params: params });
      assertEquals([answer.status, (await answer.json()).errors[0].pointer], [422, `/input_params/${pointer}`]);
    }
  });
});

Deno.test("templates fill in text, HTML and headers, each in its own way", () => {
  const values = { a: "1", "first name": "<b>&'\"", c: "x\r\nBcc: y" };
  assertEquals(fill("{{a}} {{ first name }} {{d}} {{toString}}", values), "1 <b>&'\" {{d}} {{toString}}");
  assertEquals(fillHtml("<p>{{first name}}</p>", values), "<p>&lt;b&gt;&amp;&#39;&quot;</p>");
  assertEquals(fillLine("{{c}}", values), "x Bcc: y");
});

Deno.test("a list is read in any of its dialects; what is none is refused with its reason", async () => {
  assertEquals(await parseRecipients(new TextEncoder().encode("\ufeffE-Mail;name\r\n a@b.de ;Ana\r\n")), [{
    email: "a@b.de",
    to: { name: "Ana", address: "a@b.de" },
    values: { "E-Mail": " a@b.de ", name: "Ana", email: "a@b.de" },
    fault: null,
  }]);
  const latin = Uint8Array.from("email,name\na@b.de,J\xfcrg\n", (character) => character.charCodeAt(0));
  assertEquals((await parseRecipients(latin))[0].values.name, "Jürg");
  for (
    const [text, complaint] of [
      ["mail\na@b.de\n", /no column named email/],
      ["email\n", /has 0 rows/],
    ] as const
  ) {
    await assertRejects(parseRecipients(new TextEncoder().encode(text)), complaint);
  }
});

Deno.test("a sender is a name and an address", () => {
  assertEquals(parseSender('"Mill, Race" <m@a.example>'), { name: "Mill, Race", address: "m@a.example" });
  assertEquals(parseSender("m@a.example"), { name: "", address: "m@a.example" });
  for (const text of ["", "nobody", "a@b <c@d>\r\nBcc: x@y", "<>"]) assertThrows(() => parseSender(text), RangeError);
});

Deno.test("a mailing by SMTP fills in text, subject and HTML from the list, and carries its attachments", async () => {
  await withMailbox(async (mailbox, { upload, submit, ends }) => {
    const upload_id = await upload(
      "list.csv",
      'email,name\nana@example.com,"Ana <b>"\nnobody,Ben\nben@example.com,"Ben\r\nBcc: evil@example.com"\n',
    );
    const id = await submit({
      upload_id,
      subject: "Dear {{name}}",
      body: "Hello {{name}}, {{number}} of {{total}}",
      html: "<p>Hello {{name}}</p>",
      attachments: [await upload("grüße.csv", "a,b\n1,2\n")],
      reply_to: "answers@a.example",
      list_unsubscribe: "https://a.example/leave?who={{email}}",
    });
    const { task, outcomes } = await ends(id);
    assertEquals(task.result, {
      recipients: 3,
      sent: 2,
      failed: 0,
      skipped: 1,
      unknown: 0,
      can_be_retried: 0,
      failures: [{ email: "nobody", outcome: "skipped", reason: "not an address" }],
    });
    assertEquals(mailbox.mails.map(({ to }) => to), ["ana@example.com", "ben@example.com"]);
    const [ana, ben] = mailbox.mails.map(({ text }) => text);
    assertMatch(ana, /^Subject: Dear Ana <b>\r$/m);
    assertMatch(ana, /Hello Ana <b>, 1 of 3/);
    assertMatch(ana, /<p>Hello Ana &lt;b&gt;<\/p>/);
    assertMatch(ana, /filename\*0\*=utf-8''gr%C3%BC%C3%9Fe\.csv/);
    assertMatch(ana, new RegExp(btoa("a,b\n1,2\n")));
    assertMatch(ana, /^From: Mill <mill@a\.example>\r$/m);
    assertMatch(ana, /^Reply-To: answers@a\.example\r$/m);
    assertMatch(ana, /^To: "Ana <b>" <ana@example\.com>\r$/m);
    assertMatch(ana, /^List-Unsubscribe: <https:\/\/a\.example\/leave\?who=ana%40example\.com>\r$/m);
    assertMatch(ana, /^List-Unsubscribe-Post: List-Unsubscribe=One-Click\r$/m);
    assertMatch(ben, /^Subject: Dear Ben Bcc: evil@example\.com\r$/m);
    assertEquals(/^Bcc:/mi.test(ben.split("\r\n\r\n")[0]), false);
    assertEquals(mailbox.mails[1].messageId, `<${id.toLowerCase()}.3@a.example>`);
    assertEquals(outcomes.map(([, email, outcome]) => [email, outcome]), [
      ["ana@example.com", "sent"],
      ["nobody", "skipped"],
      ["ben@example.com", "sent"],
    ]);
  });
});

Deno.test("5xx is recorded with the server's words; 4xx is tried again later, until it is taken or given up", async () => {
  await withMailbox(async (mailbox, { submit, ends }) => {
    const tries = new Map<string, number>();
    mailbox.onRecipient = (address) => {
      const count = (tries.get(address) ?? 0) + 1;
      tries.set(address, count);
      if (address === "gone@example.com") throw answer(550, "5.1.1 no such user here");
      if (address === "grey@example.com" && count < 3) throw answer(451, "4.7.1 come back later");
      if (address === "full@example.com") throw answer(452, "4.2.2 mailbox full");
    };
    mailbox.onMail = ({ to }) => {
      if (to === "late@example.com") throw answer(550, "5.1.1 <late@example.com> is not known after all");
    };
    const names = ["gone", "grey", "full", "late", "good"];
    const { task, outcomes } = await ends(
      await submit({ recipients: names.map((name) => `${name}@example.com`) }),
      20_000,
    );
    assertEquals(task.status, "SUCCESS");
    assertEquals(outcomes.map(([, , outcome, words]) => [outcome, words.replace(/^sent.*|^250.*/, "")]), [
      ["bounced", "550 5.1.1 no such user here"],
      ["sent", ""],
      ["bounced", "452 4.2.2 mailbox full"],
      ["bounced", "550 5.1.1 <late@example.com> is not known after all"],
      ["sent", ""],
    ]);
    assertEquals(Object.fromEntries(tries), {
      "gone@example.com": 1,
      "grey@example.com": 3,
      "full@example.com": 5,
      "late@example.com": 1,
      "good@example.com": 1,
    });
    assertEquals((task.result as { sent: number; failed: number }).failed, 3);
    // It waited as long as it said: 30 s, 2 min, 8 min and 32 min.
    ok(task.completed_at! - task.started_at! >= 2_550_000);
  });
});

Deno.test("trouble with the server is no fault of a recipient: the attempt fails, and the next goes on where it was", async () => {
  await withMailbox(async (mailbox, { submit, ends }) => {
    let down = false;
    mailbox.onMail = ({ to }) => {
      if (to !== "c@example.com" || down) return;
      down = true;
      throw answer(421, "4.3.2 shutting down");
    };
    const recipients = ["a", "b", "c", "d"].map((name) => `${name}@example.com`);
    const { task, outcomes } = await ends(await submit({ recipients }));
    assertEquals([task.status, task.attempts.map(({ outcome }) => outcome)], ["SUCCESS", ["failed", "success"]]);
    assertMatch(task.attempts[0].error!.message, /could not be used: 421 4\.3\.2 shutting down/);
    assertEquals(mailbox.mails.map(({ to }) => to), recipients);
    assertEquals(outcomes.map(([, , outcome]) => outcome), ["sent", "sent", "sent", "sent"]);
  });
});

Deno.test("a cancelled mailing says exactly who got it, and whose message was on the wire", async () => {
  await withMailbox(async (mailbox, { queue, clock, submit, ends }) => {
    let release: () => void = () => {};
    let arrived: () => void = () => {};
    const held = new Promise<void>((resolve) => release = resolve);
    const onTheWire = new Promise<void>((resolve) => arrived = resolve);
    mailbox.onMail = async ({ to }) => {
      if (to !== "b@example.com") return;
      arrived();
      await held;
    };
    const id = await submit({ recipients: ["a@example.com", "b@example.com", "c@example.com"] });
    await driven(clock, onTheWire);
    await driven(clock, queue.cancel(id));
    const { task, outcomes } = await ends(id);
    assertEquals(task.status, "CANCELLED");
    assertEquals(outcomes.map(([, email, outcome, words]) => [email, outcome, words.replace(/^250.*/, "")]), [
      ["a@example.com", "sent", ""],
      ["b@example.com", "unknown", "was on its way when the task was stopped"],
      ["c@example.com", "skipped", "had not been sent when the task was stopped"],
    ]);
    release();
  });
});

Deno.test("a message that the server had when the connection broke is unknown, and never sent again unasked", async () => {
  await withMailbox(async (mailbox, { submit, ends }) => {
    mailbox.onMail = ({ to }) => {
      if (to === "b@example.com") mailbox.hangUp();
    };
    const recipients = ["a@example.com", "b@example.com", "c@example.com"];
    const { task, outcomes } = await ends(await submit({ recipients }));
    assertEquals(task.attempts.map(({ outcome }) => outcome), ["success"]);
    assertEquals(mailbox.mails.map(({ to }) => to), recipients);
    assertEquals(outcomes.map(([, , outcome]) => outcome), ["sent", "unknown", "sent"]);
    assertEquals((task.result as { unknown: number }).unknown, 1);
  });
});

Deno.test("250 recipients take three pages, and a stop at the end of a page sends nobody a second mail", async () => {
  const mailbox = await openMailbox();
  const kv = await Deno.openKv(":memory:");
  const transport = new MailTransport(systemClock, { servers: [`smtp://localhost:${mailbox.port}?connections=1`] });
  const definitions = [emailSending(transport, systemClock)];
  const list = `email\n${Array.from({ length: 250 }, (_, i) => `person${i}@example.com`).join("\n")}\n`;
  let queue = new Queue({ kv, definitions });
  await queue.start();
  const { id: upload_id } = await queue.uploads.store("l.csv", "text/csv", new Blob([list]).stream(), 1e6);
  const input_params = { upload_id, rate_per_second: 1_000 };
  const { task: { task: { id } } } = await queue.submit({ task_type: "email_sending", input_params });
  for (const at of [99, 100, 199]) {
    const stopped = new Promise<void>((resolve) => {
      mailbox.onMail = () => {
        if (mailbox.mails.length === at) resolve(queue.stop());
      };
    });
    await stopped;
    queue = new Queue({ kv, definitions });
    mailbox.onMail = () => {};
    await queue.start();
  }
  const { task } = await reaches(queue, id, "SUCCESS", "FAILED");
  assertEquals([task.status, (task.result as { sent: number }).sent, mailbox.mails.length], ["SUCCESS", 250, 250]);
  assertEquals(new Set(mailbox.mails.map(({ to }) => to)).size, 250);
  await queue.stop();
  transport.close();
  await mailbox.close();
  kv.close();
  await listeningEnds(kv);
});

Deno.test("a preview keeps the first message and sends none", async () => {
  await withMailbox(async (mailbox, { queue, submit, upload, ends }) => {
    const upload_id = await upload("l.csv", "email,name\nnobody,A\nana@example.com,Ana\n");
    const id = await submit({ upload_id, subject: "Dear {{name}}", dry_run: true });
    const { task } = await ends(id);
    assertEquals(task.result, { dry_run: true, recipients: 2, skipped: 1, sent: 0 });
    assertEquals(mailbox.mails.length, 0);
    const preview = await new Response((await queue.artifacts.open(id, "preview.eml")).read()).text();
    assertMatch(preview, /^To: Ana <ana@example\.com>\r$/m);
    assertMatch(preview, /^Subject: Dear Ana\r$/m);
  });
});

Deno.test("a field that nothing fills in is refused at submit; with a list, before anything is sent", async () => {
  await withMailbox(async (mailbox, { submit, upload, ends }) => {
    const message = "There is no value for {{e_mial}}. Did you mean {{email}}? Available: email, number, total.";
    await assertRejects(submit({ recipients: ["a@example.com"], body: "Hello {{e_mial}}" }), (error: Error) => {
      assertEquals((error as unknown as { issues: unknown }).issues, [{
        pointer: "/input_params/body",
        detail: message,
      }]);
      return true;
    });
    const upload_id = await upload("l.csv", "email,First Name\nana@example.com,Ana\n");
    const { task } = await ends(await submit({ upload_id, subject: "Dear {{first_name}}" }));
    assertEquals([task.error!.code, task.error!.message], [
      "non_retryable",
      "There is no value for {{first_name}}. Did you mean {{First Name}}? Available: email, First Name, number, total.",
    ]);
    assertEquals(mailbox.mails, []);
  });
});

const TLS = { key: KEY, cert: CERTIFICATE, disabledCommands: ["AUTH"] };

Deno.test("a server whose certificate is not trusted gets nothing, by STARTTLS or TLS; a trusted one does", async () => {
  await withMailbox(
    async (mailbox, { submit, ends }) => {
      const { task } = await ends(await submit({ recipients: ["a@example.com"] }));
      assertEquals([task.status, mailbox.mails.length], ["FAILED", 0]);
      assertMatch(task.error!.message, /could not be used: .*(self.signed|UnknownIssuer|certificate)/i);
    },
    {},
    TLS,
  );
  await withMailbox(
    async (mailbox, { submit, ends }) => {
      const { task } = await ends(await submit({ recipients: ["a@example.com"] }));
      assertEquals([task.status, mailbox.mails.length], ["SUCCESS", 1]);
    },
    { ca: CERTIFICATE },
    TLS,
  );
});

Deno.test("a password goes over TLS only, and is in no error", async () => {
  const mailbox = await openMailbox({ disabledCommands: ["STARTTLS"], authOptional: true });
  await withMail([`smtp://me:s3cret-word@localhost:${mailbox.port}`], async ({ submit, ends }) => {
    const { task, log } = await ends(await submit({ recipients: ["a@example.com"] }));
    assertMatch(task.error!.message, /could not be used/);
    assertEquals([JSON.stringify([task, log]).includes("s3cret"), mailbox.mails.length], [false, 0]);
  });
  await mailbox.close();
});

Deno.test("a stop of the service waits for the answer to the message that is on its way, and nobody gets it twice", async () => {
  const mailbox = await openMailbox();
  const kv = await Deno.openKv(":memory:");
  const transport = new MailTransport(systemClock, { servers: [`smtp://localhost:${mailbox.port}?connections=1`] });
  const definitions = [emailSending(transport, systemClock)];
  const first = new Queue({ kv, definitions });
  await first.start();
  let stopping: Promise<void> | undefined;
  mailbox.onMail = () => {
    if (mailbox.mails.length === 5) stopping ??= first.stop();
  };
  const recipients = Array.from({ length: 10 }, (_, i) => `person${i}@example.com`);
  const input_params = { recipients, rate_per_second: 1_000 };
  const { task: { task: { id } } } = await first.submit({ task_type: "email_sending", input_params });
  while (!stopping) await reaches(first, id, "RUNNING", "PENDING");
  await stopping;
  const second = new Queue({ kv, definitions });
  await second.start();
  const { task } = await reaches(second, id, "SUCCESS", "FAILED");
  assertEquals(task.attempts.map(({ outcome }) => outcome), ["interrupted", "success"]);
  assertEquals(mailbox.mails.map(({ to }) => to), recipients);
  await second.stop();
  transport.close();
  await mailbox.close();
  kv.close();
  await listeningEnds(kv);
});
