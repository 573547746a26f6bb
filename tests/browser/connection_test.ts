/** Broken connections, restarts, proxies, hidden tabs and a reader who stops the page (scenarios 11 to 15). */

import type { Page, WebSocketRoute } from "playwright-core";
import { assertEquals, ok } from "../support/assert.ts";
import { withApp } from "../support/http/app.ts";
import { startServer } from "../support/http/server.ts";
import { withDirectory } from "../support/directory.ts";
import { reaches } from "../support/queue.ts";
import { browserTest, isLive, openPage, rowIds, rowOf } from "../support/browser.ts";

/** A page whose sockets the test can break: closed, silent or refused. */
async function openBreakable(page: Page, address: string) {
  const sockets: WebSocketRoute[] = [];
  let mode: "pass" | "refuse" | "silent" = "pass";
  await page.routeWebSocket("**/ws", (socket) => {
    if (mode === "refuse") return void socket.close({ code: 1013 });
    const server = socket.connectToServer();
    sockets.push(socket);
    server.onMessage((message) => {
      if (mode !== "silent") socket.send(message);
    });
  });
  // Without its network, the page cannot ask by HTTP either.
  await page.route("**/api/me", (route) => mode === "refuse" ? route.abort() : route.continue());
  await page.clock.install();
  await page.goto(address);
  await isLive(page);
  return {
    break: async () => {
      mode = "refuse";
      for (const socket of sockets.splice(0)) await socket.close({ code: 1011 });
    },
    silence: () => mode = "silent",
    heal: () => mode = "pass",
  };
}

browserTest(
  "a closed and a silent socket: reconnecting, a banner, clocks stand still; nothing is missed after it",
  async (browser) => {
    await withApp({}, async (app) => {
      const running = await app.submit("held");
      const handler = await app.held.next();
      const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
      const page = await context.newPage();
      const link = await openBreakable(page, app.origin);
      for (const way of ["break", "silence"] as const) {
        await link[way]();
        if (way === "silence") await page.clock.runFor(15_100);
        await page.clock.runFor(1_500);
        await page.locator(".pill.reconnecting").waitFor();
        if (way === "silence") await link.break();
        await page.clock.runFor(6_000);
        await page.locator(".banner", { hasText: "Live connection lost at" }).waitFor();
        // What had been told before is drawn by now, however busy the machine is.
        const took = await rowOf(page, running.id).locator(".took").textContent();
        const age = async () =>
          Number(/data (\d+(?:\.\d)?) s old/.exec((await page.locator(".pill").textContent())!)![1]);
        const before = await age();
        await page.clock.runFor(5_000);
        ok(await age() >= before + 4, "the age of the data rises");
        assertEquals(await rowOf(page, running.id).locator(".took").textContent(), took);
        const missed = await app.submit("held", { way });
        (await app.held.next()).finish();
        await reaches(app.queue, missed.id, "SUCCESS");
        handler.ctx.progress(way === "break" ? 30 : 60);
        await page.getByRole("button", { name: "Retry now" }).waitFor();
        link.heal();
        await page.clock.runFor(31_000);
        await isLive(page);
        await page.clock.runFor(500);
        await rowOf(page, missed.id).locator(".badge.success").waitFor();
        await rowOf(page, running.id).getByText(way === "break" ? "30 %" : "60 %").first().waitFor();
        assertEquals(await page.locator(".banner").count(), 0);
      }
      handler.finish();
      await context.close();
    });
  },
);

browserTest("the server restarts: the list equals a fresh load, selection and draft are kept", async (browser) => {
  await withDirectory(async (directory) => {
    const env = { KV_PATH: `${directory}/store.db` };
    const first = await startServer(env);
    const port = new URL(first.origin).port;
    const page = await openPage(browser, first.origin);
    const submit = async (origin: string) => {
      const answer = await fetch(`${origin}/api/tasks/submit`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ task_type: "csv_processing", input_params: { processing_time: 60 } }),
      });
      return (await answer.json()).id as string;
    };
    const one = await submit(first.origin);
    await rowOf(page, one).getByRole("checkbox").click();
    await page.keyboard.press("n");
    const dialog = page.getByRole("dialog", { name: "New task" });
    await dialog.getByLabel(/^Sample rows/).fill("4321");
    await first.end("SIGTERM");
    await page.locator(".pill.reconnecting").waitFor();
    const second = await startServer({ ...env, PORT: port });
    try {
      const two = await submit(second.origin);
      await isLive(page);
      assertEquals(await dialog.getByLabel(/^Sample rows/).inputValue(), "4321");
      await page.keyboard.press("Escape");
      await page.getByText("1 selected").waitFor();
      await page.getByRole("button", { name: "1 new task", exact: true }).click();
      const fresh = await openPage(browser, second.origin);
      assertEquals(await rowIds(page), await rowIds(fresh));
      assertEquals(await rowIds(page), [two, one]);
    } finally {
      await second.end("SIGTERM");
    }
  });
});

