/** Who may do what, the keyboard, and what is said aloud (scenarios 25 to 27). */

import { assertEquals, ok } from "../support/assert.ts";
import { withApp } from "../support/http/app.ts";
import { heldType, noop, reaches } from "../support/queue.ts";
import { browserTest, isLive, openPage, rowIds, rowOf } from "../support/browser.ts";
import type { Token } from "../../routes/settings.ts";

const TOKENS: Token[] = [
  { name: "vera", role: "viewer", secret: "viewer-secret-0123456789" },
  { name: "otto", role: "operator", secret: "operator-secret-0123456789" },
];

browserTest(
  "a viewer sees no control that is not theirs; a sign-out in the middle keeps address and draft",
  async (browser) => {
    await withApp({ tokens: TOKENS }, async ({ origin, queue }) => {
      await queue.submit({ task_type: "held" });
      const viewer = await openPage(browser, `${origin}/login?back=${encodeURIComponent("/?status=RUNNING")}`, {
        javaScriptEnabled: false,
      });
      await viewer.getByLabel("Token").fill(TOKENS[0].secret);
      await viewer.getByRole("button", { name: "Sign in" }).click();
      await viewer.waitForURL("**/?status=RUNNING");
      await viewer.getByText("Read-only access").waitFor();
      for (const name of ["New task", "Cancel", "Pause"]) {
        const control = new RegExp(`^${name}`);
        const found = viewer.getByRole("button", { name: control }).or(viewer.getByRole("link", { name: control }));
        assertEquals(await found.count(), 0, name);
      }
      await viewer.context().close();

      const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
      const page = await context.newPage();
      await page.goto(`${origin}/login`);
      await page.getByLabel("Token").fill(TOKENS[1].secret);
      await page.getByRole("button", { name: "Sign in" }).click();
      await isLive(page);
      // The role was taken away meanwhile.
      await page.route("**/api/task-types/held/pause", (route) =>
        route.fulfill({
          status: 403,
          contentType: "application/problem+json",
          body: '{"detail":"This needs the role operator."}',
        }));
      await page.getByLabel("More about Held").click();
      await page.getByRole("switch", { name: "Pause Held" }).click();
      await page.getByRole("button", { name: "Pause type" }).click();
      await page.locator(".toast", { hasText: "You may not pause task types. This needs the role operator." })
        .waitFor();

      await page.goto(`${origin}/?status=RUNNING&new=csv_processing`);
      const dialog = page.getByRole("dialog", { name: "New task" });
      await dialog.locator("form[novalidate]").waitFor();
      await dialog.getByLabel(/^Sample rows/).fill("777");
      await context.clearCookies();
      await dialog.getByRole("button", { name: "Submit", exact: true }).click();
      await page.locator(".banner", { hasText: "You were signed out at" }).waitFor();
      await page.keyboard.press("Escape");
      await page.getByRole("link", { name: "Sign in" }).click();
      await page.getByLabel("Token").fill(TOKENS[1].secret);
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.waitForURL("**/?status=RUNNING");
      await isLive(page);
      await page.keyboard.press("n");
      assertEquals(await dialog.getByLabel(/^Sample rows/).inputValue(), "777");
      await context.close();
    });
  },
);

