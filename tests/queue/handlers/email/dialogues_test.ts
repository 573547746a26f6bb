import { ANSWER_TIMEOUT_MS } from "../../../../queue/handlers/email/smtp_server.ts";
import { understand } from "../../../../queue/handlers/email/refusal.ts";
import { assertEquals, assertMatch, ok } from "../../../support/assert.ts";
import { type Command, openDialogue } from "../../../support/http/dialogue.ts";
import { withMail } from "../../../support/http/mailing.ts";

const [A, B, C] = ["a@example.com", "b@example.com", "c@example.com"];

/** Answers the nth command of a kind, counted from 1. */
type Script = (n: number, line: string) => string | null | undefined;

const nth = (n: number, reply: string | null): Script => (count) => count === n ? reply : undefined;
const always = (reply: string | null): Script => () => reply;
const to = (address: string, reply: string | null): Script => (_, line) => line.includes(address) ? reply : undefined;

/** What a server says, and what becomes of a mailing to a, b and c. */
const DIALOGUES: {
  name: string;
  script: Partial<Record<Command, Script>>;
  status?: "FAILED";
  error?: RegExp;
  /** Of each recipient. */
  outcomes: string[];
  /** Messages that the server was given. */
  messages: number;
  attempts?: number;
}[] = [
  {
    name: "530 at MAIL FROM: a sign-in is needed",
    script: { MAIL: always("530 5.7.0 Authentication required") },
    status: "FAILED",
    error: /refuses the sender: 530 5\.7\.0 Authentication required/,
    outcomes: ["skipped", "skipped", "skipped"],
    messages: 0,
    attempts: 1,
  },
  {
    name: "535 at MAIL FROM: the sign-in is no longer valid",
    script: { MAIL: nth(2, "535 5.7.8 credentials invalid") },
    status: "FAILED",
    error: /refuses the sender: 535/,
    outcomes: ["sent", "skipped", "skipped"],
    messages: 1,
    attempts: 1,
  },
  {
    name: "553 at MAIL FROM: not your address",
    script: { MAIL: always("553 5.7.1 Sender address rejected: not owned by user") },
    status: "FAILED",
    error: /refuses the sender: 553/,
    outcomes: ["skipped", "skipped", "skipped"],
    messages: 0,
    attempts: 1,
  },
  {
    name: "550 without a code at MAIL FROM",
    script: { MAIL: always("550 go away") },
    status: "FAILED",
    error: /refuses the sender: 550 go away/,
    outcomes: ["skipped", "skipped", "skipped"],
    messages: 0,
  },
  {
    name: "552 at MAIL FROM: too large",
    script: { MAIL: always("552 5.3.4 Message size exceeds fixed limit") },
    status: "FAILED",
    error: /refuses the message: 552/,
    outcomes: ["skipped", "skipped", "skipped"],
    messages: 0,
    attempts: 1,
  },
  {
    name: "an announced SIZE that the message is over",
    script: { EHLO: always("250-mail.example\r\n250 SIZE 300") },
    status: "FAILED",
    error: /The message has \d+ bytes; the mail server takes 300\./,
    outcomes: ["skipped", "skipped", "skipped"],
    messages: 0,
    attempts: 1,
  },
  {
    name: "421 at MAIL FROM: another connection is opened",
    script: { MAIL: nth(2, "421 4.3.2 shutting down") },
    outcomes: ["sent", "sent", "sent"],
    messages: 3,
    attempts: 1,
  },
  {
    name: "421 at MAIL FROM again and again: the next attempt goes on",
    script: { MAIL: (n) => n > 1 && n < 6 ? "421 4.3.2 shutting down" : undefined },
    outcomes: ["sent", "sent", "sent"],
    messages: 3,
  },
  {
    name: "421 in answer to the message: it was not taken",
    script: { ".": nth(2, "421 4.3.0 try again later") },
    outcomes: ["sent", "sent", "sent"],
    messages: 4,
    attempts: 2,
  },
  {
    name: "452 4.3.1 at MAIL FROM: the server's disk is full for now",
    script: { MAIL: nth(1, "452 4.3.1 Insufficient system storage") },
    outcomes: ["sent", "sent", "sent"],
    messages: 3,
    attempts: 2,
  },
  {
    name: "451 at MAIL FROM",
    script: { MAIL: nth(3, "451 local error") },
    outcomes: ["sent", "sent", "sent"],
    messages: 3,
    attempts: 2,
  },
  {
    name: "550 5.1.1 at RCPT TO: this mailbox only",
    script: { RCPT: to(B, "550 5.1.1 no such user") },
    outcomes: ["sent", "bounced", "sent"],
    messages: 2,
    attempts: 1,
  },
  {
    name: "a reply of several lines at RCPT TO",
    script: { RCPT: to(B, "550-5.1.1 The account does not exist.\r\n550-5.1.1 Please check\r\n550 5.1.1 for typos") },
    outcomes: ["sent", "bounced", "sent"],
    messages: 2,
  },
  {
    name: "552 5.2.2 at RCPT TO: a full mailbox is its owner's",
    script: { RCPT: to(B, "552 5.2.2 over quota") },
    outcomes: ["sent", "bounced", "sent"],
    messages: 2,
  },
  {
    name: "550 5.7.1 at RCPT TO: this recipient takes no mail from us",
    script: { RCPT: to(B, "550 5.7.1 blocked by recipient") },
    outcomes: ["sent", "bounced", "sent"],
    messages: 2,
  },
  {
    name: "550 5.1.8 at RCPT TO: it is the sender's address that is wrong",
    script: { RCPT: to(A, "550 5.1.8 sender address has no MX") },
    status: "FAILED",
    error: /refuses the sender: 550 5\.1\.8/,
    outcomes: ["skipped", "skipped", "skipped"],
    messages: 0,
  },
  {
    name: "503 at RCPT TO: the server has lost track",
    script: { RCPT: nth(2, "503 5.5.1 bad sequence of commands") },
    outcomes: ["sent", "sent", "sent"],
    messages: 3,
    attempts: 2,
  },
  {
    name: "4.7.1 at RCPT TO: greylisted, sent later",
    script: { RCPT: nth(2, "450 4.7.1 greylisted, come back in five minutes") },
    outcomes: ["sent", "sent", "sent"],
    messages: 3,
    attempts: 1,
  },
  {
    name: "an enhanced code that is temporary beside a permanent reply code",
    script: { RCPT: nth(2, "550 4.2.1 mailbox disabled for the moment") },
    outcomes: ["sent", "sent", "sent"],
    messages: 3,
    attempts: 1,
  },
  {
    name: "554 at DATA: the content is not wanted, nobody has bounced",
    script: { ".": nth(2, "554 5.7.1 message contains spam") },
    status: "FAILED",
    error: /refuses the message: 554 5\.7\.1 message contains spam/,
    outcomes: ["sent", "skipped", "skipped"],
    messages: 2,
    attempts: 1,
  },
  {
    name: "550 at DATA that names the recipient",
    script: { ".": nth(2, `550 5.7.1 <${B}> does not accept this`) },
    outcomes: ["sent", "bounced", "sent"],
    messages: 3,
  },
  {
    name: "552 at DATA: too large after all",
    script: { ".": nth(1, "552 message too big") },
    status: "FAILED",
    error: /refuses the message: 552/,
    outcomes: ["skipped", "skipped", "skipped"],
    messages: 1,
  },
  {
    name: "451 at DATA, twice: it is sent later",
    script: { ".": (n) => n === 2 || n === 4 ? "451 not now" : undefined },
    outcomes: ["sent", "sent", "sent"],
    messages: 5,
    attempts: 1,
  },
  {
    name: "451 4.3.0 at DATA: the server is busy, and the task waits",
    script: { ".": nth(2, "451 4.3.0 queue is busy") },
    outcomes: ["sent", "sent", "sent"],
    messages: 4,
    attempts: 2,
  },
  {
    name: "no answer to the message: unknown, once",
    script: { ".": nth(2, null) },
    outcomes: ["sent", "unknown", "sent"],
    messages: 3,
    attempts: 1,
  },
  {
    name: "an answer to the message that is neither yes nor no",
    script: { ".": nth(2, "354 again") },
    outcomes: ["sent", "unknown", "sent"],
    messages: 3,
    attempts: 1,
  },
  {
    name: "550 5.7.23 at RCPT TO: SPF is the sender's",
    script: { RCPT: to(A, "550 5.7.23 SPF validation failed") },
    status: "FAILED",
    error: /refuses the sender: 550 5\.7\.23/,
    outcomes: ["skipped", "skipped", "skipped"],
    messages: 0,
  },
  {
    name: "554 at RCPT TO: whoever may not relay may not send to anyone",
    script: { RCPT: always("554 5.7.1 Relay access denied") },
    status: "FAILED",
    error: /refuses the sender: 554 5\.7\.1 Relay/,
    outcomes: ["skipped", "skipped", "skipped"],
    messages: 0,
    attempts: 1,
  },
  {
    name: "452 4.5.3 at RCPT TO: the server has had enough for now",
    script: { RCPT: nth(2, "452 4.5.3 too many recipients") },
    outcomes: ["sent", "sent", "sent"],
    messages: 3,
    attempts: 2,
  },
  {
    name: "half an answer to the message",
    script: { ".": nth(2, "250-2.0.0 tak"), QUIT: always(null) },
    outcomes: ["sent", "unknown", "sent"],
    messages: 3,
    attempts: 1,
  },
  {
    name: "a connection that closes at RCPT TO: nothing was sent, so it is sent again",
    script: { RCPT: nth(2, null) },
    outcomes: ["sent", "sent", "sent"],
    messages: 3,
    attempts: 1,
  },
  {
    name: "a connection that closes instead of 354",
    script: { DATA: nth(2, null) },
    outcomes: ["sent", "sent", "sent"],
    messages: 3,
    attempts: 1,
  },
  {
    name: "a greeting that refuses",
    script: { GREETING: (n) => n <= 3 ? "554 no mail here today" : undefined },
    outcomes: ["sent", "sent", "sent"],
    messages: 3,
  },
];

