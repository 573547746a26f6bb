/** What the page says is so: counts, totals, and rows that come while nobody is looking. */

import { assertEquals } from "../../support/assert.ts";
import { withApp } from "../../support/http/app.ts";
import { allReach, reaches } from "../../support/queue.ts";
import { browserTest, isLive, openPage, rowIds, rowOf } from "../../support/browser.ts";

browserTest(
  "a bulk action on all that match does what its question says, also to tasks that joined later",
  async (browser) => {
    await withApp({ worker: false }, async ({ origin, send, submit, queue }) => {
      await submit("held", {}, { delay: 3_600 });
      const page = await openPage(browser, `${origin}/?status=PENDING`);
      // Someone is using the list: what comes waits.
      await page.locator("tr[data-id]").first().hover();
      const tasks = Array.from({ length: 60 }, () => ({ task_type: "held", delay: 3_600 }));
      await (await send("POST", "/api/tasks/batch", { tasks })).body?.cancel();
      await page.getByRole("button", { name: "60 new tasks" }).click();
      await page.locator(".result-line", { hasText: "61 tasks match" }).waitFor();
      const later = await submit("held", {}, { delay: 3_600 });
      await page.locator(".total.pending .count", { hasText: "62" }).waitFor();
      await page.getByRole("checkbox", { name: "Select all on this page" }).click();
      await page.getByRole("button", { name: "Select all 61 that match" }).click();
      await page.getByRole("button", { name: "Cancel all 61…" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Cancel 61 tasks" }).click();
      await page.locator(".toast", { hasText: "Cancelled 61." }).waitFor();
      assertEquals((await queue.counts()).held, { PENDING: 1, CANCELLED: 61 });
      assertEquals((await queue.get(later.id)).task.status, "PENDING");
    });
  },
);

browserTest("the first task of an empty list is there at once, wherever the pointer is", async (browser) => {
  await withApp({}, async ({ origin }) => {
    const page = await openPage(browser, origin);
    await page.getByRole("button", { name: "Run an example: Resize images" }).click();
    await page.locator("tr[data-id]").waitFor();
    assertEquals(await page.getByText("No tasks yet").count(), 0);
    assertEquals(await page.locator(".new-tasks").count(), 0);
    await page.locator("tr[data-id] .badge.success").waitFor();
  });
});

browserTest(
  "a burst joins a list that nobody uses once it is over, and the total is the service's",
  async (browser) => {
    await withApp({}, async ({ origin, send, submit, queue }) => {
      const { id } = await submit("noop");
      await reaches(queue, id, "SUCCESS");
      const page = await openPage(browser, origin);
      await isLive(page);
      const burst = async (count: number) => {
        const tasks = Array.from({ length: count }, () => ({ task_type: "noop" }));
        await (await send("POST", "/api/tasks/batch", { tasks })).body?.cancel();
      };
      await burst(9);
      await page.locator(".result-line", { hasText: "10 tasks" }).waitFor();
      assertEquals((await rowIds(page)).length, 10);
      // More than the page keeps waiting.
      for (let i = 0; i < 6; i++) await burst(200);
      await allReach(queue, 1_210, "SUCCESS");
      await page.locator(".result-line", { hasText: /^1,(210|000\+) tasks/ }).waitFor();
      await rowOf(page, (await rowIds(page))[0]).locator(".badge.success").waitFor();
    });
  },
);

browserTest("what is not understood in a search stays in its box and is named", async (browser) => {
  await withApp({ worker: false }, async ({ origin }) => {
    const page = await openPage(browser, origin);
    const box = page.getByRole("combobox", { name: "Search" }).or(page.getByRole("searchbox")).first();
    await box.fill("created:yesterday");
    await box.press("Enter");
    await page.getByText(/Ignored unknown filter: created:yesterday\./).waitFor();
    assertEquals(await box.inputValue(), "created:yesterday");
  });
});

browserTest("why a task failed is read in its row, and found by search", async (browser) => {
  await withApp({}, async ({ origin, submit, held, queue }) => {
    const { id } = await submit("held", {}, { max_attempts: 1 });
    const reason = `${"The address is not public. ".repeat(12)}The end.`;
    (await held.next()).fail(new Error(reason));
    await reaches(queue, id, "FAILED");
    await submit("noop");
    const whole = await openPage(browser, origin);
    await whole.locator("tr[data-id]").nth(1).waitFor();
    const heights = await whole.locator("tr[data-id]").evaluateAll((rows) => rows.map((row) => row.clientHeight));
    assertEquals(heights.filter((height) => height > 37), [], "rows of one line");
    const page = await openPage(browser, `${origin}/?q=${encodeURIComponent("is not PUBLIC")}`);
    await page.locator(".result-line", { hasText: "1 task matches" }).waitFor();
    const told = rowOf(page, id).locator(".reason");
    assertEquals([await told.textContent(), await told.getAttribute("title")], [reason, reason]);
    const { lines, clipped } = await told.evaluate((node) => ({
      lines: Math.round(node.clientHeight / parseFloat(getComputedStyle(node).lineHeight)),
      clipped: node.scrollHeight > node.clientHeight,
    }));
    assertEquals([lines, clipped], [2, true]);
  });
});

browserTest("deleting one task leaves the selection of others as it is", async (browser) => {
  await withApp({}, async ({ origin, submit, queue }) => {
    const ids = [];
    for (let i = 0; i < 3; i++) {
      const { id } = await submit("noop");
      await reaches(queue, id, "SUCCESS");
      ids.push(id);
    }
    const page = await openPage(browser, origin);
    for (const id of ids.slice(0, 2)) await rowOf(page, id).getByRole("checkbox").click();
    await page.getByText("2 selected").waitFor();
    await rowOf(page, ids[2]).locator("summary").click();
    await rowOf(page, ids[2]).getByRole("button", { name: "Delete" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete task" }).click();
    await rowOf(page, ids[2]).waitFor({ state: "detached" });
    await page.getByText("2 selected").waitFor();
  });
});
