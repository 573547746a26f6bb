/** Filters that one sees: drop-downs, suggestions, numbers that lead to what they count, saved views. */

import { assertEquals, ok } from "../../support/assert.ts";
import { withApp } from "../../support/http/app.ts";
import { allReach, heldType, noop, reaches } from "../../support/queue.ts";
import { browserTest, complaints, isLive, openPage, rowIds, rowOf } from "../../support/browser.ts";

browserTest("status, type and time are drop-downs with the numbers of the other filters", async (browser) => {
  await withApp({}, async ({ origin, submit, held, queue }) => {
    const failing = await submit("held", {}, { max_attempts: 1, tags: ["a"] });
    (await held.next()).fail(new Error("The disk is full."));
    await reaches(queue, failing.id, "FAILED");
    const done = await submit("noop", {}, { tags: ["a"] });
    await reaches(queue, done.id, "SUCCESS");
    await reaches(queue, (await submit("noop")).id, "SUCCESS");
    const page = await openPage(browser, origin);
    const found = complaints(page);
    const menu = (name: string) => page.locator(".drop-down", { hasText: name });
    const count = (status: string) => page.locator(`.total.${status} .count`).textContent();
    await menu("Status").locator("summary").click();
    await menu("Status").getByRole("link", { name: /SUCCESS 2/ }).click();
    await page.waitForURL("**/?status=SUCCESS");
    await page.locator(".result-line", { hasText: "2 tasks match" }).waitFor();
    await page.keyboard.press("Escape");
    await menu("Type").locator("summary").click();
    await menu("Type").getByRole("link", { name: "Held" }).click();
    await page.waitForURL("**/?status=SUCCESS&task_type=held");
    await page.getByText("No success “Held” tasks.").waitFor();
    // The counts follow the type, and the search.
    assertEquals([await count("success"), await count("failed")], ["0", "1"]);
    await page.goto(`${origin}/?tag=a`);
    await isLive(page);
    assertEquals([await count("success"), await count("failed"), await count("pending")], ["1", "1", "0"]);
    await menu("Created").locator("summary").click();
    await menu("Created").getByRole("link", { name: "Last hour" }).click();
    await page.waitForURL("**/?tag=a&created_from=1h");
    assertEquals((await rowIds(page)).length, 2);
    await menu("Created").getByLabel("To").fill("2030-01-01T00:00");
    await menu("Created").getByLabel("From").fill("2020-01-01T00:00");
    await menu("Created").getByRole("button", { name: "Apply" }).click();
    await page.waitForURL(/created_from=2020-01-01T.*Z&created_to=2030-01-01T.*Z/);
    assertEquals((await rowIds(page)).length, 2);
    await page.getByRole("link", { name: "Clear all" }).click();
    await page.locator(".result-line", { hasText: /^3 tasks$/ }).waitFor();
    assertEquals(found, []);
  });
});

browserTest("without a script the filters are selects of a form", async (browser) => {
  await withApp({}, async ({ origin, submit, held, queue }) => {
    const { id } = await submit("held", {}, { max_attempts: 1 });
    (await held.next()).fail(new Error("The disk is full."));
    await reaches(queue, id, "FAILED");
    await reaches(queue, (await submit("noop")).id, "SUCCESS");
    const page = await openPage(browser, origin, { javaScriptEnabled: false });
    await page.getByLabel("Status", { exact: true }).selectOption("FAILED");
    await page.getByLabel("Type", { exact: true }).selectOption("held");
    await page.getByLabel("Created", { exact: true }).selectOption("1h");
    await page.locator("[name=search]").fill("error:disk");
    await page.getByRole("button", { name: "Search" }).click();
    await page.locator(".result-line", { hasText: "1 task matches" }).waitFor();
    assertEquals(await rowIds(page), [id]);
    assertEquals(
      [
        await page.getByLabel("Created", { exact: true }).inputValue(),
        await page.locator("[name=search]").inputValue(),
      ],
      ["1h", "error:disk"],
    );
    assertEquals(await page.locator(".drop-down:visible").count(), 0);
  });
});

browserTest(
  "the box suggests on focus; an unknown filter stays and is named; errors are found by their text",
  async (browser) => {
    await withApp({}, async ({ origin, submit, held, queue }) => {
      const { id } = await submit("held", {}, { max_attempts: 1 });
      (await held.next()).fail(new Error("The disk is full."));
      await reaches(queue, id, "FAILED");
      await submit("noop");
      const page = await openPage(browser, origin);
      const box = page.getByRole("combobox", { name: "Search tasks" });
      await box.click();
      await page.getByRole("option", { name: "status:failed" }).waitFor();
      await page.getByRole("option", { name: "error:" }).click();
      assertEquals(await box.inputValue(), "error:");
      await page.keyboard.type("disk");
      await page.keyboard.press("Enter");
      await page.waitForURL("**/?error=disk");
      await page.locator(".result-line", { hasText: "1 task matches" }).waitFor();
      assertEquals(await rowIds(page), [id]);
      for (const text of ["priority:5", "instance:abc", "created:yesterday"]) {
        await box.fill(text);
        await box.press("Enter");
        await page.getByText(`Ignored unknown filter: ${text}.`).waitFor();
        assertEquals(await box.inputValue(), text);
      }
      // While a word may become a filter, the list stays.
      await page.getByRole("link", { name: "Clear all" }).click();
      await page.waitForURL(/\/(\?.*)?$/);
      await box.fill("");
      await box.pressSequentially("cre");
      await page.getByRole("option", { name: "created:>1h" }).waitFor();
      await page.clock.install();
      await box.fill("error:");
      await page.clock.runFor(1_000);
      assertEquals(new URL(page.url()).search, "");
      ok((await rowIds(page)).length > 0);
    });
  },
);