browserTest("a proxy that lets no socket through: the page asks by HTTP, one request at a time", async (browser) => {
  await withApp({}, async (app) => {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
    const page = await context.newPage();
    await page.addInitScript(() => {
      // What a proxy does that knows no upgrade.
      globalThis.WebSocket = class extends EventTarget {
        static OPEN = 1;
        onclose: ((event: { code: number }) => void) | null = null;
        readyState = 3;
        constructor() {
          super();
          setTimeout(() => this.onclose?.({ code: 1006 }), 1);
        }
        close() {}
        send() {}
        // deno-lint-ignore no-explicit-any
      } as any;
    });
    let now = 0;
    let most = 0;
    let release: () => void = () => {};
    let slow = false;
    await page.route("**/api/tasks/?*", async (route) => {
      most = Math.max(most, ++now);
      if (slow) await new Promise<void>((resolve) => release = resolve);
      await route.continue();
      now--;
    });
    await page.clock.install();
    await page.goto(app.origin);
    for (let i = 0; i < 20 && await page.locator(".pill.polling").count() === 0; i++) await page.clock.runFor(1_000);
    await page.getByText("Live (every 5 s)").waitFor();
    const { id } = await app.submit("noop");
    await page.clock.runFor(5_500);
    await rowOf(page, id).waitFor();
    slow = true;
    while (now === 0) await page.clock.runFor(1_000);
    // Four more would be due by now, but the one before them has not been answered.
    await page.clock.runFor(21_000);
    assertEquals(now, 1);
    release();
    assertEquals(most, 1);
    await context.close();
  });
});

browserTest("a hidden tab keeps little and is right within a second of being seen", async (browser) => {
  await withApp({}, async (app) => {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
    const page = await context.newPage();
    await page.clock.install();
    await page.goto(app.origin);
    await isLive(page);
    const hide = (hidden: boolean) =>
      page.evaluate((hidden) => {
        Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
      }, hidden);
    await hide(true);
    const tasks = Array.from({ length: 200 }, () => ({ task_type: "noop" }));
    for (let i = 0; i < 30; i++) await (await app.send("POST", "/api/tasks/batch", { tasks })).body?.cancel();
    await page.clock.setSystemTime(Date.now() + 120_000);
    await page.locator(".total.success .count", { hasText: "6,000" }).waitFor();
    await hide(false);
    await page.clock.runFor(1_000);
    await page.waitForFunction(() => document.querySelectorAll("tr[data-id]").length === 50);
    const { states } = await app.queue.list({}, 50);
    assertEquals(await rowIds(page), states.map(({ task }) => task.id));
    await isLive(page);
    await context.close();
  });
});

browserTest(
  "a reader stops the page: nothing changes, also when the window is looked at again; then all of it comes",
  async (browser) => {
    await withApp({}, async (app) => {
      const { id } = await app.submit("held");
      const handler = await app.held.next();
      const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
      const page = await context.newPage();
      await page.clock.install();
      await page.goto(app.origin);
      await isLive(page);
      await page.keyboard.press("p");
      await page.getByText(/Frozen · data/).waitFor();
      const frozen = () => page.locator(".layout").innerHTML();
      const before = await frozen();
      handler.ctx.progress(50, "half");
      const other = await app.submit("noop");
      await reaches(app.queue, other.id, "SUCCESS");
      await page.clock.runFor(30_000);
      await page.evaluate(() => {
        dispatchEvent(new Event("focus"));
        document.dispatchEvent(new Event("visibilitychange"));
      });
      await page.getByRole("button", { name: /Unfreeze \(\d+ changes? waiting\)/ }).waitFor();
      assertEquals(await frozen(), before);
      await page.getByRole("button", { name: /Unfreeze/ }).click();
      await page.clock.runFor(500);
      await rowOf(page, id).getByText("50 %").first().waitFor();
      await rowOf(page, other.id).waitFor();
      handler.finish();
      await context.close();
    });
  },
);
