/** What people do to tasks: cancel, retry, select, bulk, pause; questions and lost races (scenarios 16 to 21). */

import type { Page } from "playwright-core";
import { assertEquals, ok } from "../../support/assert.ts";
import { withApp } from "../../support/http/app.ts";
import { allReach, heldType, noop, reaches } from "../../support/queue.ts";
import { browserTest, openPage, rowIds, rowOf } from "../../support/browser.ts";

const question = (page: Page) => page.locator("dialog.question");

browserTest("cancel a waiting and a running task, and lose a race; CANCELLED is never shown early", async (browser) => {
  await withApp({}, async (app) => {
    const waiting = await app.submit("held", {}, { delay: 3_600 });
    const running = await app.submit("held");
    const handler = await app.held.next();
    const racing = await app.submit("held");
    const racer = await app.held.next();
    const page = await openPage(browser, app.origin);
    const act = async (id: string, name: string) => {
      await rowOf(page, id).locator("summary").click();
      await rowOf(page, id).getByRole("button", { name }).click();
    };
    await act(waiting.id, "Cancel");
    await rowOf(page, waiting.id).locator(".badge.cancelled").waitFor();

    // The answer is held back: until it comes, the row says what was asked for and nothing else.
    let release: () => void = () => {};
    await page.route(`**/api/tasks/${running.id}`, async (route) => {
      if (route.request().method() === "DELETE") await new Promise<void>((resolve) => release = resolve);
      await route.continue();
    });
    await act(running.id, "Cancel");
    ok(
      await question(page).getByRole("button", { name: "Go back" }).evaluate((button) =>
        button === document.activeElement
      ),
    );
    await question(page).getByRole("button", { name: "Cancel task" }).click();
    await rowOf(page, running.id).getByText(/Cancelling…/).waitFor();
    assertEquals(await rowOf(page, running.id).locator(".badge.running").count(), 1);
    ok(!handler.ctx.signal.aborted);
    release();
    await rowOf(page, running.id).locator(".badge.cancelled").waitFor();

    // It ends while the question is open.
    await act(racing.id, "Cancel");
    racer.finish();
    await reaches(app.queue, racing.id, "SUCCESS");
    await question(page).getByRole("button", { name: "Cancel task" }).click();
    await page.locator(".toast", { hasText: "Already finished (SUCCESS). Nothing was cancelled." }).waitFor();
    await page.locator('[role="alert"]', { hasText: "Nothing was cancelled" }).waitFor({ state: "attached" });
  });
});

browserTest("a retry that is felt outside asks first; a copy links both ways", async (browser) => {
  const outside = heldType("outside", {
    title: "Outside",
    sideEffects: "It sends its messages again.",
    maxAttempts: 1,
  });
  await withApp({ definitions: [outside.definition, noop] }, async (app) => {
    const task = await app.submit("outside", { number: 1 });
    (await outside.next()).fail(new Error("no"));
    await reaches(app.queue, task.id, "FAILED");
    const page = await openPage(browser, `${app.origin}/?task=${task.id}`);
    await page.locator(".details").getByRole("button", { name: "Retry", exact: true }).click();
    await question(page).getByText("It sends its messages again.").waitFor();
    await question(page).getByRole("button", { name: "Retry task" }).click();
    (await outside.next()).fail(new Error("again"));
    await page.locator(".details .badge.failed").waitFor();
    await page.locator(".error-box", { hasText: "again" }).waitFor();
    await page.getByRole("link", { name: "Duplicate and edit" }).click();
    const dialog = page.getByRole("dialog", { name: "New task" });
    await dialog.getByText("Copy of Outside").waitFor();
    await dialog.getByRole("button", { name: "Submit", exact: true }).click();
    await dialog.waitFor({ state: "detached" });
    const handler = await outside.next();
    await page.goto(`${app.origin}/?task=${handler.ctx.id}`);
    await page.getByText(/^Copy of/).getByRole("link").click();
    await page.waitForURL(`**/?task=${task.id}`);
    await page.getByText(/^Copied as/).getByRole("link").click();
    await page.waitForURL(`**/?task=${handler.ctx.id}`);
    handler.finish();
  });
});

