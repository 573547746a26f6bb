/** The pictures of the README: a list at work, light and dark, and the details of a task. They are copied by hand. */

import { ok } from "../support/assert.ts";
import { withApp } from "../support/http/app.ts";
import { createHandlers } from "../../queue/handlers/mod.ts";
import { systemClock } from "../../queue/task/clock.ts";
import { reaches } from "../support/queue.ts";
import { browserTest, openPage, rowOf } from "../support/browser.ts";

const SHOTS = new URL("screenshots/", import.meta.url).pathname;

browserTest("a portrait of the page at work, light and dark, and of a task's output", async (browser) => {
  const handlers = createHandlers(systemClock);
  await withApp({ definitions: handlers.definitions }, async ({ origin, call, submit, queue }) => {
    const upload = async (name: string, text: string) => {
      const body = new FormData();
      body.append("file", new File([text], name));
      return (await (await call("/api/uploads", { method: "POST", body })).json()).upload_id as string;
    };
    const towns = ["Aarau", "Bern", "Chur", "Davos", "Basel"];
    const rows = Array.from(
      { length: 5_000 },
      (_, i) =>
        `${1_000 + i},${towns[(i * i + (i >> 3)) % 5]},${((i * 37) % 400) / 4},2026-${
          String(1 + i % 12).padStart(2, "0")
        }-15`,
    );
    const orders = `order,town,amount,date\n${rows.join("\n")}\n`;
    const csv = await submit("csv_processing", { upload_id: await upload("orders-2026.csv", orders) });
    const mailing = await submit("email_sending", {
      num_emails: 3,
      delay_per_email: 0.5,
      subject: "Your invoice",
      failure_rate: 0.3,
    });
    const images = await submit("image_processing", {
      num_images: 6,
      target_width: 640,
      target_height: 480,
      format: "jpeg",
    });
    const hook = await submit("webhook_delivery", { url: "http://127.0.0.1:9/hook" }, {
      max_attempts: 1,
      tags: ["billing"],
    });
    await Promise.all([csv, mailing, images].map(({ id }) => reaches(queue, id, "SUCCESS")));
    await reaches(queue, hook.id, "FAILED");
    await submit("csv_processing", { num_rows: 8_000, processing_time: 9 }, { tags: ["nightly"] });
    await submit("email_sending", { num_emails: 60, delay_per_email: 0.5, subject: "What is new in November" });
    await submit("csv_processing", { num_rows: 10_000, processing_time: 30 });
    await submit("email_sending", { num_emails: 20, subject: "Reminder" }, { delay: 3_600 });
    const cancelled = await submit("image_processing", { num_images: 20 }, { delay: 60 });
    await queue.cancel(cancelled.id);
    await Deno.mkdir(SHOTS, { recursive: true });
    for (const colorScheme of ["light", "dark"] as const) {
      const page = await openPage(browser, origin, { colorScheme, viewport: { width: 1280, height: 860 } });
      await rowOf(page, csv.id).waitFor();
      await page.waitForFunction(() =>
        [...document.querySelectorAll<HTMLProgressElement>("td progress.running")].some(({ value }) => value > 12)
      );
      await page.screenshot({ path: `${SHOTS}portrait-list-${colorScheme}.png` });
      await page.context().close();
    }
    const page = await openPage(browser, `${origin}/?task=${csv.id}&tab=output`, {
      viewport: { width: 1280, height: 860 },
    });
    await page.getByRole("img", { name: "Histogram of amount" }).waitFor();
    await page.screenshot({ path: `${SHOTS}portrait-details.png` });
    ok((await Deno.stat(`${SHOTS}portrait-details.png`)).size > 20_000);
    await queue.bulk.byFilter("cancel", {}, await queue.stream.head());
  });
  await handlers.close();
});
