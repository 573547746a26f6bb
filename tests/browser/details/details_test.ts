/** The open task: errors first, timeline, logs, output (scenarios 22 to 24). */

import { Buffer } from "node:buffer";
import { assertEquals, ok } from "../../support/assert.ts";
import { withApp } from "../../support/http/app.ts";
import { reaches } from "../../support/queue.ts";
import { browserTest, openPage, rowIds } from "../../support/browser.ts";

browserTest("a failed task shows its error first; phases add up; UTC is everywhere the same", async (browser) => {
  await withApp({}, async (app) => {
    const { id } = await app.submit("held", {}, { max_attempts: 1 });
    const handler = await app.held.next();
    handler.ctx.log.info("a line");
    handler.fail(new Error("the disk is full"));
    await reaches(app.queue, id, "FAILED");
    const page = await openPage(browser, `${app.origin}/?task=${id}`, { timezoneId: "Asia/Tokyo" });
    const first = page.locator("#tab-panel > *").first();
    await first.getByText("the disk is full", { exact: true }).waitFor();
    await first.getByText("error · attempt 1").waitFor();
    await page.getByText("Show full stack").click();
    await page.locator(".error-box pre").getByText(/heldType|details_test|queue\.ts/).waitFor();

    await page.getByRole("tab", { name: "Timeline" }).click();
    await page.waitForURL("**&tab=timeline");
    const took = await page.locator(".phase-took").allTextContents();
    ok(took.length >= 3, "waiting, attempt, finished");
    ok(took.every((text) => !text.includes("-")), "nothing is negative");
    const time = page.locator(".timeline time").first();
    const created = (await app.queue.get(id)).task.created_at;
    const clock = (zone: string) =>
      new Intl.DateTimeFormat("en-GB", { timeZone: zone, hourCycle: "h23", timeStyle: "medium" }).format(created);
    await page.waitForFunction(
      (text) => document.querySelector(".timeline time")!.textContent!.includes(text),
      clock("Asia/Tokyo"),
    );
    await page.getByLabel("Settings").click();
    await page.getByLabel("UTC").check();
    await page.keyboard.press("Escape");
    assertEquals((await time.textContent())!.endsWith(`${clock("UTC")} UTC`), true);
    await page.getByRole("tab", { name: "Logs" }).click();
    await page.locator(".log .line", { hasText: "a line" }).getByText(new RegExp(`^${clock("UTC").slice(0, 5)}`))
      .waitFor();
    await page.locator("td.when", { hasText: "UTC" }).first().waitFor();

    // The server renders it so from now on, also without JavaScript.
    const cookies = await page.context().cookies();
    const plain = await browser.newContext({ javaScriptEnabled: false });
    await plain.addCookies(cookies);
    const served = await plain.newPage();
    await served.goto(`${app.origin}/?task=${id}&tab=timeline`);
    assertEquals((await served.locator(".timeline time").first().textContent())!.endsWith(" UTC"), true);
    await plain.close();
  });
});

browserTest("tabs by arrow keys, as their pattern has it", async (browser) => {
  await withApp({}, async (app) => {
    const { id } = await app.submit("noop");
    await reaches(app.queue, id, "SUCCESS");
    const page = await openPage(browser, `${app.origin}/?task=${id}`);
    await page.getByRole("tab", { name: "Overview" }).focus();
    await page.keyboard.press("ArrowRight");
    assertEquals(await page.evaluate(() => document.activeElement?.textContent), "Timeline");
    assertEquals(await page.getByRole("tab", { name: "Overview" }).getAttribute("aria-selected"), "true");
    await page.keyboard.press("Enter");
    await page.waitForURL("**&tab=timeline");
    await page.keyboard.press("End");
    await page.keyboard.press("Space");
    await page.waitForURL("**&tab=raw");
    await page.getByText(`"id": "${id}"`).waitFor();
  });
});

