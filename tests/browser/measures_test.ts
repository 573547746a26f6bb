/** How much the page shows, how still it stands, and how far the first row is by keyboard. */

import type { Page } from "playwright-core";
import { assertEquals, ok } from "../support/assert.ts";
import { withApp } from "../support/http/app.ts";
import { allReach } from "../support/queue.ts";
import { browserTest, isLive, openPage } from "../support/browser.ts";

/** How many rows are wholly in the window. */
function rowsInSight(page: Page): Promise<number> {
  return page.locator("tr[data-id]").evaluateAll((rows) =>
    rows.filter((row) => {
      const { top, bottom } = row.getBoundingClientRect();
      return top >= 0 && bottom <= innerHeight;
    }).length
  );
}

/** Everything that a list has: long titles, errors, tags. */
async function furnish(origin: string): Promise<void> {
  const tasks = Array.from({ length: 40 }, (_, i) => ({
    task_type: i % 2 ? "csv_processing" : "webhook_delivery",
    input_params: i % 2 ? {} : { url: `http://127.0.0.1:9/${"x".repeat(200)}` },
    max_attempts: 1,
    tags: ["billing", "a-rather-long-tag-that-takes-room"],
    ...i % 2 ? { delay: 3_600 } : {},
  }));
  const answer = await fetch(`${origin}/api/tasks/batch`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ tasks }),
  });
  await answer.body?.cancel();
}

browserTest("at 1280 x 800 fifteen rows are in sight, eighteen if compact; the head stays on top", async (browser) => {
  await withApp({}, async ({ origin, queue }) => {
    await furnish(origin);
    await allReach(queue, 20, "FAILED");
    const page = await openPage(browser, origin, { viewport: { width: 1280, height: 800 } });
    const comfortable = await rowsInSight(page);
    ok(comfortable >= 15, `${comfortable} rows`);
    const heights = await page.locator("tr[data-id]").evaluateAll((rows) =>
      rows.map((row) => row.getBoundingClientRect().height)
    );
    assertEquals(heights.filter((height) => height > 37), []);
    await page.getByLabel("Settings").click();
    await page.getByLabel("Compact").check();
    await page.keyboard.press("Escape");
    const compact = await rowsInSight(page);
    ok(compact >= 18, `${compact} rows`);
    await page.mouse.wheel(0, 600);
    await page.waitForFunction(() => scrollY > 300);
    const head = (await page.locator(".list thead th").nth(1).boundingBox())!;
    ok(head.y >= 40 && head.y <= 60, `the head is at ${head.y}`);
  });
});

browserTest("on a phone the list begins above the middle and shows three tasks", async (browser) => {
  await withApp({}, async ({ origin, queue }) => {
    await furnish(origin);
    await allReach(queue, 20, "FAILED");
    const page = await openPage(browser, origin, { viewport: { width: 360, height: 740 }, hasTouch: true });
    const first = (await page.locator("tr[data-id]").first().boundingBox())!;
    ok(first.y < 370, `it begins at ${first.y}`);
    ok(first.height <= 90, `a task is ${first.height} px high`);
    const shown = await rowsInSight(page);
    ok(shown >= 3, `${shown} tasks`);
  });
});

browserTest("the first row is at most twelve tab stops away; within toolbars the arrow keys move", async (browser) => {
  await withApp({ worker: false }, async ({ origin, submit }) => {
    await submit("noop");
    const page = await openPage(browser, origin);
    const inRow = () => page.evaluate(() => document.activeElement?.closest("tr[data-id]") !== null);
    let stops = 0;
    do {
      await page.keyboard.press("Tab");
      stops++;
    } while (!await inRow() && stops < 40);
    // The last of them is in the row itself.
    ok(stops - 1 <= 12, `${stops - 1} tab stops`);
    const words = () => page.evaluate(() => document.activeElement?.textContent ?? "");
    await page.locator(".total").first().focus();
    await page.keyboard.press("ArrowRight");
    assertEquals(/RUNNING/.test(await words()), true);
    await page.keyboard.press("ArrowLeft");
    await page.keyboard.press("ArrowLeft");
    assertEquals(await page.evaluate(() => document.activeElement?.getAttribute("aria-label")), "More about Nothing");
    // The toolbar remembers where it was left.
    await page.keyboard.press("Shift+Tab");
    await page.keyboard.press("Tab");
    assertEquals(await page.evaluate(() => document.activeElement?.getAttribute("aria-label")), "More about Nothing");
  });
});

browserTest("nothing jumps: each way in shifts the layout by at most 0.02", async (browser) => {
  await withApp({}, async ({ origin, send, queue }) => {
    await furnish(origin);
    await allReach(queue, 20, "FAILED");
    const { states: [{ task }] } = await queue.list({ statuses: ["FAILED"] }, 1);
    const shifts: Record<string, number> = {};
    const page = await (await browser.newContext({ viewport: { width: 1280, height: 800 } })).newPage();
    await page.addInitScript(() => {
      const page = globalThis as unknown as { shift: number };
      page.shift = 0;
      new PerformanceObserver((list) => {
        for (const entry of list.getEntries() as unknown as { value: number; hadRecentInput: boolean }[]) {
          if (!entry.hadRecentInput) page.shift += entry.value;
        }
      }).observe({ type: "layout-shift", buffered: true });
    });
    const shift = () => page.evaluate(() => (globalThis as unknown as { shift: number }).shift);
    const ways = {
      list: "/",
      charts: "/?charts=1h",
      details: `/?task=${task.id}`,
      form: "/?new=csv_processing",
      filtered: "/?status=FAILED&error=public",
    };
    for (const [name, path] of Object.entries(ways)) {
      await page.goto(origin + path);
      await isLive(page);
      if (name === "charts") await page.locator(".u-wrap").nth(2).waitFor();
      if (name === "form") await page.locator("dialog:modal form[novalidate]").waitFor();
      await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
      shifts[name] = await shift();
    }
    // Someone else pauses a type.
    await page.goto(origin);
    await isLive(page);
    await (await send("POST", "/api/task-types/noop/pause", {})).body?.cancel();
    await page.locator(".banner").waitFor();
    shifts.paused = await shift();
    for (const [name, value] of Object.entries(shifts)) ok(value <= 0.02, `${name}: ${value.toFixed(4)}`);
  });
});