for (const { name, script, status = "SUCCESS", error, outcomes: expected, messages, attempts } of DIALOGUES) {
  Deno.test(`whose fault it is: ${name}`, async () => {
    const counts: Record<string, number> = {};
    const server = openDialogue((command, line) => {
      counts[command] = (counts[command] ?? 0) + 1;
      const reply = script[command]?.(counts[command], line);
      // A reply that is cut off: the rest never comes.
      return reply?.startsWith("250-2.0.0 tak") ? null : reply;
    });
    await withMail([`smtp://127.0.0.1:${server.port}?connections=1`], async ({ submit, ends }) => {
      const { task, outcomes } = await ends(await submit({ recipients: [A, B, C] }), 20_000);
      assertEquals(outcomes.map(([, , outcome]) => outcome), expected);
      assertEquals(task.status, status);
      if (error) assertMatch(task.error!.message, error);
      assertEquals(server.messages.length, messages);
      if (attempts) assertEquals(task.attempts.length, attempts);
      if (task.status === "SUCCESS") {
        const { sent, failed, skipped, unknown } = task.result as Record<string, number>;
        assertEquals([sent, failed, skipped, unknown], count(expected));
      }
    });
    await server.close();
  });
}

function count(outcomes: string[]): number[] {
  return ["sent", "bounced", "skipped", "unknown"].map((status) => outcomes.filter((each) => each === status).length);
}