browserTest(
  "the whole page by keyboard; keys do nothing in fields, in dialogs or when they are off; focus is never covered",
  async (browser) => {
    await withApp({}, async (app) => {
      const ids: string[] = [];
      for (let i = 0; i < 30; i++) ids.unshift((await app.submit("held", {}, { delay: 3_600 })).id);
      const page = await openPage(browser, app.origin);
      const focused = () => page.evaluate(() => document.activeElement?.closest("tr")?.getAttribute("data-id") ?? null);
      await page.keyboard.press("j");
      assertEquals(await focused(), ids[0]);
      for (let i = 0; i < 25; i++) await page.keyboard.press("j");
      assertEquals(await focused(), ids[25]);
      for (let i = 0; i < 24; i++) await page.keyboard.press("k");
      assertEquals(await focused(), ids[1]);
      const covered = await page.evaluate(() => {
        const { left, top, height } = document.activeElement!.getBoundingClientRect();
        return !document.activeElement!.contains(document.elementFromPoint(left + 4, top + height / 2));
      });
      ok(!covered, "the focus is in sight");
      await page.keyboard.press("x");
      await page.keyboard.press("j");
      await page.keyboard.press("j");
      await page.keyboard.press("Shift+X");
      await page.getByText("3 selected").waitFor();
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { name: "Held" }).waitFor();
      assertEquals(await page.evaluate(() => document.activeElement?.id), "details-title");
      await page.keyboard.press("Escape");
      await page.locator(".details").waitFor({ state: "detached" });
      await page.waitForFunction((id) => document.activeElement?.closest("tr")?.getAttribute("data-id") === id, ids[3]);
      await page.keyboard.press("c");
      await page.locator(".toast", { hasText: "Cancelled 3." }).waitFor();
      await page.keyboard.press("5");
      await page.waitForURL("**/?status=CANCELLED");
      await page.keyboard.press("5");
      await page.waitForURL(/\/$/);

      await page.keyboard.press("/");
      await page.keyboard.type("cnxp5");
      assertEquals(await page.locator(".search-box").inputValue(), "cnxp5");
      await page.waitForURL("**/?q=cnxp5");
      await page.keyboard.press("Escape");
      await page.keyboard.press("Control+c");
      assertEquals((await app.queue.counts()).held.CANCELLED, 3);
      await page.keyboard.press("?");
      const help = page.getByRole("dialog", { name: "Keyboard shortcuts" });
      await help.waitFor();
      await page.keyboard.press("n");
      assertEquals(await page.getByRole("dialog", { name: "New task" }).count(), 0);
      await help.getByLabel("Enable single-key shortcuts").uncheck();
      await page.keyboard.press("Escape");
      await page.keyboard.press("n");
      await page.reload();
      await isLive(page);
      await page.keyboard.press("n");
      assertEquals(await page.getByRole("dialog").count(), 0);
      assertEquals(new URL(page.url()).search, "?q=cnxp5");
    });
  },
);

browserTest("what is said aloud: little under load, and one's own failure once", async (browser) => {
  const own = heldType("own", { title: "Own", maxAttempts: 1 });
  await withApp({ definitions: [own.definition, noop] }, async (app) => {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
    const page = await context.newPage();
    await page.clock.install();
    await page.goto(app.origin);
    await isLive(page);
    await page.evaluate(() => {
      // deno-lint-ignore no-explicit-any
      const said: [string, string][] = (globalThis as any).said = [];
      for (const role of ["status", "alert"]) {
        const region = document.querySelector(`[role="${role}"]`)!;
        new MutationObserver(() => said.push([role, region.textContent!])).observe(region, {
          childList: true,
          characterData: true,
          subtree: true,
        });
      }
    });
    // deno-lint-ignore no-explicit-any
    const said = () => page.evaluate(() => (globalThis as any).said as [string, string][]);
    await page.keyboard.press("n");
    const dialog = page.getByRole("dialog", { name: "New task" });
    await dialog.getByRole("button", { name: "Submit", exact: true }).click();
    await dialog.waitFor({ state: "detached" });
    const [id] = await rowIds(page);
    await page.mouse.move(5, 5);
    for (let second = 0; second < 60; second++) {
      const tasks = Array.from({ length: 100 }, () => ({ task_type: "noop" }));
      await (await app.send("POST", "/api/tasks/batch", { tasks })).body?.cancel();
      await page.clock.runFor(1_000);
    }
    const polite = (await said()).filter(([role]) => role === "status");
    ok(polite.length <= 12, `${polite.length} polite messages in a minute`);
    (await own.next()).fail(new Error("no luck"));
    await reaches(app.queue, id, "FAILED");
    await rowOf(page, id).locator(".badge.failed").waitFor();
    await page.clock.runFor(1_000);
    const alerts = (await said()).filter(([role, text]) => role === "alert" && text !== "");
    assertEquals(alerts, [["alert", "Own failed: no luck"]]);
    await context.close();
  });
});
