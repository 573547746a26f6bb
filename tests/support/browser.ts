/** Debian's Chromium, driven by playwright-core. */

import {
  type Browser,
  type BrowserContextOptions,
  chromium,
  type LaunchOptions,
  type Locator,
  type Page,
} from "playwright-core";
import { packageFolder } from "./packages.ts";

const PATHS = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Where Chromium is, or null. Under CI it has to be there. */
export function findChromium(): string | null {
  for (const path of [Deno.env.get("CHROMIUM_PATH"), ...PATHS]) {
    if (path && existsSync(path)) return path;
  }
  if (Deno.env.get("CI") === "true") throw new Error("There is no Chromium, and the browser tests must run under CI.");
  return null;
}

function existsSync(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** How Chromium is started: without anything that asks the network for something. */
export function launchOptions(executablePath: string): LaunchOptions {
  const flags = "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking " +
    "disable-component-update disable-sync";
  return { executablePath, args: flags.split(" ").map((flag) => `--${flag}`) };
}

/** A test in a browser; skipped with a line that says so where there is none. */
export function browserTest(name: string, test: (browser: Browser) => Promise<void>): void {
  const executablePath = findChromium();
  if (!executablePath) console.warn(`Skipped for want of Chromium: ${name}`);
  Deno.test({
    name,
    ignore: !executablePath,
    // Playwright keeps a pipe to the browser and timers of its own.
    sanitizeOps: false,
    sanitizeResources: false,
    async fn() {
      const browser = await chromium.launch(launchOptions(executablePath!));
      try {
        await test(browser);
      } finally {
        await browser.close();
      }
    },
  });
}

/** Everything that a page complains of: console errors, uncaught errors, refused loads, CSP violations. */
export function complaints(page: Page): string[] {
  const found: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") found.push(message.text());
  });
  page.on("pageerror", (error) => found.push(String(error)));
  page.on("requestfailed", (request) => {
    // Leaving a page ends what it was still asking for.
    const reason = request.failure()?.errorText;
    if (reason !== "net::ERR_ABORTED") found.push(`${reason}: ${request.url()}`);
  });
  return found;
}

/** A page of the application, opened and alive. */
export async function openPage(
  browser: Browser,
  address: string,
  options: BrowserContextOptions = {},
): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  await page.goto(address);
  if (options.javaScriptEnabled !== false) await isLive(page);
  return page;
}

/** Waits until the page says that it is live. */
export async function isLive(page: Page): Promise<void> {
  await page.locator(".pill.live").waitFor();
}

/** The ids of the rows, in their order. */
export function rowIds(page: Page): Promise<string[]> {
  return page.locator("tr[data-id]").evaluateAll((rows) => rows.map((row) => (row as HTMLElement).dataset.id!));
}

/** The row of a task. */
export function rowOf(page: Page, id: string): Locator {
  return page.locator(`tr[data-id="${id}"]`);
}

let axeSource: Promise<string> | undefined;

/** What axe-core finds wrong with a page by the rules of WCAG 2.2 AA and good practice. */
export async function violations(page: Page): Promise<string[]> {
  axeSource ??= packageFolder("axe-core@4.14.1").then((folder) => Deno.readTextFile(`${folder}axe.min.js`));
  await page.evaluate(await axeSource);
  return await page.evaluate(async () => {
    // deno-lint-ignore no-explicit-any
    const { violations } = await (globalThis as any).axe.run(document, { resultTypes: ["violations"], iframes: false });
    // deno-lint-ignore no-explicit-any
    return violations.flatMap(({ id, nodes }: any) => nodes.map((node: any) => `${id}: ${node.html.slice(0, 160)}`));
  });
}
