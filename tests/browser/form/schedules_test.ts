/** Schedules as a page of their own. */

import { Buffer } from "node:buffer";
import { assertEquals, ok } from "../../support/assert.ts";
import { withApp } from "../../support/http/app.ts";
import { reaches } from "../../support/queue.ts";
import { browserTest, complaints, isLive, openPage, violations } from "../../support/browser.ts";

for (const javaScriptEnabled of [true, false]) {
  browserTest(
    `a schedule is made, checked, run, paused, changed and deleted ${
      javaScriptEnabled ? "" : "without a script "
    }on its page`,
    async (browser) => {
      await withApp({}, async ({ origin, queue }) => {
        const page = await openPage(browser, origin, { javaScriptEnabled, timezoneId: "Europe/Zurich" });
        const found = complaints(page);
        await page.getByRole("link", { name: "Schedules" }).click();
        await page.getByText("No schedules yet. Create one to run a task regularly.").waitFor();
        await page.getByRole("link", { name: "New schedule" }).click();
        // The reader's zone is known once the page has run its script.
        assertEquals(
          await page.getByLabel("Time zone").inputValue(),
          javaScriptEnabled ? "Europe/Zurich" : "UTC",
        );
        await page.getByLabel("Time zone").selectOption("Europe/Zurich");
        assertEquals(await page.getByLabel("Cron expression").isVisible(), false);
        await page.getByLabel("Repeat").selectOption("weekdays");
        await page.getByLabel("Time", { exact: true }).fill("07:30");
        await page.getByRole("button", { name: "Show next times" }).click();
        await page.getByText("At 07:30, Monday through Friday").waitFor();
        const times = await page.locator(".times li").allTextContents();
        assertEquals(times.length, 5);
        ok(
          times.every((time) => /^(Mon|Tue|Wed|Thu|Fri) \d+ \w{3} \d{4}, 07:30 Europe\/Zurich$/.test(time)),
          times.join(),
        );
        await page.getByLabel("Schedule name").fill("Morning report");
        await page.getByLabel("Sample rows").fill("99");
        await page.getByRole("button", { name: "Create schedule" }).click();
        if (javaScriptEnabled) {
          // The browser itself refuses it.
          assertEquals(await queue.schedules.list(), []);
        }
        await page.getByLabel("Sample rows").fill("150");
        await page.getByLabel("Simulated duration").fill("5");
        await page.getByRole("button", { name: "Create schedule" }).click();
        await page.getByRole("heading", { name: "Morning report" }).waitFor();
        const [made] = await queue.schedules.list();
        assertEquals(
          [made.cron, made.timezone, made.submission.input_params],
          ["30 7 * * 1-5", "Europe/Zurich", { ...made.submission.input_params as object, num_rows: 150 }],
        );
        if (javaScriptEnabled) assertEquals(await violations(page), []);

        await page.getByRole("button", { name: "Run now: Morning report" }).click();
        await page.getByText("Morning report started.").waitFor();
        const { states: [{ task }] } = await queue.list({ schedule: made.id }, 5);
        assertEquals(task.title, "Sample: 150 orders");
        await page.getByRole("button", { name: "Pause: Morning report" }).click();
        await page.getByText("It submits nothing until it is resumed.").waitFor();
        await page.getByRole("button", { name: "Resume: Morning report" }).click();
        await page.getByText(/Next in/).waitFor();

        await page.getByRole("link", { name: "Edit: Morning report" }).click();
        assertEquals(
          [await page.getByLabel("Repeat").inputValue(), await page.getByLabel("Sample rows").inputValue()],
          ["weekdays", "150"],
        );
        await page.getByLabel("Repeat").selectOption("cron");
        await page.getByLabel("Cron expression").fill("nonsense");
        await page.getByRole("button", { name: "Save changes" }).click();
        await page.getByText(/Error: This is not a cron expression\. It has five fields/).waitFor();
        await page.getByLabel("Cron expression").fill("*/20 8-18 * * 1-5");
        await page.getByLabel("Sample rows").fill("200");
        await page.getByRole("button", { name: "Save changes" }).click();
        await page.getByText("Every 20 minutes, between 08:00 and 18:59, Monday through Friday").waitFor();
        const [changed] = await queue.schedules.list();
        assertEquals([changed.id, changed.cron, changed.created_at], [made.id, "*/20 8-18 * * 1-5", made.created_at]);
        assertEquals((changed.submission.input_params as { num_rows: number }).num_rows, 200);

        await page.getByRole("link", { name: "View its tasks" }).click();
        await page.waitForURL(`**/?schedule=${made.id}`);
        assertEquals(await page.locator("tr[data-id]").count(), 1);
        await page.goto(`${origin}/schedules`);
        await page.getByText("Delete…").click();
        await page.getByRole("button", { name: "Delete schedule: Morning report" }).click();
        await page.getByText("No schedules yet.").waitFor();
        assertEquals(await queue.schedules.list(), []);
        assertEquals(found.filter((text) => !/422/.test(text)), []);
      });
    },
  );
}

