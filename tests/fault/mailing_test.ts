import { parse } from "@std/csv";
import { assertEquals, ok } from "../support/assert.ts";
import { withDirectory } from "../support/directory.ts";
import { startServer } from "../support/http/server.ts";
import { openMailbox } from "../support/http/smtp.ts";

const RECIPIENTS = Array.from({ length: 100 }, (_, i) => `person${String(i).padStart(3, "0")}@example.com`);

/** Waits for the end of a task by its event stream. */
async function ended(origin: string, id: string): Promise<{ status: string; result: Record<string, number> }> {
  const events = await fetch(`${origin}/api/tasks/${id}/events`, { headers: { Accept: "text/event-stream" } });
  await events.text();
  return await (await fetch(`${origin}/api/tasks/${id}`)).json();
}

for (const [moment, killAt] of [["RCPT", 1], ["DATA", 37], ["RCPT", 62], ["DATA", 99]] as const) {
  Deno.test(`a mailing killed at ${moment} of its mail ${killAt} goes on: each has it once, but for the one at the kill`, async () => {
    const mailbox = await openMailbox();
    await withDirectory(async (directory) => {
      const env = { KV_PATH: `${directory}/kv.db`, SMTP_URL: `smtp://127.0.0.1:${mailbox.port}` };
      const first = await startServer(env);
      let dead: Promise<unknown> | undefined;
      // At RCPT the message has not been sent yet; at DATA the server has it and is about to say so.
      mailbox[moment === "RCPT" ? "onRecipient" : "onMail"] = () => {
        if (mailbox.mails.length === killAt) dead ??= first.end("SIGKILL");
      };
      const list = ["email,name", ...RECIPIENTS.map((email, i) => `${email},Person ${i}`)].join("\n");
      const upload = await fetch(`${first.origin}/api/uploads?name=list.csv`, { method: "POST", body: list });
      const { upload_id } = await upload.json();
      const input_params = { upload_id, subject: "Dear {{name}}", rate_per_second: 1_000 };
      const submit = await fetch(`${first.origin}/api/tasks/submit`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ task_type: "email_sending", input_params }),
      });
      const { id } = await submit.json();
      await ended(first.origin, id).then(() => ok(false, "it ended before it was killed"), () => {});
      await dead;
      mailbox.onMail = mailbox.onRecipient = () => {};

      const second = await startServer(env);
      const { status, result } = await ended(second.origin, id);
      assertEquals([status, result.sent, result.failed, result.skipped], ["SUCCESS", 100, 0, 0]);
      const got = Object.groupBy(mailbox.mails, ({ to }) => to);
      assertEquals(Object.keys(got).sort(), RECIPIENTS);
      const twice = Object.values(got).filter((mails) => mails!.length > 1);
      ok(twice.length <= 1, `${twice.length} recipients have it more than once`);
      if (twice.length === 1) {
        const [mails] = twice as [typeof mailbox.mails];
        // The two say that they are one: by the Message-ID that comes of task and number.
        assertEquals([mails.length, new Set(mails.map(({ messageId }) => messageId)).size], [2, 1]);
        console.log(`${mails[0].to} has it twice: the kill fell between the server's answer and its record`);
      } else console.log("each has it once: the kill fell before the server's answer, or after its record");
      const csv = await (await fetch(`${second.origin}/api/tasks/${id}/artifacts/outcomes.csv`)).text();
      const rows = parse(csv, { skipFirstRow: true }) as Record<string, string>[];
      assertEquals(rows.map(({ email, outcome }) => [email, outcome]), RECIPIENTS.map((email) => [email, "sent"]));
      await second.end("SIGTERM");
    });
    await mailbox.close();
  });
}
