/** Charts that answer: totals of the range, by status or by type, one cursor, and a way to the tasks. */

import { assertEquals, ok } from "../support/assert.ts";
import { withApp } from "../support/http/app.ts";
import { heldType, noop, reaches } from "../support/queue.ts";
import { browserTest, complaints, openPage } from "../support/browser.ts";

browserTest(
  "charts tell the totals of their range, compare types, share a cursor and lead to tasks",
  async (browser) => {
    const held = heldType();
    await withApp({ definitions: [held.definition, noop] }, async ({ origin, submit, queue }) => {
      const failed = await submit("held", {}, { max_attempts: 1 });
      (await held.next()).fail(new Error("no"));
      await reaches(queue, failed.id, "FAILED");
      for (let i = 0; i < 2; i++) await reaches(queue, (await submit("noop")).id, "SUCCESS");
      const page = await openPage(browser, `${origin}/?charts=15m`);
      const found = complaints(page);
      await page.locator(".u-wrap").nth(2).waitFor();
      const head = page.locator(".chart figcaption").first();
      assertEquals(
        (await head.textContent())!.replaceAll(/\s+/g, " ").trim(),
        "Throughput Tasks finished per minute. Last 15 minutes: 3 finished, 1 failed, peak 3/min",
      );
      // Own colours: none of a type is that of a status.
      await page.getByRole("link", { name: "type", exact: true }).click();
      await page.waitForURL("**/?charts=15m&group=type");
      await page.locator(".chart").first().locator(".legend", { hasText: "Nothing" }).waitFor();
      const colours = await page.evaluate(() => {
        const probe = document.body.appendChild(document.createElement("span"));
        const of = (name: string) => {
          probe.style.setProperty("color", `var(--chart-${name})`);
          return getComputedStyle(probe).color;
        };
        return [
          ...["series-1", "series-2", "series-3", "series-4", "series-5", "series-6"].map(of),
          "|",
          ...["success", "failed", "cancelled", "running", "pending"].map(of),
        ];
      });
      assertEquals(new Set(colours).size, colours.length);

      // The cursor of one chart is that of all; the last minute is incomplete.
      const plot = (await page.locator(".plot .u-over").first().boundingBox())!;
      await page.mouse.move(plot.x + plot.width - 2, plot.y + 30);
      for (let i = 0; i < 3; i++) {
        await page.locator(".chart").nth(i).getByText("(incomplete)").waitFor();
      }
      await page.mouse.click(plot.x + plot.width - 2, plot.y + 30);
      await page.waitForURL(/ended_from=.*&ended_to=/);
      await page.locator(".result-line", { hasText: /tasks? match/ }).waitFor();
      const { total } = await queue.list({
        ended_from: Date.parse(new URL(page.url()).searchParams.get("ended_from")!),
        ended_to: Date.parse(new URL(page.url()).searchParams.get("ended_to")!),
      }, 10);
      ok(total > 0);
      assertEquals(await page.locator("tr[data-id]").count(), total);
      assertEquals(found, []);
    });
  },
);
