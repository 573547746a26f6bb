/**
 * The page in Chromium against its budgets: weight, first paint and interactions of a mid-range phone (four times
 * slower processor, Fast 4G) and of a desktop, 1,000 updates a second for a minute, and a log of 100,000 lines.
 *
 * `deno task bench:page`; needs Chromium.
 */

import { gzipSync } from "node:zlib";
import { type Browser, type CDPSession, chromium, type Page } from "playwright-core";
import { withApp } from "../support/http/app.ts";
import { findChromium, isLive, launchOptions } from "../support/browser.ts";

const SECONDS = Number(Deno.env.get("SECONDS") ?? 60);

const say = (what: string, value: string, budget: string) =>
  console.log(`${what.padEnd(52)} ${value.padEnd(24)} ${budget}`);

interface Vitals {
  fcp: number;
  lcp: number;
  cls: number;
  interactions: number[];
  long: number[];
}

/** Collects what the browser says of a page, from before its first byte. */
async function observe(page: Page): Promise<void> {
  await page.addInitScript(() => {
    const vitals: Vitals = { fcp: 0, lcp: 0, cls: 0, interactions: [], long: [] };
    // deno-lint-ignore no-explicit-any
    (globalThis as any).vitals = vitals;
    const watch = (type: string, take: (entry: PerformanceEntry) => void, more = {}) =>
      new PerformanceObserver((list) => list.getEntries().forEach(take)).observe({ type, buffered: true, ...more });
    watch("paint", ({ name, startTime }) => name === "first-contentful-paint" && (vitals.fcp = startTime));
    watch("largest-contentful-paint", ({ startTime }) => vitals.lcp = startTime);
    // deno-lint-ignore no-explicit-any
    watch("layout-shift", (entry: any) => entry.hadRecentInput || (vitals.cls += entry.value));
    watch("longtask", ({ duration }) => vitals.long.push(duration));
    // deno-lint-ignore no-explicit-any
    watch("event", (entry: any) => entry.interactionId && vitals.interactions.push(entry.duration), {
      durationThreshold: 16,
    });
  });
}

// deno-lint-ignore no-explicit-any
const vitalsOf = (page: Page): Promise<Vitals> => page.evaluate(() => (globalThis as any).vitals);

async function open(browser: Browser, origin: string, phone: boolean): Promise<{ page: Page; cdp: CDPSession }> {
  const viewport = phone ? { width: 412, height: 823 } : { width: 1280, height: 900 };
  const context = await browser.newContext({ viewport });
  const page = await context.newPage();
  const cdp = await context.newCDPSession(page);
  await cdp.send("Network.enable");
  if (phone) {
    await cdp.send("Emulation.setCPUThrottlingRate", { rate: 4 });
    // Fast 4G as Chromium's own tools have it: 9 Mbit/s down, 1.5 up, times 0.9; 60 ms, times 2.75.
    await cdp.send("Network.emulateNetworkConditions", {
      offline: false,
      latency: 165,
      downloadThroughput: 9e6 * 0.9 / 8,
      uploadThroughput: 1.5e6 * 0.9 / 8,
    });
  }
  await observe(page);
  await page.goto(origin);
  await isLive(page);
  return { page, cdp };
}

/** What people do: filter, select, open a task, go through its sections. */
async function interact(page: Page, phone: boolean): Promise<void> {
  await page.locator(".total.pending").click();
  await page.waitForFunction(() => document.querySelector(".list")!.getAttribute("aria-busy") === "false");
  await page.locator(".total.pending").click();
  await page.waitForFunction(() => document.querySelector(".list")!.getAttribute("aria-busy") === "false");
  await page.locator("td.check input").nth(1).click();
  await page.locator("td.check input").nth(1).click();
  await page.locator("td.task a").nth(2).click();
  await page.locator(".details h2").waitFor();
  for (const name of ["Timeline", "Logs", "Raw"]) await page.getByRole("tab", { name }).click();
  await page.getByRole("link", { name: "Back to the list" }).click();
  if (!phone) { for (const key of ["j", "j", "k"]) await page.keyboard.press(key); }
  await page.waitForTimeout(300);
}

