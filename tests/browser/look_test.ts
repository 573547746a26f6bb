/** How the page looks and is read: axe-core, widths, themes, zoom and preferences of the reader (scenario 28). */

import type { Page } from "playwright-core";
import { assertEquals, ok } from "../support/assert.ts";
import { type Served, withApp } from "../support/http/app.ts";
import { allReach, reaches } from "../support/queue.ts";
import { browserTest, complaints, isLive, openPage, violations } from "../support/browser.ts";

const SHOTS = new URL("screenshots/", import.meta.url).pathname;

/** Text that would do something if it were not text. */
const NASTY = '<img src=x onerror="document.title=1"><script>document.title=2</script>"\'><svg onload=1>';

/** An installation with a task in each state, whose every text is nasty. Returns addresses by name. */
async function furnish({ submit, send, queue, held, call }: Served): Promise<Record<string, string>> {
  const failed = await submit("held", { [NASTY]: NASTY, long: "x".repeat(300) }, {
    tags: ["<b>tag</b>"],
    max_attempts: 1,
  });
  (await held.next()).fail(new Error(NASTY));
  await reaches(queue, failed.id, "FAILED");
  const running = await submit("held", { name: NASTY });
  const handler = await held.next();
  handler.ctx.log.info(NASTY);
  handler.ctx.log.warn(`\u001b[31m${NASTY}\u001b[0m`);
  handler.ctx.progress(42, NASTY);
  await handler.ctx.artifact("<b>.txt", "x", "text/plain");
  const file = new FormData();
  file.append(
    "file",
    new File([`"${NASTY.replaceAll('"', '""')}",n\n"${NASTY.replaceAll('"', '""')}",1\nb,2\n`], `${NASTY}.csv`),
  );
  const upload = await call("/api/uploads", { method: "POST", body: file });
  const { upload_id } = await upload.json();
  const csv = await submit("csv_processing", { upload_id });
  const mail = await submit("email_sending", {
    recipients: ["a@example.com", "b@example.com"],
    subject: NASTY.slice(0, 80),
    html: `<p>${NASTY}</p>`,
    delay_per_email: 0.5,
    failure_rate: 0.5,
  });
  const images = await submit("image_processing", { num_images: 2, target_width: 200, target_height: 100 });
  const waiting = await submit("held", {}, { delay: 3600 });
  const batch = await send("POST", "/api/tasks/batch", {
    tasks: [
      { task_type: "held", ref: "a", delay: 3600, tags: ["<b>"] },
      { task_type: "held", ref: "b", depends_on: ["a"] },
      { task_type: "held", ref: "c", depends_on: ["a"] },
      { task_type: "held", depends_on: ["b", "c"] },
    ],
  });
  const child = (await batch.json()).tasks[3].id;
  for (const { id } of [csv, mail, images]) await reaches(queue, id, "SUCCESS");
  return {
    list: "/",
    empty: "/?q=nothing-like-this",
    "ignored-filter": `/?status=NONE&task_type=${encodeURIComponent("<b>x")}`,
    form: "/?new=csv_processing",
    "form-mail": "/?new=email_sending",
    "form-webhook": "/?new=webhook_delivery",
    "form-again": `/?new=held&from=${failed.id}`,
    "form-own": "/?new=email_sending&own=1",
    schedules: "/schedules",
    "schedule-new": "/schedules?new=email_sending",
    alerts: "/alerts",
    audit: "/audit",
    filtered: `/?status=FAILED&task_type=held&error=onerror&created_from=1h`,
    graph: `/?task=${child}&tab=graph`,
    full: `/?task=${failed.id}&full=1`,
    charts: "/?charts=1h",
    failed: `/?task=${failed.id}`,
    running: `/?task=${running.id}`,
    waiting: `/?task=${waiting.id}&tab=timeline`,
    timeline: `/?task=${failed.id}&tab=timeline`,
    logs: `/?task=${running.id}&tab=logs`,
    csv: `/?task=${csv.id}&tab=output`,
    mail: `/?task=${mail.id}&tab=output`,
    images: `/?task=${images.id}&tab=output`,
    attempts: `/?task=${failed.id}&tab=attempts`,
    raw: `/?task=${running.id}&tab=raw`,
    gone: "/?task=01ARZ3NDEKTSV4RRFFQ69G5FAV",
  };
}

