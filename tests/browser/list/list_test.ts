/** The live list: first paint, progress in place, new tasks, filters and history, slow networks (scenarios 2, 7 to 10). */

import { assertEquals, ok } from "../../support/assert.ts";
import { withApp } from "../../support/http/app.ts";
import { browserTest, complaints, isLive, openPage, rowIds, rowOf } from "../../support/browser.ts";

/** Submits tasks that wait for the test, and waits until all run. */
async function submitHeld(app: Parameters<Parameters<typeof withApp>[1]>[0], count: number) {
  const ids: string[] = [];
  const handlers = [];
  for (let i = 0; i < count; i++) {
    ids.unshift((await app.submit("held", { number: i })).id);
    handlers.unshift(await app.held.next());
  }
  return { ids, handlers };
}

browserTest(
  "first paint has 50 rows and the counts before any script runs, and hydration moves nothing",
  async (browser) => {
    await withApp({ worker: false }, async ({ origin, send }) => {
      for (let i = 0; i < 3; i++) {
        const tasks = Array.from({ length: 20 }, () => ({ task_type: "noop" }));
        await (await send("POST", "/api/tasks/batch", { tasks })).body?.cancel();
      }
      const plain = await openPage(browser, origin, { javaScriptEnabled: false });
      assertEquals((await rowIds(plain)).length, 50);
      assertEquals(await plain.locator(".total .count").allTextContents(), ["60", "0", "0", "0", "0"]);
      await plain.getByRole("link", { name: "Next" }).click();
      assertEquals((await rowIds(plain)).length, 10);
      await plain.getByText("51–60 of 60", { exact: true }).waitFor();
      await plain.getByRole("link", { name: "Previous" }).click();
      assertEquals((await rowIds(plain)).length, 50);
      await plain.context().close();

      const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
      const page = await context.newPage();
      const found = complaints(page);
      await page.addInitScript(() => {
        // deno-lint-ignore no-explicit-any
        const shifts: number[] = (globalThis as any).shifts = [];
        new PerformanceObserver((list) => {
          // deno-lint-ignore no-explicit-any
          for (const entry of list.getEntries()) shifts.push((entry as any).value);
        }).observe({ type: "layout-shift", buffered: true });
      });
      await page.goto(origin);
      await isLive(page);
      // deno-lint-ignore no-explicit-any
      const shifts: number[] = await page.evaluate(() => (globalThis as any).shifts);
      const shift = shifts.reduce((sum, value) => sum + value, 0);
      ok(shift <= 0.02, `layout shift of ${shift}`);
      ok(await page.evaluate(() => document.querySelectorAll("*").length) <= 3_000, "at most 3,000 nodes");
      assertEquals(found, []);
      await context.close();
    });
  },
);

browserTest(
  "live progress moves bar, percent, step and duration in place; the order of rows stays",
  async (browser) => {
    await withApp({}, async (app) => {
      const { ids, handlers } = await submitHeld(app, 5);
      const page = await openPage(browser, app.origin);
      const row = rowOf(page, ids[3]);
      handlers[3].ctx.progress(25, "step one");
      await row.getByText("25 %", { exact: true }).first().waitFor();
      await row.getByText("step one").waitFor();
      assertEquals(await row.locator("progress").evaluate((bar) => (bar as HTMLProgressElement).value), 25);
      const before = await row.locator(".took").textContent();
      handlers[3].ctx.progress(62, "rows 6,200/10,000");
      await row.getByText("62 %", { exact: true }).first().waitFor();
      await page.waitForFunction(
        ([id, before]) => document.querySelector(`tr[data-id="${id}"] .took`)!.textContent !== before,
        [ids[3], before],
      );
      assertEquals(await rowIds(page), ids);
      await page.getByRole("progressbar", { name: "Progress of Held" }).first().waitFor();
      for (const handler of handlers) handler.finish();
    });
  },
);

browserTest(
  "new tasks wait while the pointer is in the list, and join at once when nobody is at it",
  async (browser) => {
    await withApp({}, async (app) => {
      const { ids } = await submitHeld(app, 8);
      const page = await openPage(browser, app.origin);
      await rowOf(page, ids[4]).hover();
      const at = () => rowOf(page, ids[4]).evaluate((row) => row.getBoundingClientRect().top);
      const top = await at();
      const one = await app.submit("held");
      await page.getByRole("button", { name: "1 new task", exact: true }).waitFor();
      const two = await app.submit("held");
      await page.getByRole("button", { name: "2 new tasks" }).waitFor();
      assertEquals(await rowIds(page), ids);
      // The button itself pushes nothing away but by its own height, and only once.
      ok(await at() - top <= 34, "the row stays under the pointer");
      await page.getByRole("button", { name: "2 new tasks" }).click();
      await rowOf(page, two.id).waitFor();
      assertEquals(await rowIds(page), [two.id, one.id, ...ids]);

      await page.mouse.move(5, 5);
      await page.evaluate(() => (document.activeElement as HTMLElement).blur());
      const three = await app.submit("held");
      await rowOf(page, three.id).waitFor();
      assertEquals((await rowIds(page))[0], three.id);
    });
  },
);

