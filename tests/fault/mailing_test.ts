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

for (const [moment, killAt] of [["RCPT", 1], ["DATA", 37], ["RCPT", 62], ["DATA", 88]] as const) {
  Deno.test(`a mailing killed at ${moment} of its mail ${killAt} goes on: nobody has it twice, and who was under way is named`, async () => {
    const mailbox = await openMailbox();
    await withDirectory(async (directory) => {
      const url = `smtp://127.0.0.1:${mailbox.port}`;
      const env = { KV_PATH: `${directory}/kv.db`, SMTP_URL: url };
      const first = await startServer(env);
      let dead: Promise<unknown> | undefined;
      // At RCPT the message has not been sent yet; at DATA the server has it and is about to say so.
      mailbox[moment === "RCPT" ? "onRecipient" : "onMail"] = () => {
        if (mailbox.mails.length >= killAt) dead ??= first.end("SIGKILL");
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
      const { sent, failed, skipped, unknown } = result;
      assertEquals([status, sent + unknown, failed, skipped], ["SUCCESS", 100, 0, 0]);
      // Five are on their way at most, and ten more are about to be.
      ok(unknown <= 15, `${unknown} are unknown`);
      const got = mailbox.mails.map(({ to }) => to);
      assertEquals(new Set(got).size, got.length);
      const csv = await (await fetch(`${second.origin}/api/tasks/${id}/artifacts/outcomes.csv`)).text();
      const rows = parse(csv, { skipFirstRow: true });
      assertEquals(rows.map(({ email }) => email), RECIPIENTS);
      for (const { email, outcome } of rows) {
        ok(outcome === "unknown" || got.includes(email), `${email} is ${outcome} and has nothing`);
      }
      assertEquals(rows.filter(({ outcome }) => outcome === "unknown").length, unknown);
      console.log(`${unknown} unknown, ${got.length} delivered`);
      await second.end("SIGTERM");
    });
    await mailbox.close();
  });
}