async function settled(page: Page, path: string): Promise<void> {
  if (path.includes("charts")) await page.locator(".u-wrap").nth(2).waitFor();
  if (path === "/schedules") await page.getByText("Nightly").waitFor();
  if (path.includes("graph")) await page.locator("svg.graph").waitFor();
  if (path.startsWith("/?new=")) await page.locator("dialog:modal").waitFor();
}

for (const colorScheme of ["light", "dark"] as const) {
  browserTest(
    `every state at every width, ${colorScheme}: axe finds nothing, nothing scrolls sideways, text is text`,
    async (browser) => {
      await withApp({}, async (app) => {
        const { origin } = app;
        const paths = await furnish(app);
        await app.send("POST", "/api/schedules", { name: "Nightly", cron: "0 6 * * *", task_type: "csv_processing" })
          .then((answer) => answer.body?.cancel());
        const rule = {
          name: NASTY.slice(0, 100),
          when: { kind: "failures" },
          to: [{ kind: "mail", to: "a@example.com" }],
        };
        await app.send("POST", "/api/alerts", rule).then((answer) => answer.body?.cancel());
        await app.send("POST", "/api/task-types/noop/pause", { reason: NASTY }).then((answer) => answer.body?.cancel());
        await Deno.mkdir(SHOTS, { recursive: true });
        const wrong: string[] = [];
        for (const width of [360, 768, 1280]) {
          const page = await openPage(browser, origin, { viewport: { width, height: 900 }, colorScheme });
          const found = complaints(page);
          for (const [name, path] of Object.entries(paths)) {
            await page.goto(origin + path);
            if (!/^\/(schedules|alerts|audit)/.test(path)) await isLive(page);
            await settled(page, path);
            const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
            if (overflow > 0) wrong.push(`${name} at ${width} px scrolls ${overflow} px sideways`);
            if (await page.locator("img[src=x], svg[onload]").count() > 0) wrong.push(`${name}: text became HTML`);
            for (const violation of await violations(page)) wrong.push(`${name} at ${width} px: ${violation}`);
            await page.screenshot({ path: `${SHOTS}${name}-${width}-${colorScheme}.png` });
          }
          // The frame with a message in it says what it was kept from.
          assertEquals(found.filter((text) => !/preview\.html|artifacts\/x/.test(text)), []);
          await page.context().close();
        }
        assertEquals(wrong, []);
      });
    },
  );
}

browserTest(
  "320 px, 200 % text, wide text spacing, reduced motion and forced colours lose nothing",
  async (browser) => {
    await withApp({}, async (app) => {
      const { origin } = app;
      const { failed, form } = await furnish(app);
      await allReach(app.queue, 1, "RUNNING");
      const page = await openPage(browser, origin, {
        viewport: { width: 320, height: 700 },
        reducedMotion: "reduce",
        forcedColors: "active",
      });
      const wrong: string[] = [];
      // Text spacing as WCAG 1.4.12 has it; text of twice the size as 1.4.4 does.
      const spacing = "*{line-height:1.5!important;letter-spacing:.12em!important;word-spacing:.16em!important}";
      for (const css of ["", spacing, "html{font-size:200%}"]) {
        for (const path of ["/", failed, form]) {
          await page.goto(origin + path);
          await isLive(page);
          await page.evaluate((css) => {
            const sheet = new CSSStyleSheet();
            sheet.replaceSync(css);
            document.adoptedStyleSheets = [sheet];
          }, css);
          const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          if (overflow > 0) wrong.push(`${path} with "${css}" scrolls ${overflow} px sideways`);
          const moving = await page.evaluate(() => document.getAnimations().length);
          if (moving > 0) wrong.push(`${path}: ${moving} things move`);
        }
      }
      assertEquals(wrong, []);
      const borders = await page.locator(".badge").first().evaluate((badge) => getComputedStyle(badge).borderTopWidth);
      ok(parseFloat(borders) >= 1, "badges keep a border in forced colours");
    });
  },
);