browserTest(
  "filters by status, type, text and date are in the URL; Back and Forward walk them; a copy shows the same",
  async (browser) => {
    await withApp({}, async (app) => {
      await submitHeld(app, 2);
      const failing = await app.submit("held", {}, { max_attempts: 1, tags: ["weekly"] });
      (await app.held.next()).fail(new Error("no"));
      await app.submit("noop");
      const page = await openPage(browser, app.origin);
      await page.locator(".total.failed").click();
      await page.waitForURL("**/?status=FAILED");
      await rowOf(page, failing.id).waitFor();
      await page.waitForFunction(() => document.querySelectorAll("tr[data-id]").length === 1);
      await page.getByRole("link", { name: "Remove filter FAILED" }).click();
      await page.waitForFunction(() => document.querySelectorAll("tr[data-id]").length === 4);
      await page.getByRole("combobox", { name: "Search tasks" }).fill("type:held tag:weekly created:>2h");
      await page.keyboard.press("Enter");
      await page.waitForFunction(() => document.querySelectorAll("tr[data-id]").length === 1);
      const shared = page.url();
      assertEquals(new URL(shared).search, "?task_type=held&tag=weekly&created_from=2h");
      const copy = await openPage(browser, shared);
      assertEquals(await rowIds(copy), [failing.id]);
      await copy.context().close();

      await page.goBack();
      await page.waitForFunction(() => document.querySelectorAll("tr[data-id]").length === 4);
      await page.goBack();
      await page.waitForURL("**/?status=FAILED");
      await page.waitForFunction(() => document.querySelectorAll("tr[data-id]").length === 1);
      await page.goForward();
      await page.goForward();
      await page.waitForFunction(() => document.querySelectorAll("tr[data-id]").length === 1);
      assertEquals(page.url(), shared);

      // What is not understood is left out, and named.
      await page.goto(`${app.origin}/?status=BROKEN&task_type=none&q=Held`);
      await page.getByText(/Ignored unknown filter: status=BROKEN, task_type=none\./).waitFor();
      assertEquals((await rowIds(page)).length, 3);
      await page.goto(`${app.origin}/?q=absent`);
      await page.getByText("No tasks match these filters.").waitFor();
    });
  },
);

browserTest("typing searches after a pause and keeps the focus", async (browser) => {
  await withApp({}, async (app) => {
    await submitHeld(app, 2);
    const other = await app.submit("csv_processing", { num_rows: 100, processing_time: 60 });
    const page = await openPage(browser, app.origin);
    const box = page.getByRole("combobox", { name: "Search tasks" });
    await box.pressSequentially("sample");
    await page.waitForURL("**/?q=sample");
    await page.waitForFunction(() => document.querySelectorAll("tr[data-id]").length === 1);
    assertEquals(await rowIds(page), [other.id]);
    ok(await box.evaluate((input) => input === document.activeElement), "the box keeps the focus");
    await box.fill("");
    await page.waitForFunction(() => document.querySelectorAll("tr[data-id]").length === 3);
    await box.pressSequentially("stat");
    await page.getByRole("option", { name: "status:failed" }).waitFor();
    await page.keyboard.press("ArrowDown");
    assertEquals(
      await box.getAttribute("aria-activedescendant"),
      await page.locator('[aria-selected="true"]').getAttribute("id"),
    );
  });
});

browserTest("an open task is closed by Back, with page, scroll and selection as they were", async (browser) => {
  await withApp({ worker: false }, async ({ origin, send }) => {
    const tasks = Array.from({ length: 60 }, () => ({ task_type: "noop" }));
    await (await send("POST", "/api/tasks/batch", { tasks })).body?.cancel();
    const page = await openPage(browser, origin);
    await page.getByRole("checkbox", { name: "Select Nothing" }).nth(1).click();
    await page.evaluate(() => scrollTo(0, 900));
    await page.waitForFunction(() => scrollY === 900);
    await page.locator("tr[data-id] .task a").nth(25).click();
    await page.getByRole("heading", { name: "Nothing" }).waitFor();
    ok(
      await page.locator("#details-title").evaluate((title) => title === document.activeElement),
      "the heading has the focus",
    );
    await page.goBack();
    await page.locator(".details").waitFor({ state: "detached" });
    await page.waitForFunction(() => scrollY === 900);
    await page.getByText("1 selected").waitFor();
  });
});

browserTest("on a slow network the last intent wins", async (browser) => {
  await withApp({}, async (app) => {
    const { ids } = await submitHeld(app, 3);
    const noop = await app.submit("noop");
    const page = await openPage(browser, app.origin);
    // Answers are held back, and given in the wrong order.
    const held: (() => void)[] = [];
    await page.route("**/api/tasks/?*", async (route) => {
      await new Promise<void>((resolve) => held.push(resolve));
      await route.continue().catch(() => {});
    });
    await page.locator(".total.success").click();
    await page.locator(".total.success").click();
    await page.locator(".total.running").click();
    await rowOf(page, ids[0]).getByRole("link").first().click();
    await page.getByRole("heading", { name: "Held" }).waitFor();
    while (held.length < 3) await page.waitForFunction(() => true);
    await page.locator('.list[aria-busy="true"]').waitFor();
    for (const release of held.reverse()) release();
    await page.waitForFunction(() => document.querySelectorAll("tr[data-id]").length === 3);
    assertEquals(await rowIds(page), ids);
    assertEquals(new URL(page.url()).search, `?status=RUNNING&task=${ids[0]}`);
    assertEquals(await rowOf(page, noop.id).count(), 0);
  });
});

browserTest("after tasks were deleted elsewhere the page fills up with those that came after them", async (browser) => {
  await withApp({ worker: false }, async ({ origin, queue }) => {
    const { tasks } = await queue.submitBatch(Array.from({ length: 80 }, () => ({ task_type: "noop" })));
    const newest = tasks.map(({ task }) => task.id).reverse();
    for (const id of newest.slice(0, 20)) await queue.cancel(id);
    const page = await openPage(browser, `${origin}/?limit=50`);
    assertEquals(await rowIds(page), newest.slice(0, 50));
    await queue.bulk.byIds("delete", newest.slice(0, 20));
    await page.waitForFunction((id) => document.querySelector(`tr[data-id="${id}"]`), newest[69]);
    assertEquals(await rowIds(page), newest.slice(20, 70));
  });
});