browserTest(
  "logs: earlier lines are there, new ones come, follow stops on scrolling up, 20,000 lines stay few nodes",
  async (browser) => {
    await withApp({}, async (app) => {
      const { id } = await app.submit("held");
      const { ctx, finish } = await app.held.next();
      ctx.log.info("\u001b[31mred\u001b[0m <b>bold</b>");
      for (let i = 0; i < 20_000; i++) ctx.log.info(`line number ${i}`);
      ctx.progress(1);
      await app.queue.get(id);
      while ((await app.queue.logs.readTail(id, 1)).lines[0]?.text !== "line number 19999") await ctx.sleep(20);
      const page = await openPage(browser, `${app.origin}/?task=${id}&tab=logs`);
      const log = page.locator(".log");
      await log.getByText("line number 19999").waitFor();
      const nodes = () => page.locator(".log .line").count();
      ok(await nodes() <= 1_000);
      ctx.log.warn("a fresh line");
      await log.getByText("a fresh line").waitFor();
      await log.evaluate((box) => box.scrollTop = 2_000);
      await page.getByRole("button", { name: /Jump to latest/ }).waitFor();
      assertEquals(await page.getByRole("button", { name: "Follow" }).getAttribute("aria-pressed"), "false");
      const top = await log.evaluate((box) => box.scrollTop);
      ctx.log.info("another line");
      await page.getByRole("button", { name: "Jump to latest · 1 new" }).waitFor();
      assertEquals(await log.evaluate((box) => box.scrollTop), top);
      for (let i = 0; i < 5 && await page.getByRole("button", { name: "Load earlier" }).count() > 0; i++) {
        const lines = await page.locator(".log-view .result-line .muted").textContent();
        await page.getByRole("button", { name: "Load earlier" }).click();
        await page.waitForFunction(
          (before) => document.querySelector(".log-view .result-line .muted")!.textContent !== before,
          lines,
        );
      }
      await page.locator(".log-view .result-line", { hasText: "20,003 lines" }).waitFor();
      await log.evaluate((box) => box.scrollTop = 0);
      await log.getByText("red <b>bold</b>").waitFor();
      assertEquals(await page.locator(".log b").count(), 0);
      ok(await nodes() <= 1_000);
      await page.getByRole("searchbox", { name: "Find in the log" }).fill("number 777");
      await page.getByText("11 lines of 20,003 match").waitFor();
      await page.getByLabel("Level").selectOption("warn");
      await page.getByText("0 lines of 20,003 match").waitFor();
      await page.getByLabel("Level").selectOption("");
      const download = page.waitForEvent("download");
      await page.getByRole("link", { name: "Download the whole log" }).click();
      const text = await Deno.readTextFile((await (await download).path())!);
      assertEquals(text.trimEnd().split("\n").length, 20_003);
      // A link to a line leads to it.
      await page.goto(`${app.origin}/?task=${id}&tab=logs#L1-20000`);
      await page.reload();
      await log.getByText("line number 19998").waitFor();
      finish();
    });
  },
);

browserTest(
  "output: thumbnails and viewer, columns equal to the data, downloads have name and bytes",
  async (browser) => {
    await withApp({}, async (app) => {
      const images = await app.submit("image_processing", { num_images: 2, target_width: 200, target_height: 100 });
      await reaches(app.queue, images.id, "SUCCESS");
      const page = await openPage(browser, `${app.origin}/?task=${images.id}&tab=output`);
      const [thumb] = await page.locator(".images img").all();
      assertEquals([
        await thumb.getAttribute("width"),
        await thumb.getAttribute("height"),
        await thumb.getAttribute("loading"),
      ], [
        "96",
        "48",
        "lazy",
      ]);
      assertEquals(/^Output 1, PNG 200×100, \d+(\.\d)? kB$/.test((await thumb.getAttribute("alt"))!), true);
      await thumb.click();
      const viewer = page.getByRole("dialog", { name: "Picture" });
      await viewer.getByText(/1 of 2/).waitFor();
      await viewer.locator("img").focus();
      await page.keyboard.press("ArrowRight");
      await viewer.getByText(/2 of 2/).waitFor();
      await page.keyboard.press("Escape");
      await viewer.waitFor({ state: "detached" });
      assertEquals(await page.evaluate(() => document.activeElement?.querySelector("img") !== null), true);

      const file = Buffer.from("town,people\nAarau,21\nBern,134\nBern,\nbad\n");
      const body = new FormData();
      body.append("file", new File([file], "towns.csv"));
      const { upload_id } = await (await app.call("/api/uploads", { method: "POST", body })).json();
      const csv = await app.submit("csv_processing", { upload_id });
      await reaches(app.queue, csv.id, "SUCCESS");
      await page.goto(`${app.origin}/?task=${csv.id}&tab=output`);
      await page.getByText("3 rows, 2 columns, 1 bad row").waitFor();
      const row = page.getByRole("row", { name: /^people/ });
      assertEquals((await row.locator("> td").allTextContents()).slice(1), ["integer", "1", "2", "21", "77.5", "134"]);
      const histogram = page.getByRole("img", { name: "Histogram of people" });
      await histogram.click();
      const shown = row.locator(".bars tbody tr");
      assertEquals(await shown.count(), 10);
      assertEquals(await shown.first().locator("td").allTextContents(), ["21 to 32.3", "1"]);
      await page.locator("caption", { hasText: "Rejected rows" }).waitFor();
      await page.getByRole("cell", { name: "5", exact: true }).waitFor();
      const download = page.waitForEvent("download");
      await page.getByRole("link", { name: "summary.csv" }).click();
      const got = await download;
      assertEquals(got.suggestedFilename(), "summary.csv");
      const [info] = (await app.queue.artifacts.list(csv.id)).filter(({ name }) => name === "summary.csv");
      assertEquals((await Deno.readFile((await got.path())!)).length, info.size);

      await app.queue.delete(csv.id);
      await page.getByText(/was not found or has expired/).waitFor();
      await page.getByRole("link", { name: "Back to the list" }).click();
      assertEquals(await rowIds(page), [images.id]);
    });
  },
);

