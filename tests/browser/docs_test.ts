import { assertEquals, ok } from "../support/assert.ts";
import { browserTest, complaints } from "../support/browser.ts";
import { withApp } from "../support/http/app.ts";

browserTest("the page of the API shows every operation, and calls them as whoever is signed in", async (browser) => {
  const tokens = [
    { name: "vera", role: "viewer" as const, secret: "viewer-secret-0123456789" },
    { name: "otto", role: "operator" as const, secret: "operator-secret-0123456789" },
  ];
  await withApp({ tokens }, async ({ origin, queue }) => {
    for (const [{ secret }, width, status] of [[tokens[0], 360, "403"], [tokens[1], 1280, "201"]] as const) {
      const context = await browser.newContext({ viewport: { width, height: 900 } });
      const page = await context.newPage();
      await page.goto(`${origin}/login`);
      await page.getByLabel("Token").fill(secret);
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.waitForURL(`${origin}/`);
      // The Content-Security-Policy is that of every page: what it refuses is a complaint.
      const found = complaints(page);
      await page.goto(`${origin}/docs`);
      const operation = page.locator("#operations-Tasks-submitTask");
      await operation.locator(".opblock-summary-control").click();
      await operation.locator("button.execute").click();
      assertEquals(await operation.locator(".live-responses-table .response-col_status").last().innerText(), status);
      assertEquals(found.filter((line) => !line.includes("403")), []);
      ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
      await context.close();
    }
    assertEquals((await queue.list({}, 10)).states.map(({ task }) => task.submitted_by), ["otto"]);
  });
});
