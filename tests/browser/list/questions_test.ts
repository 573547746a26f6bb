/** Three people's questions on 10,000 tasks, each answered in at most three actions. */

import * as z from "zod";
import { defineTask } from "../../../queue/define.ts";
import { assertEquals, ok } from "../../support/assert.ts";
import { withApp } from "../../support/http/app.ts";
import { allReach, reaches } from "../../support/queue.ts";
import { browserTest, openPage, rowIds, rowOf } from "../../support/browser.ts";

/** Does what it is told. */
const told = (type: string, title: string) =>
  defineTask({
    type,
    title,
    description: "Fails if it is told to.",
    params: z.looseObject({ fails: z.string().optional() }),
    concurrency: 200,
    maxAttempts: 1,
    titleOf: ({ n }) => `${title} ${n}`,
    run: ({ params }) => params.fails ? Promise.reject(new Error(params.fails)) : Promise.resolve(null),
  });

browserTest("10,000 tasks: three questions, three actions each", async (browser) => {
  const definitions = [told("report", "Report"), told("mail", "Mail")];
  await withApp({ definitions }, async ({ origin, send, call, queue }) => {
    const total = 10_000;
    for (let i = 0; i < total; i += 200) {
      const tasks = Array.from({ length: 200 }, (_, j) => {
        const n = i + j;
        return {
          task_type: n % 2 ? "mail" : "report",
          input_params: { n, ...n % 500 === 0 ? { fails: `The disk is full (${n}).` } : {} },
          tags: n % 1_000 === 1 ? ["wrong-list"] : [],
          ...n % 1_000 === 1 || n % 10 === 3 ? { delay: 86_400 } : {},
        };
      });
      await (await send("POST", "/api/tasks/batch", { tasks })).body?.cancel();
    }
    await allReach(queue, 20, "FAILED");
    await allReach(queue, 8_970, "SUCCESS");
    const nightly = await (await send("POST", "/api/schedules", {
      name: "Nightly report",
      cron: "30 2 * * *",
      timezone: "Europe/Berlin",
      task_type: "report",
      input_params: { n: 0 },
    })).json();

    // What failed of this type in the last hour, and why?
    const page = await openPage(browser, origin, { viewport: { width: 1280, height: 800 } });
    await page.getByRole("link", { name: "20 failed in the last hour" }).click();
    await page.locator(".result-line", { hasText: "20 tasks match" }).waitFor();
    await page.locator("tr[data-id]").nth(19).waitFor();
    const reasons = await page.locator("td.bar .reason").allTextContents();
    assertEquals(reasons.length, 20);
    ok(reasons.every((reason) => /^The disk is full \(\d+\)\.$/.test(reason)), reasons.join());

    // Cancel exactly these: what has this tag.
    await page.goto(`${origin}/?tag=wrong-list`);
    await page.locator(".result-line", { hasText: "10 tasks match" }).waitFor();
    await page.getByRole("checkbox", { name: "Select all on this page" }).click();
    await page.locator(".bulk").getByRole("button", { name: "Cancel 10" }).click();
    await page.locator(".toast", { hasText: "Cancelled 10." }).waitFor();
    const { CANCELLED } = (await queue.counts()).mail;
    assertEquals(CANCELLED, 10);

    // When does it run next, and did it run last night?
    const run = await (await call(`/api/schedules/${nightly.id}/trigger`, { method: "POST" })).json();
    await reaches(queue, run.id, "SUCCESS");
    await page.goto(origin);
    await page.getByRole("link", { name: "Schedules" }).click();
    await page.getByText(/Next in .*: \w{3} \d+ \w{3} \d{4}, 02:30 Europe\/Berlin/).waitFor();
    await page.getByText("No scheduled run yet.").waitFor();
    await page.getByRole("link", { name: "View its tasks" }).click();
    // The newest 10,000 tasks are looked through; there is one more.
    await page.locator(".result-line", { hasText: "1+ tasks match" }).waitFor();
    assertEquals(await rowIds(page), [run.id]);
    await rowOf(page, run.id).locator(".badge.success").waitFor();
  });
});
