import { fill } from "../../../queue/handlers/email_sending.ts";
import { assertEquals, assertMatch } from "../../support/assert.ts";
import { withApp } from "../../support/app.ts";
import { reaches } from "../../support/queue.ts";

Deno.test("each message is in the outbox once, with its address, subject and a Message-ID of task and number", async () => {
  await withApp({}, async ({ submit, queue, call }) => {
    const recipients = ["ana@example.com", "ben@example.com"];
    const subject = "Grüße {{number}}";
    const params = { recipients, subject, body: "To {{email}}, {{unknown}}", delay_per_email: 0.5 };
    const task = await submit("email_sending", params);
    const { task: { result } } = await reaches(queue, task.id, "SUCCESS");
    assertEquals(result, { sent: 2, failed: 0, failures: [] });
    const files = await queue.artifacts(task.id);
    assertEquals(files.map(({ name }) => name), ["0001.eml", "0002.eml"]);
    const message = await (await call(`/api/tasks/${task.id}/artifacts/0002.eml`)).text();
    assertMatch(message, /^To: ben@example\.com\r$/m);
    assertMatch(message, new RegExp(`^Message-ID: <${task.id.toLowerCase()}\\.2@millrace\\.localhost>\r$`, "m"));
    assertMatch(message, /^Subject: =\?UTF-8\?/m);
    assertMatch(message, /To ben@example\.com, \{\{unknown\}\}/);
  });
});

Deno.test("made-up addresses bounce at the given rate, and sent and failed add up", async () => {
  await withApp({}, async ({ submit, queue }) => {
    const all = await submit("email_sending", { num_emails: 3, delay_per_email: 0.5, failure_rate: 1 });
    const { task: { result } } = await reaches(queue, all.id, "SUCCESS");
    const { sent, failed, failures } = result as { sent: number; failed: number; failures: { reason: string }[] };
    assertEquals([sent, failed, failures.length], [0, 3, 3]);
    assertMatch(failures[0].reason, /^550 /);
    assertEquals(await queue.artifacts(all.id), []);
  });
});

Deno.test("a line break in a subject and a bad address are refused", async () => {
  await withApp({ worker: false }, async ({ send }) => {
    for (
      const params of [
        { subject: "a\r\nBcc: b@example.com" },
        { recipients: ["a@example.com\r\nBcc: b@example.com"] },
        {
          recipients: ["nobody"],
        },
      ]
    ) {
      const answer = await send("POST", "/api/tasks/submit", { task_type: "email_sending", input_params: params });
      assertEquals(answer.status, 422);
      await answer.body?.cancel();
    }
  });
});

Deno.test("templates fill in what they know and leave the rest", () => {
  assertEquals(fill("{{a}} {{ b }} {{c}}", { a: 1, b: "two" }), "1 two {{c}}");
});

Deno.test("a list of recipients comes from an uploaded CSV; its columns fill in, and no value begins a header", async () => {
  await withApp({}, async ({ submit, queue, call }) => {
    const list = 'email,name\nana@example.com,"Ana\r\nBcc: evil@example.com"\nnobody,Ben\n';
    const { upload_id } = await (await call("/api/uploads?name=list.csv", { method: "POST", body: list })).json();
    const params = { upload_id, subject: "Dear {{name}}", body: "Hello {{name}}", delay_per_email: 0.5 };
    const task = await submit("email_sending", params);
    const { task: { result } } = await reaches(queue, task.id, "SUCCESS");
    assertEquals(result, { sent: 1, failed: 1, failures: [{ email: "nobody", reason: "not an address" }] });
    const message = await (await call(`/api/tasks/${task.id}/artifacts/0001.eml`)).text();
    const [head] = message.split("\r\n\r\n");
    assertMatch(head, /^Subject: Dear Ana Bcc: evil@example\.com\r$/m);
    assertEquals(/^Bcc:/mi.test(head), false);
  });
});

Deno.test("a list without a column email fails at once and says so", async () => {
  await withApp({}, async ({ submit, queue, call }) => {
    const { upload_id } = await (await call("/api/uploads?name=l.csv", { method: "POST", body: "mail\na@b.de\n" }))
      .json();
    const task = await submit("email_sending", { upload_id });
    const { task: { status, error } } = await reaches(queue, task.id, "FAILED", "SUCCESS");
    assertEquals([status, error?.message], ["FAILED", "The list has no column named email."]);
  });
});
