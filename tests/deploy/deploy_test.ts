/**
 * The service on an emulated Deno Deploy: instances live for twenty seconds, and only when someone asks or the minute is
 * full. All that was submitted ends, and nothing happens twice.
 */

import { encode } from "../../queue/handlers/image/encode.ts";
import { createHandlers } from "../../queue/handlers/mod.ts";
import { Queue } from "../../queue/queue.ts";
import { checkStore } from "../../queue/tools/check.ts";
import { systemClock } from "../../queue/task/clock.ts";
import { statusOf, type TaskState } from "../../queue/task/record.ts";
import { assertEquals, ok } from "../support/assert.ts";
import { findChromium, launchOptions } from "../support/browser.ts";
import { openMailbox } from "../support/http/smtp.ts";
import { DENOKV, STORES } from "../support/kv/stores.ts";
import { OLD_DENO, OLD_VERSION } from "../support/old_deno.ts";
import { reaches } from "../support/queue.ts";
import { Platform } from "./platform.ts";
import { chromium } from "playwright-core";
import { paint } from "../support/images/run.ts";

const TOKEN = "an-operator-token-of-the-test";
const CSV_BYTES = 50_000_000;
const PHOTOS = 20;
const RECIPIENTS = 100;

const missing = !DENOKV ? "denokv" : !OLD_DENO ? `Deno ${OLD_VERSION}` : null;
if (missing) console.warn(`Skipped for want of ${missing}: the emulation of Deno Deploy.`);

/** Calls the app as a patient client does: again, with the same key, when an instance has gone. */
async function call(origin: string, path: string, init: RequestInit & { body?: BodyInit } = {}): Promise<unknown> {
  const key = crypto.randomUUID();
  for (let tries = 0;; tries++) {
    try {
      const answer = await fetch(origin + path, {
        ...init,
        headers: { Authorization: `Bearer ${TOKEN}`, "Idempotency-Key": key, ...init.headers },
      });
      const text = await answer.text();
      if (answer.ok) return JSON.parse(text);
      if (answer.status !== 503 || tries > 1_000) throw new Error(`${answer.status}: ${text}`);
    } catch (error) {
      // The connection broke: its instance has gone.
      if (!(error instanceof TypeError) || tries > 20) throw error;
    }
  }
}

const submit = async (origin: string, body: Record<string, unknown>) => {
  const headers = { "Content-Type": "application/json" };
  const task = await call(origin, "/api/tasks/submit", { method: "POST", body: JSON.stringify(body), headers });
  return (task as { id: string }).id;
};

const upload = async (origin: string, name: string, body: Uint8Array<ArrayBuffer>) => {
  const answer = await call(origin, `/api/uploads?name=${name}`, { method: "POST", body });
  return (answer as { upload_id: string }).upload_id;
};

/** A CSV of about so many bytes, and its number of rows. */
function csvOf(bytes: number): { file: Uint8Array<ArrayBuffer>; rows: number } {
  const lines = ["id,name,amount,day"];
  let size = 0;
  for (let i = 0; size < bytes; i++) {
    const line = `${i},name ${i % 977},${(i * 37 % 100_000) / 100},2026-01-${String(i % 28 + 1).padStart(2, "0")}`;
    lines.push(line);
    size += line.length + 1;
  }
  return { file: new TextEncoder().encode(lines.join("\n") + "\n"), rows: lines.length - 1 };
}

/** A picture with some detail. */
const picture = (seed: number) => paint(640, 480, (x, y) => [x * seed & 255, y & 255, (x ^ y) & 255, 255]);