browserTest(
  "bulk: three on one page and two on the next are cancelled; what had ended is skipped and named",
  async (browser) => {
    await withApp({ worker: false }, async ({ origin, send, queue }) => {
      const tasks = Array.from({ length: 60 }, () => ({ task_type: "held", delay: 3_600 }));
      await (await send("POST", "/api/tasks/batch", { tasks })).body?.cancel();
      const page = await openPage(browser, origin);
      const first = await rowIds(page);
      await queue.cancel(first[2]);
      await rowOf(page, first[2]).locator(".badge.cancelled").waitFor();
      await rowOf(page, first[0]).getByRole("checkbox").click();
      await rowOf(page, first[2]).getByRole("checkbox").click({ modifiers: ["Shift"] });
      await page.getByText("3 selected").waitFor();
      const boxes = await page.locator("td.check input").evaluateAll((all) =>
        all.slice(0, 4).map((box) => (box as HTMLInputElement).checked)
      );
      assertEquals(boxes, [true, true, true, false]);
      assertEquals(
        await page.getByRole("checkbox", { name: "Select all on this page" }).evaluate((box) =>
          (box as HTMLInputElement).indeterminate
        ),
        true,
      );
      await page.getByRole("link", { name: "Next" }).click();
      await page.waitForFunction(() => document.querySelectorAll("tr[data-id]").length === 10);
      const second = await rowIds(page);
      for (const id of second.slice(0, 2)) await rowOf(page, id).getByRole("checkbox").click();
      await page.getByText("5 selected").waitFor();
      await page.getByText("(3 not on this page)").waitFor();
      await page.getByRole("button", { name: "Retry 1", exact: true }).waitFor();
      await page.getByRole("button", { name: "Cancel 4", exact: true }).click();
      await question(page).getByText("2 tasks of them are not on this page.").waitFor();
      await question(page).getByRole("button", { name: "Cancel 4 tasks" }).click();
      const toast = page.locator(".toast", { hasText: "Cancelled 4 · skipped 1." });
      await toast.waitFor();
      await toast.getByText("Show").click();
      await toast.getByText(first[2], { exact: false }).waitFor();
      await page.locator(".bulk").waitFor({ state: "detached" });
      assertEquals((await queue.counts()).held, { PENDING: 55, CANCELLED: 5 });
    });
  },
);

browserTest(
  "all that match: the question names filter and count, a live change does not touch it, later tasks are not touched",
  async (browser) => {
    await withApp({}, async (app) => {
      const tasks = Array.from({ length: 55 }, () => ({ task_type: "held", delay: 3_600, tags: ["old"] }));
      await (await app.send("POST", "/api/tasks/batch", { tasks })).body?.cancel();
      await app.submit("noop");
      await allReach(app.queue, 1, "SUCCESS");
      const page = await openPage(browser, app.origin);
      await page.locator(".total.pending").click();
      await page.waitForURL("**/?status=PENDING");
      await page.reload();
      await page.goBack();
      await page.goForward();
      await page.waitForFunction(() => document.querySelectorAll("tr[data-id]").length === 50);
      await page.locator(".result-line", { hasText: "55 tasks match" }).waitFor();
      await page.getByRole("checkbox", { name: "Select all on this page" }).click();
      await page.getByRole("button", { name: "Select all 55 that match" }).click();
      await page.getByText("All 55 selected").waitFor();
      await page.getByRole("button", { name: "Cancel all 55…" }).click();
      await question(page).getByText("Filter: PENDING.").waitFor();
      const later = await app.submit("held", {}, { delay: 3_600 });
      await page.locator(".total.pending .count", { hasText: "56" }).waitFor();
      // The question stays as it is, with its focus; Enter on the safe button does nothing.
      ok(
        await question(page).getByRole("button", { name: "Go back" }).evaluate((button) =>
          button === document.activeElement
        ),
      );
      await question(page).getByRole("button", { name: "Cancel 56 tasks" }).or(
        question(page).getByRole("button", { name: "Cancel 55 tasks" }),
      ).waitFor();
      await page.keyboard.press("Enter");
      await question(page).waitFor({ state: "detached" });
      assertEquals((await app.queue.counts()).held.PENDING, 56);
      await page.getByText("All 55 selected").waitFor();

      await page.getByRole("button", { name: "Cancel all 55…" }).click();
      await question(page).getByRole("button", { name: /^Cancel 5\d tasks$/ }).click();
      await page.locator(".toast", { hasText: "Cancelled 55." }).waitFor();
      assertEquals((await app.queue.counts()).held, { PENDING: 1, CANCELLED: 55 });
      assertEquals((await app.queue.get(later.id)).task.status, "PENDING");
    });
  },
);

browserTest("a paused type: what runs goes on, new tasks wait, and two browsers agree", async (browser) => {
  await withApp({}, async (app) => {
    await app.submit("held");
    const handler = await app.held.next();
    const page = await openPage(browser, app.origin);
    const other = await openPage(browser, app.origin);
    await page.getByLabel("More about Held").click();
    await page.getByRole("switch", { name: "Pause Held" }).click();
    await question(page).getByText("1 running task will continue.").waitFor();
    await question(page).getByLabel("Reason (optional)").fill("the disk is full");
    await question(page).getByRole("button", { name: "Pause type" }).click();
    for (const one of [page, other]) {
      await one.locator(".banner", { hasText: "Held is paused — 0 tasks waiting. the disk is full" }).waitFor();
      await one.getByLabel("More about Held").click();
      await one.getByText(/Paused by local, .*: the disk is full/).waitFor();
      assertEquals(await one.getByRole("switch", { name: "Pause Held" }).getAttribute("aria-checked"), "true");
    }
    const { id } = await app.submit("held");
    await rowOf(other, id).getByText("Held is paused").waitFor();
    await other.locator(".banner", { hasText: "1 task waiting" }).waitFor();
    handler.finish();
    await page.locator(".total.success .count", { hasText: "1" }).waitFor();
    await other.locator(".banner").getByRole("button", { name: "Resume" }).click();
    (await app.held.next()).finish();
    await rowOf(other, id).locator(".badge.success").waitFor();
    for (const one of [page, other]) await one.locator(".banner").waitFor({ state: "detached" });
  });
});