for (const colorScheme of ["light", "dark"] as const) {
  browserTest(`what opens, is selected, asked, told or broken, ${colorScheme}: axe finds nothing`, async (browser) => {
    await withApp({}, async (app) => {
      const { images, failed } = await furnish(app);
      const wrong: string[] = [];
      for (const width of [360, 768, 1280]) {
        const page = await openPage(browser, app.origin, { viewport: { width, height: 900 }, colorScheme });
        const look = async (state: string) => {
          for (const violation of await violations(page)) wrong.push(`${state} at ${width} px: ${violation}`);
          await page.screenshot({ path: `${SHOTS}state-${state}-${width}-${colorScheme}.png` });
        };
        await page.locator("td.check input").nth(0).click();
        await page.getByText("1 selected").waitFor();
        await look("selected");
        await page.locator("tr[data-id]:has(.badge.running) td.check input").first().click();
        await page.locator(".bulk").getByRole("button", { name: /^Cancel/ }).first().click();
        await page.locator("dialog.question:modal").waitFor();
        await look("question");
        await page.keyboard.press("Escape");
        await page.locator("tr[data-id] summary").first().click();
        await look("menu");
        await page.getByRole("button", { name: "Copy id" }).first().click();
        await page.locator(".toast").first().waitFor();
        await look("toast");
        await page.getByLabel("Settings").click();
        await look("settings");
        await page.getByRole("button", { name: "Keyboard shortcuts" }).click();
        await page.locator("dialog:modal").waitFor();
        await look("help");
        await page.goto(`${app.origin}/?new=email_sending`);
        await page.locator("dialog:modal").waitFor();
        await page.getByLabel(/^Sample messages/).fill("1000");
        await page.getByRole("button", { name: "Submit", exact: true }).click();
        await page.locator("dialog .error-box").waitFor();
        await page.getByText("Rate and testing").click();
        await look("form-errors");
        await page.goto(app.origin + images);
        await isLive(page);
        await page.locator(".images a").first().click();
        await page.locator("dialog.viewer:modal").waitFor();
        await look("viewer");
        await page.goto(app.origin + failed);
        await isLive(page);
        await page.getByText("Show full stack").click();
        await page.keyboard.press("p");
        await page.getByText(/Frozen · data/).waitFor();
        await look("paused");
        await page.keyboard.press("p");
        // The banner comes after five seconds: once is enough.
        if (width === 360) {
          await page.context().setOffline(true);
          await page.locator(".banner", { hasText: "Live connection lost" }).waitFor();
          await look("offline");
        }
        await page.context().close();
      }
      assertEquals([...new Set(wrong)], []);
    });
  });
}

browserTest(
  "theme and density are chosen in the settings, and the server renders them from then on",
  async (browser) => {
    await withApp({}, async ({ origin }) => {
      const page = await openPage(browser, origin, { colorScheme: "light" });
      await page.getByLabel("Settings").click();
      await page.getByLabel("Dark").check();
      await page.getByLabel("Compact").check();
      const background = () => page.locator("html").evaluate((html) => getComputedStyle(html).backgroundColor);
      assertEquals(await background(), "rgb(14, 17, 22)");
      const html = await (await page.request.get(origin)).text();
      ok(
        html.startsWith('<!DOCTYPE html><html lang="en" data-theme="dark" data-density="compact">'),
        html.slice(0, 90),
      );
      await page.reload();
      await isLive(page);
      assertEquals(await background(), "rgb(14, 17, 22)");
    });
  },
);