browserTest("every number leads to exactly the tasks that it counts", async (browser) => {
  const held = heldType();
  await withApp({ definitions: [held.definition, noop] }, async ({ origin, submit, queue }) => {
    const ids: string[] = [];
    for (let i = 0; i < 3; i++) {
      const { id } = await submit("held", {}, { max_attempts: 1 });
      (await held.next()).fail(new Error("no"));
      await reaches(queue, id, "FAILED");
      ids.push(id);
    }
    const running = await submit("held");
    const handler = await held.next();
    const later = await submit("held", {}, { delay: 3_600 });
    const page = await openPage(browser, `${origin}/?charts=15m`);
    const leads = async (name: string, expected: string[]) => {
      await page.goto(`${origin}/?charts=15m`);
      await isLive(page);
      await page.getByRole("link", { name, exact: true }).click();
      await page.locator(".result-line", {
        hasText: `${expected.length} task${expected.length === 1 ? " matches" : "s match"}`,
      })
        .waitFor();
      assertEquals((await rowIds(page)).sort(), expected.sort());
    };
    await leads("1 waiting", [later.id]);
    await leads("1 running", [running.id]);
    await leads("3 failed in the last hour", [...ids]);
    await page.goto(`${origin}/?charts=15m`);
    await leads("3 finished", [...ids]);
    // A retry is no failure of the last hour any more: number and list agree.
    await queue.retry(ids[0]);
    const again = await held.next();
    await page.goto(origin);
    await isLive(page);
    await leads("2 failed in the last hour", ids.slice(1));
    again.finish();
    handler.finish();
  });
});

browserTest("a view is saved under a name, opened, shared by its address and deleted", async (browser) => {
  await withApp({}, async ({ origin, submit, queue }) => {
    const { id } = await submit("noop", {}, { tags: ["night"] });
    await reaches(queue, id, "SUCCESS");
    const page = await openPage(browser, `${origin}/?tag=night&status=SUCCESS&task=${id}`);
    const views = page.locator(".drop-down", { hasText: "Views" });
    await views.locator("summary").click();
    await views.getByLabel("Save this view as").fill("Nightly");
    await page.keyboard.press("Enter");
    await views.getByRole("link", { name: "Nightly" }).waitFor();
    await page.goto(origin);
    await isLive(page);
    await views.locator("summary").click();
    await views.getByRole("link", { name: "Nightly" }).click();
    await page.waitForURL("**/?status=SUCCESS&tag=night");
    await rowOf(page, id).waitFor();
    await page.keyboard.press("Escape");
    await views.locator("summary").click();
    await views.getByRole("button", { name: "Delete view Nightly" }).click();
    await views.getByRole("link", { name: "Nightly" }).waitFor({ state: "detached" });
    // What someone else wrote there is no view.
    await page.evaluate(() => localStorage.setItem("millrace_views", '[["x","javascript:alert(1)"],3,["y","./?q=1"]]'));
    await page.reload();
    await isLive(page);
    await views.locator("summary").click();
    assertEquals(await views.locator(".saved a").allTextContents(), ["y"]);
  });
});

browserTest(
  "after a bulk retry the list counts what matches, and says that older tasks have come back",
  async (browser) => {
    const held = heldType();
    await withApp({ definitions: [held.definition] }, async ({ origin, send, queue }) => {
      const tasks = Array.from({ length: 60 }, () => ({ task_type: "held", max_attempts: 1 }));
      await (await send("POST", "/api/tasks/batch", { tasks })).body?.cancel();
      for (let i = 0; i < 60; i++) (await held.next()).fail(new Error("no"));
      await allReach(queue, 60, "FAILED");
      const page = await openPage(browser, `${origin}/?status=FAILED`);
      await page.getByRole("checkbox", { name: "Select all on this page" }).click();
      await page.getByRole("button", { name: "Select all 60 that match" }).click();
      await page.getByRole("button", { name: "Retry all 60…" }).click();
      await page.getByRole("button", { name: "Retry 60 tasks" }).click();
      await page.locator(".toast", { hasText: "Retried 60." }).waitFor();
      await page.locator(".result-line", { hasText: "0 tasks match" }).waitFor();
      await page.locator("h2, .empty").first().hover();
      for (let i = 0; i < 60; i++) (await held.next()).fail(new Error("again"));
      await page.locator(".result-line", { hasText: "60 tasks match" }).waitFor();
    });
  },
);