browserTest("a schedule with a file keeps it when it is changed, and a task tells its schedule", async (browser) => {
  await withApp({}, async ({ origin, queue, call }) => {
    const page = await openPage(browser, `${origin}/schedules?new=csv_processing`, { javaScriptEnabled: false });
    await page.getByLabel("My data").check();
    await page.getByRole("button", { name: "Create schedule" }).click();
    await page.getByText("Error: CSV file: missing.").waitFor();
    await page.getByLabel("CSV file").setInputFiles({
      name: "towns.csv",
      mimeType: "text/csv",
      buffer: Buffer.from("town,people\nA,10\n"),
    });
    await page.getByRole("button", { name: "Show next times" }).click();
    await page.locator(".times").waitFor();
    await page.getByRole("button", { name: "Create schedule" }).click();
    await page.locator(".schedule").waitFor();
    await page.getByRole("link", { name: /^Edit/ }).click();
    await page.getByText("Uses the original file unless you choose a new one.").waitFor();
    await page.getByLabel("Repeat").selectOption("monthly");
    await page.getByLabel("Day of the month").selectOption("31");
    await page.getByRole("button", { name: "Save changes" }).click();
    await page.getByText(/on day 31 of the month/).waitFor();
    // Enter saves; what another has deleted or nobody has made is no page of JSON.
    await page.getByRole("link", { name: /^Edit/ }).click();
    await page.getByLabel("Schedule name").fill("Towns");
    await page.getByLabel("Schedule name").press("Enter");
    await page.getByRole("heading", { name: "Towns" }).waitFor();
    await page.goto(`${origin}/schedules?edit=01ARZ3NDEKTSV4RRFFQ69G5FAV`);
    await page.getByText("This schedule was deleted.").waitFor();
    await page.goto(`${origin}/schedules?new=bogus`);
    await page.getByRole("heading", { name: "Towns" }).waitFor();
    const [schedule] = await queue.schedules.list();
    const params = schedule.submission.input_params as Record<string, unknown>;
    assertEquals([schedule.uploads, "num_rows" in params], [[params.upload_id], false]);
    const run = await (await call(`/api/schedules/${schedule.id}/trigger`, { method: "POST" })).json();
    await reaches(queue, run.id, "SUCCESS");
    const details = await openPage(browser, `${origin}/?task=${run.id}`);
    await isLive(details);
    await details.getByRole("link", { name: "Towns", exact: true }).click();
    await details.waitForURL(`**/schedules?id=${schedule.id}`);
    await details.locator(".schedule.here").waitFor();
  });
});

browserTest("a new schedule begins with the zone of the browser, also on the first visit", async (browser) => {
  await withApp({}, async ({ origin }) => {
    const context = await browser.newContext({ timezoneId: "America/New_York" });
    const page = await context.newPage();
    const found = complaints(page);
    await page.goto(`${origin}/schedules?new=noop`);
    await page.waitForFunction(() =>
      document.querySelector<HTMLSelectElement>("select[name=timezone]")!.value === "America/New_York"
    );
    await page.getByLabel("Time", { exact: true }).fill("");
    await page.getByRole("button", { name: "Create schedule" }).click();
    await page.getByText("Error: The time is missing.").waitFor();
    assertEquals(found.filter((text) => !/422/.test(text)), []);
  });
});

browserTest("a viewer sees schedules and no control; what another has deleted is gone", async (browser) => {
  const tokens = [
    { name: "vera", role: "viewer" as const, secret: "viewer-secret-0123" },
    { name: "olga", role: "operator" as const, secret: "operator-secret-01" },
  ];
  await withApp({ tokens }, async ({ origin, queue }) => {
    const { schedule } = await queue.schedules.create({ cron: "0 2 * * *", submission: { task_type: "noop" } }, "olga");
    const signIn = async (secret: string) => {
      const page = await (await browser.newContext()).newPage();
      await page.goto(`${origin}/login`);
      await page.getByLabel("Token").fill(secret);
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.getByRole("link", { name: "Schedules" }).click();
      await page.locator(".schedule").waitFor();
      return page;
    };
    const viewer = await signIn("viewer-secret-0123");
    assertEquals(await viewer.locator("button").count(), 0);
    await viewer.goto(`${origin}/schedules?new=noop`);
    await viewer.getByRole("heading", { name: "Schedules" }).waitFor();
    const page = await signIn("operator-secret-01");
    await queue.schedules.delete(schedule.id);
    await page.getByRole("button", { name: /^Run now/ }).click();
    await page.getByText("No schedules yet.").waitFor();
  });
});