Deno.test({
  name: "on an emulated Deno Deploy everything ends, nothing happens twice, and the page comes back by itself",
  ignore: missing !== null,
  // Playwright keeps a pipe to the browser and timers of its own.
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    const store = await STORES["over KV Connect"]!();
    const mailbox = await openMailbox();
    const platform = new Platform(store, [OLD_DENO!, Deno.execPath()], {
      API_TOKENS: `app:operator:${TOKEN}`,
      SMTP_URL: `smtp://127.0.0.1:${mailbox.port}`,
    });
    const handlers = createHandlers(systemClock);
    // What looks at the store is no instance that works.
    const watcher = new Queue({
      kv: store.kv,
      definitions: handlers.definitions,
      distributed: true,
      worker: false,
      lanes: 1,
    });
    await watcher.start();
    try {
      const { origin } = platform;
      const chromiumPath = findChromium();
      const browser = chromiumPath ? await chromium.launch(launchOptions(chromiumPath)) : null;
      const page = await browser?.newPage();
      await page?.goto(`${origin}/login`);
      await page?.fill("[name=token]", TOKEN);
      await page?.click("button[type=submit]");
      await page?.locator(".pill.live").waitFor();

      const csv = csvOf(CSV_BYTES);
      const upload_id = await upload(origin, "rows.csv", csv.file);
      const photos = [];
      for (let i = 0; i < PHOTOS; i++) {
        photos.push(await upload(origin, `${i}.jpg`, await encode(picture(i), "jpeg", 90)));
      }
      const recipients = Array.from({ length: RECIPIENTS }, (_, i) => `r${i}@example.com`);
      const started = Date.now();
      const ids = {
        csv: await submit(origin, { task_type: "csv_processing", input_params: { upload_id } }),
        // Longer than an instance lives.
        mail: await submit(origin, {
          task_type: "email_sending",
          input_params: { recipients, subject: "Hello", body: "World", rate_per_second: 4 },
        }),
        images: await submit(origin, {
          task_type: "image_processing",
          input_params: { upload_ids: photos, target_width: 200, target_height: 150, format: "webp" },
        }),
      };
      const schedule = await call(origin, "/api/schedules", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({
          cron: "* * * * *",
          task_type: "csv_processing",
          input_params: { num_rows: 100, processing_time: 5 },
        }),
      }) as { id: string };

      const ends = (id: string) => reaches(watcher, id, "SUCCESS", "FAILED", "CANCELLED");
      const [csvTask, mailTask, imageTask] = await Promise.all(Object.values(ids).map(ends));
      const outcome = ({ task }: TaskState) => [task.status, task.error?.message];
      assertEquals([csvTask, mailTask, imageTask].map(outcome), [
        ["SUCCESS", undefined],
        ["SUCCESS", undefined],
        ["SUCCESS", undefined],
      ]);
      assertEquals((csvTask.task.result as { rows: number }).rows, csv.rows);
      assertEquals(mailbox.mails.map(({ to }) => to).sort(), recipients.toSorted());
      assertEquals(
        (await watcher.artifacts.list(ids.images)).filter(({ name }) => name.endsWith(".webp")).length,
        PHOTOS,
      );
      ok(mailTask.task.attempts.length > 1, "the mailing outlived an instance");
      // An instance dies without a word: another takes over what it held.
      const held = await submit(origin, {
        task_type: "csv_processing",
        input_params: { num_rows: 100, processing_time: 5 },
      });
      await reaches(watcher, held, "RUNNING");
      platform.crash();
      // Someone looks at the page.
      await call(origin, "/api/me");
      const taken = await ends(held);
      const outcomes = taken.task.attempts.map(({ outcome }) => outcome);
      assertEquals([taken.task.status, outcomes[0], outcomes.at(-1)], ["SUCCESS", "interrupted", "success"]);
      // The page has followed over all these instances.
      for (const id of Object.values(ids)) {
        await page?.locator(`tr[data-id="${id}"] .status`, { hasText: "Success" }).waitFor();
      }
      await browser?.close();

      // From here on nobody asks: only the cron starts an instance.
      await platform.asleep();
      const before = platform.starts.request;
      const { task: { task: { id } } } = await watcher.submit({
        task_type: "csv_processing",
        input_params: { num_rows: 100, processing_time: 10 },
        run_at: Date.now() + 1_000,
      });
      assertEquals(statusOf(await ends(id)), "SUCCESS");
      assertEquals([platform.starts.request, platform.starts.cron > 0], [before, true]);

      await watcher.schedules.delete(schedule.id);
      const { states } = await watcher.list({ task_types: ["csv_processing"] }, 100);
      const ticks = states.filter(({ task }) => task.schedule_id === schedule.id);
      await Promise.all(ticks.map(({ task }) => ends(task.id)));
      const minutes = ticks.map(({ task }) => Math.floor(task.created_at / 60_000));
      ok(ticks.length > 0 && ticks.length <= Math.ceil((Date.now() - started) / 60_000), `${ticks.length} ticks`);
      assertEquals(new Set(minutes).size, ticks.length, "no tick came twice");
      assertEquals(platform.killed, 0, "each instance has handed over what it held within five seconds");
      ok(!/unhandled|Uncaught|panic/i.test(platform.output), platform.output.slice(-5_000));
    } finally {
      await platform.close();
      await watcher.stop();
      await handlers.close();
      await mailbox.close();
      const { problems } = await checkStore(store.kv, Date.now());
      await store.close();
      assertEquals(problems.map(({ key, detail }) => [...key, detail]), []);
    }
  },
});