Deno.test("a server that takes messages and never says so gets three, not all", async () => {
  const server = openDialogue((command) => command === "." ? null : undefined);
  const recipients = Array.from({ length: 50 }, (_, i) => `person${i}@example.com`);
  await withMail([`smtp://127.0.0.1:${server.port}?connections=1`], async ({ submit, ends, queue, clock }) => {
    const id = await submit({ recipients, max_failures: 20 });
    const { task, outcomes } = await ends(id, 60_000);
    assertEquals(task.status, "FAILED");
    const [, bounced, , unknown] = count(outcomes.map(([, , outcome]) => outcome));
    assertEquals([bounced, server.messages.length], [0, unknown]);
    ok(unknown <= 22, `${unknown} were sent`);
    assertMatch(task.error!.message, /^21 messages have bounced or their outcome is unknown/);
    ok(queue && clock);
  });
  await server.close();
});

Deno.test("the answer to a message is waited for as long as RFC 5321 asks", () => {
  assertEquals(ANSWER_TIMEOUT_MS, 10 * 60_000);
});

Deno.test("refusals that no server is played for", () => {
  const cases: [Parameters<typeof understand>[0], string, boolean][] = [
    [{ stage: "recipient", code: 550, words: "550 5.4.1 no route to host" }, "recipient", true],
    [{ stage: "recipient", code: 550, words: "550 5.6.7 ASCII address required" }, "recipient", true],
    [{ stage: "data", code: 554, words: "554 5.6.1 media not supported" }, "message", true],
    [{ stage: "data", code: 550, words: "550 5.2.2 mailbox full" }, "recipient", true],
    [{ stage: "data", code: 552, words: "552 5.2.3 exceeds the limit" }, "message", true],
    [{ stage: "sender", code: 550, words: "550 5.7.26 unauthenticated sender" }, "sender", true],
    [{ stage: "sender", code: 454, words: "454 4.7.0 temporary authentication failure" }, "sender", false],
    [{ stage: "sender", code: 501, words: "501 syntax error" }, "server", true],
    [{ stage: "recipient", code: 450, words: "450 mailbox busy" }, "recipient", false],
    [{ stage: "data", code: 451, words: "451 4.4.2 timeout" }, "server", false],
  ];
  for (const [reply, fault, permanent] of cases) {
    assertEquals([reply.words, understand(reply, A)], [reply.words, { fault, permanent }]);
  }
});

Deno.test("an address that is not ASCII goes to a server that says SMTPUTF8, and is skipped by one that does not", async () => {
  for (const [ehlo, outcome] of [["250-mail.example\r\n250 SMTPUTF8", "sent"], ["250 mail.example", "skipped"]]) {
    const server = openDialogue((command) => command === "EHLO" ? ehlo : undefined);
    await withMail([`smtp://127.0.0.1:${server.port}?connections=1`], async ({ submit, ends }) => {
      const { outcomes } = await ends(
        await submit({ recipients: ["josé@müller.example", "Ana <ana@müller.example>"] }),
      );
      assertEquals(outcomes.map(([, , each]) => each), [outcome, "sent"]);
      const mail = server.lines.filter((line) => line.startsWith("MAIL"));
      assertEquals(mail.map((line) => line.includes("SMTPUTF8")), outcome === "sent" ? [true, false] : [false]);
      ok(server.lines.includes("RCPT TO:<ana@xn--mller-kva.example>"));
    });
    await server.close();
  }
});