/** Frames a second while `work` goes on, and the heap before and after. */
async function frames(
  page: Page,
  cdp: CDPSession,
  work: () => Promise<void>,
): Promise<{ fps: number; heapMb: number }> {
  const heap = async () => {
    await cdp.send("HeapProfiler.collectGarbage");
    const { metrics } = await cdp.send("Performance.getMetrics");
    return metrics.find(({ name }) => name === "JSHeapUsedSize")!.value / 1e6;
  };
  await cdp.send("Performance.enable");
  const before = await heap();
  await page.evaluate(() => {
    // deno-lint-ignore no-explicit-any
    const count = (globalThis as any).count = { frames: 0, start: performance.now() };
    const step = () => {
      count.frames++;
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
    // deno-lint-ignore no-explicit-any
    (globalThis as any).vitals.long.length = 0;
  });
  await work();
  const fps = await page.evaluate(() => {
    // deno-lint-ignore no-explicit-any
    const { frames, start } = (globalThis as any).count;
    return frames / ((performance.now() - start) / 1000);
  });
  return { fps, heapMb: await heap() - before };
}

const executablePath = findChromium();
if (!executablePath) {
  console.error("There is no Chromium. Install it (apt-get install chromium) or set CHROMIUM_PATH.");
  Deno.exit(1);
}
const browser = await chromium.launch(launchOptions(executablePath));

await withApp({}, async ({ origin, call, send, submit, held, queue }) => {
  const tasks = Array.from({ length: 200 }, () => ({ task_type: "noop" }));
  for (let i = 0; i < 50; i++) await (await send("POST", "/api/tasks/batch", { tasks })).body?.cancel();
  while ((await queue.counts()).noop?.SUCCESS !== 10_000) await new Promise((resolve) => setTimeout(resolve, 100));

  console.log("10,000 tasks\n");
  const html = new Uint8Array(await (await call("/", { headers: { "Accept-Encoding": "identity" } })).arrayBuffer());
  say("HTML with 50 rows, gzip", `${(gzipSync(html).length / 1000).toFixed(1)} kB`, "<= 20 kB");
  const built = new URL("../../static/build/", import.meta.url);
  const weights = new Map<string, number>();
  for await (const { name } of Deno.readDir(built)) {
    if (name.endsWith(".js")) weights.set(name, gzipSync(await Deno.readFile(new URL(name, built))).length / 1000);
  }
  const sum = (names: string[]) => names.reduce((total, name) => total + weights.get(name)!, 0).toFixed(1);
  const all = [...weights.keys()];
  const later = all.filter((name) => /^(later|uPlot)/.test(name)).sort();
  say("Scripts at first, gzip", `${sum(all.filter((name) => !later.includes(name)))} kB`, "<= 40 kB");
  for (const name of later) say(`  later: ${name.split(/[-.]/)[0]}`, `${sum([name])} kB`, "");
  say("All scripts but the chart library", `${sum(all.filter((name) => !/^uPlot/.test(name)))} kB`, "<= 56 kB");
  const times: number[] = [];
  for (let i = 0; i < 200; i++) {
    const start = performance.now();
    await (await call("/")).text();
    times.push(performance.now() - start);
  }
  const sorted = times.slice(50).sort((a, b) => a - b);
  say(
    "Server's answer of the page, p50 / p95",
    `${sorted[75].toFixed(1)} / ${sorted[142].toFixed(1)} ms`,
    "<= 50 ms p95",
  );

  for (const phone of [true, false]) {
    const name = phone ? "phone" : "desktop";
    const { page } = await open(browser, origin, phone);
    await page.waitForTimeout(1_000);
    const nodes = await page.evaluate(() => document.querySelectorAll("*").length);
    await interact(page, phone);
    const { fcp, lcp, cls, interactions } = await vitalsOf(page);
    say(`FCP, ${name}`, `${fcp.toFixed(0)} ms`, phone ? "<= 1,200 ms" : "<= 500 ms");
    say(`LCP, ${name}`, `${lcp.toFixed(0)} ms`, phone ? "<= 1,800 ms" : "<= 800 ms");
    say(`CLS, ${name}`, cls.toFixed(4), "<= 0.02");
    say(
      `INP (slowest of ${interactions.length}), ${name}`,
      `${Math.max(16, ...interactions).toFixed(0)} ms`,
      phone ? "<= 150 ms" : "<= 80 ms",
    );
    if (!phone) say("DOM nodes", String(nodes), "<= 3,000");
    await page.context().close();
  }

  const handlers = [];
  for (let i = 0; i < 60; i++) {
    await submit("held", { i });
    handlers.push(await held.next());
  }
  const { page, cdp } = await open(browser, origin, false);
  const second = await open(browser, origin, false);
  let updates = 0;
  let going = true;
  // Each running task commits its progress four times a second at most; short tasks make up the rest.
  const load = Promise.all([
    (async () => {
      for (let n = 0; going; n++) {
        for (const { ctx } of handlers) ctx.progress(n % 100, `step ${n}`);
        updates += handlers.length;
        await new Promise((resolve) => setTimeout(resolve, 250));
      }
    })(),
    (async () => {
      while (going) {
        const start = performance.now();
        const batch = { tasks: tasks.slice(0, 130) };
        await (await send("POST", "/api/tasks/batch", batch)).body?.cancel();
        updates += 260;
        await new Promise((resolve) => setTimeout(resolve, Math.max(0, 333 - (performance.now() - start))));
      }
    })(),
  ]);
  const { fps, heapMb } = await frames(page, cdp, async () => {
    const until = performance.now() + SECONDS * 1_000;
    while (performance.now() < until) {
      await page.locator("td.check input").nth(3).click();
      await page.waitForTimeout(500);
    }
  });
  going = false;
  await load;
  const busy = await vitalsOf(page);
  console.log(
    `\n${Math.round(updates / SECONDS).toLocaleString("en")} updates a second for ${SECONDS} s, two tabs open\n`,
  );
  say("Frames a second", fps.toFixed(1), ">= 50");
  say("Tasks over 50 ms", `${busy.long.length} (longest ${Math.max(0, ...busy.long).toFixed(0)} ms)`, "none");
  say("INP", `${Math.max(16, ...busy.interactions).toFixed(0)} ms`, "<= 200 ms");
  say("Growth of the heap", `${heapMb.toFixed(1)} MB`, "<= 20 MB");
  await page.context().close();
  await second.page.context().close();
  for (const { finish } of handlers) finish();

  const { id } = await submit("held");
  const { ctx, finish } = await held.next();
  for (let i = 0; i < 100_000; i++) ctx.log.info(`line ${i}: rows ${i * 10} to ${i * 10 + 9} of orders.csv`);
  while ((await queue.logs.readTail(id, 1)).lines[0]?.text.startsWith("line 99999:") !== true) await ctx.sleep(100);
  const log = await open(browser, `${origin}/?task=${id}&tab=logs`, false);
  while (await log.page.getByRole("button", { name: "Load earlier" }).count() > 0) {
    const known = await log.page.locator(".log-view .result-line .muted").textContent();
    await log.page.getByRole("button", { name: "Load earlier" }).click();
    await log.page.waitForFunction(
      (known) => document.querySelector(".log-view .result-line .muted")!.textContent !== known,
      known,
    );
  }
  const lines = await log.page.locator(".log-view .result-line .muted").textContent();
  const scroll = await frames(log.page, log.cdp, () =>
    log.page.evaluate(() =>
      new Promise<void>((resolve) => {
        const box = document.querySelector(".log")!;
        let frame = 0;
        const step = () => {
          box.scrollTop = (frame / 300) * box.scrollHeight;
          if (++frame < 300) requestAnimationFrame(step);
          else resolve();
        };
        step();
      })
    ));
  console.log(`\nA log of ${lines}\n`);
  say("Lines in the DOM", String(await log.page.locator(".log .line").count()), "<= 1,000");
  say("Frames a second while scrolling", scroll.fps.toFixed(1), ">= 55");
  finish();
});
await browser.close();