browserTest("charts: three, each with its table; a region that fails says so and the rest works", async (browser) => {
  await withApp({}, async (app) => {
    for (let i = 0; i < 3; i++) await reaches(app.queue, (await app.submit("noop")).id, "SUCCESS");
    const page = await openPage(browser, app.origin);
    await page.getByRole("link", { name: "Charts" }).click();
    await page.waitForURL("**/?charts=1h");
    await page.locator(".u-wrap canvas").nth(2).waitFor();
    const chart = page.getByRole("img", { name: /^Throughput\. succeeded: 3/ });
    await chart.waitFor();
    await chart.focus();
    await page.keyboard.press("ArrowLeft");
    await page.locator(".chart").first().getByText("succeeded 0").waitFor();
    await page.getByText("Show as table").first().click();
    assertEquals(await page.locator(".chart").first().locator("tbody tr").count(), 60);
    assertEquals(
      await page.locator(".chart").first().locator("tbody tr").last().locator("td").first().textContent(),
      "3",
    );
    await page.route("**/api/series?*", (route) => route.fulfill({ status: 503, body: "{}" }));
    await page.getByRole("link", { name: "24h" }).click();
    await page.getByText(/Charts could not be loaded: .*\(503\)/).waitFor();
    await page.unroute("**/api/series?*");
    await page.getByRole("button", { name: "Retry" }).click();
    await page.locator(".u-wrap canvas").nth(2).waitFor();
  });
});

browserTest("charts that are read again draw the new marks, and shade the newest bucket", async (browser) => {
  await withApp({}, async ({ origin }) => {
    const page = await openPage(browser, origin);
    await page.clock.install();
    // What is drawn on the first chart: dashed lines for marks, and where the shading of the last bucket begins.
    await page.evaluate(() => {
      const drawn = { marks: 0, shading: 0 };
      Object.assign(globalThis, { drawn });
      const { stroke, fillRect, clearRect } = CanvasRenderingContext2D.prototype;
      const isFirst = ({ canvas }: CanvasRenderingContext2D) => canvas === document.querySelector(".u-wrap canvas");
      Object.assign(CanvasRenderingContext2D.prototype, {
        clearRect(this: CanvasRenderingContext2D, ...area: [number, number, number, number]) {
          if (isFirst(this)) drawn.marks = 0;
          return clearRect.apply(this, area);
        },
        stroke(this: CanvasRenderingContext2D) {
          if (isFirst(this) && this.getLineDash().join() === "2,2") drawn.marks++;
          return stroke.apply(this);
        },
        fillRect(this: CanvasRenderingContext2D, ...area: [number, number, number, number]) {
          if (isFirst(this)) drawn.shading = area[2];
          return fillRect.apply(this, area);
        },
      });
    });
    let longer = false;
    await page.route("**/api/series?*", async (route) => {
      const answer = await (await route.fetch()).json();
      const { buckets } = answer;
      if (longer) {
        // The buckets are twice as long, and the service was started in the middle.
        buckets.forEach((bucket: { at: string }, i: number) => {
          bucket.at = new Date(Date.parse(buckets.at(-1).at) - (59 - i) * 30_000).toISOString();
        });
        answer.marks = [...answer.marks, { at: buckets[30].at, kind: "started" }];
      }
      await route.fulfill({ json: answer });
    });
    await page.getByRole("link", { name: "Charts" }).click();
    for (let i = 0; i < 20; i++) {
      await page.clock.runFor(100);
      if (await page.locator(".u-wrap canvas").count() === 3) break;
    }
    await page.locator(".u-wrap canvas").nth(2).waitFor();
    await page.clock.runFor(100);
    const read = () => page.evaluate(() => ({ ...(globalThis as unknown as { drawn: Drawn }).drawn }));
    const before = await read();
    longer = true;
    const answered = page.waitForResponse("**/api/series?*");
    await page.clock.runFor(5_100);
    await answered;
    let after = before;
    for (let i = 0; i < 20 && after.marks === before.marks; i++) {
      await page.clock.runFor(100);
      after = await read();
    }
    assertEquals(after.marks, before.marks + 1);
    ok(after.shading > 1.5 * before.shading, `${before.shading} and ${after.shading}`);
  });
});

interface Drawn {
  marks: number;
  shading: number;
}
