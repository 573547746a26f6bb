import { Buffer } from "node:buffer";
import { assertEquals, ok } from "../support/assert.ts";
import { withApp } from "../support/http/app.ts";
import { allReach, reaches } from "../support/queue.ts";
import { browserTest, complaints, isLive, openPage } from "../support/browser.ts";

const WIDTHS = [360, 768, 1280];
const SHOTS = new URL("screenshots/", import.meta.url).pathname;

browserTest("submit by form, see the bar move, see SUCCESS, open the details; nothing complains", async (browser) => {
  await withApp({}, async ({ origin }) => {
    const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
    const found = complaints(page);
    await page.goto(origin);
    await page.getByText("Live", { exact: true }).waitFor();
    await page.getByRole("link", { name: "New task" }).click();
    await page.locator('[name="params/input_params/num_rows"]').fill("500");
    await page.getByLabel("Simulated duration").fill("5");
    await page.getByRole("button", { name: "Submit", exact: true }).click();
    const row = page.locator(".list tbody tr").first();
    await row.getByRole("link", { name: "Sample: 500 orders" }).click();

    const bar = page.locator(".details progress");
    await bar.waitFor();
    const values = await page.evaluate(() =>
      new Promise<number[]>((resolve) => {
        const seen: number[] = [];
        const look = () => {
          const value = document.querySelector<HTMLProgressElement>(".details progress")?.value ?? 0;
          if (value > (seen.at(-1) ?? 0)) seen.push(value);
          if (value >= 100) resolve(seen);
          else requestAnimationFrame(look);
        };
        look();
      })
    );
    ok(values.length > 5, `the bar stood at ${values}`);
    await page.locator(".details .badge.success").waitFor();
    await page.locator(".list tr .badge.success").waitFor();

    await page.getByRole("link", { name: "Back to the list" }).click();
    await page.getByRole("link", { name: "Sample: 500 orders" }).click();
    await page.getByRole("heading", { name: "Result" }).waitFor();
    await page.getByRole("tab", { name: "Output" }).click();
    await page.getByRole("rowheader", { name: "unit_price" }).waitFor();
    await page.getByRole("link", { name: "summary.csv" }).waitFor();
    assertEquals(found, []);
  });
});

browserTest("without JavaScript: submit with an upload, list, filter, open, cancel, retry", async (browser) => {
  await withApp({}, async ({ origin, queue, held }) => {
    const context = await browser.newContext({ javaScriptEnabled: false });
    const page = await context.newPage();
    await page.goto(`${origin}/?new=csv_processing`);
    ok(
      (await page.getByRole("heading", { name: "New task" }).boundingBox())!.y < 300,
      "the form stands above the list",
    );
    await page.getByLabel("My data").check();
    await page.getByLabel("CSV file").setInputFiles({
      name: "towns.csv",
      mimeType: "text/csv",
      buffer: Buffer.from("town,people\nA,10\nB,32\n"),
    });
    await page.getByRole("button", { name: "Submit", exact: true }).click();
    await page.getByRole("heading", { name: "towns.csv" }).waitFor();
    await allReach(queue, 1, "SUCCESS");
    const { task: { task: { id } } } = await queue.submit({ task_type: "held" });
    const first = await held.next();

    await page.goto(`${origin}/?status=RUNNING`);
    assertEquals(await page.locator(".list tbody tr").count(), 1);
    await page.getByRole("link", { name: "Held", exact: true }).last().click();
    await page.locator(".details").getByRole("button", { name: "Cancel", exact: true }).click();
    await page.locator(".details .badge.cancelled").waitFor();
    ok(first.ctx.signal.aborted);
    await page.locator(".details").getByRole("button", { name: "Retry", exact: true }).click();
    (await held.next()).finish();
    await page.goto(`${origin}/?task=${id}`);
    await page.locator(".details .badge").waitFor();
    await context.close();
  });
});

browserTest("what a form gets wrong comes back at its field with the values kept", async (browser) => {
  await withApp({}, async ({ origin, queue }) => {
    const context = await browser.newContext({ javaScriptEnabled: false });
    const page = await context.newPage();
    await page.goto(`${origin}/?new=csv_processing`);
    // Past the browser's own check, as an old client would.
    const body = new FormData();
    body.set("task_type", "csv_processing");
    body.set("params/input_params/num_rows", "99");
    body.set("params/input_params/processing_time", "7");
    const answer = await fetch(`${origin}/tasks`, { method: "POST", body });
    assertEquals(answer.status, 422);
    await page.setContent(await answer.text());
    assertEquals(await page.locator('[name="params/input_params/processing_time"]').inputValue(), "7");
    const field = page.locator('[name="params/input_params/num_rows"]');
    assertEquals([await field.inputValue(), await field.getAttribute("aria-invalid")], ["99", "true"]);
    assertEquals((await queue.list({}, 1)).total, 0);

    // The same form sent twice, with a file, is one task.
    const twice = () => {
      const form = new FormData();
      form.set("task_type", "csv_processing");
      form.set("idempotency_key", "one");
      form.set("params/input_params/upload_id", new File(["a\n1\n"], "a.csv"));
      return fetch(`${origin}/tasks`, { method: "POST", body: form, redirect: "manual" });
    };
    const answers = [await twice(), await twice()];
    for (const again of answers) await again.body?.cancel();
    assertEquals(answers.map(({ status }) => status), [303, 303]);
    assertEquals(answers[0].headers.get("Location"), answers[1].headers.get("Location"));
    await context.close();
  });
});

browserTest("text from outside is shown as text, and no width scrolls sideways, light and dark", async (browser) => {
  await withApp({}, async ({ origin, submit, held }) => {
    const nasty = '<img src=x onerror="document.title=1"><script>document.title=2</script>';
    const task = await submit("held", { [nasty]: nasty, long: "x".repeat(300) }, { tags: ["<b>tag</b>"] });
    const handler = await held.next();
    handler.ctx.log.info(nasty);
    handler.ctx.progress(42, nasty);
    await handler.ctx.artifact("<b>.txt", "x", "text/plain");
    await submit("email_sending", { num_emails: 2, delay_per_email: 0.5 });
    await submit("image_processing", {});
    await Deno.mkdir(SHOTS, { recursive: true });
    for (const colorScheme of ["light", "dark"] as const) {
      for (const width of WIDTHS) {
        const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme });
        const page = await context.newPage();
        const found = complaints(page);
        for (
          const [name, path] of [["list", "/"], ["form", "/?new=csv_processing"], ["details", `/?task=${task.id}`]]
        ) {
          await page.goto(origin + path);
          await page.getByText("Live", { exact: true }).waitFor();
          const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          ok(overflow <= 0, `${name} at ${width} px scrolls ${overflow} px sideways`);
          assertEquals(await page.locator("img[src=x]").count(), 0);
          await page.screenshot({ path: `${SHOTS}${name}-${width}-${colorScheme}.png` });
        }
        assertEquals(found, []);
        await context.close();
      }
    }
    handler.finish();
  });
});

browserTest(
  "a part whose script does not come says so, offers to try again and to reload, and comes with the reload",
  async (browser) => {
    await withApp({}, async ({ origin, submit, queue }) => {
      const task = await submit("noop");
      await reaches(queue, task.id, "SUCCESS");
      const page = await openPage(browser, origin);
      await page.route("**/static/build/**", (route) => route.abort());
      await page.locator("tr[data-id] a").first().click();
      await page.getByText("Could not load this part of the page").waitFor();
      ok(await page.getByRole("button", { name: "Retry" }).isVisible());
      await page.unroute("**/static/build/**");
      await page.getByRole("button", { name: "Reload" }).click();
      await isLive(page);
      await page.getByRole("heading", { name: "Nothing" }).waitFor();
    });
  },
);
