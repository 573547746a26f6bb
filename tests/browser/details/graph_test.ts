/** The tasks that depend on each other, and what the overview says first. */

import { Buffer } from "node:buffer";
import { assertEquals, ok } from "../../support/assert.ts";
import { withApp } from "../../support/http/app.ts";
import { heldType, noop, reaches } from "../../support/queue.ts";
import { browserTest, complaints, openPage, rowOf } from "../../support/browser.ts";

browserTest("dependencies are a tree up and down and a graph, live, and by keyboard", async (browser) => {
  const held = heldType("held", { titleOf: ({ n }) => `Step ${n}` });
  await withApp({ definitions: [held.definition, noop] }, async ({ origin, send, queue }) => {
    const answer = await send("POST", "/api/tasks/batch", {
      tasks: [
        { task_type: "held", input_params: { n: 1 }, ref: "a", max_attempts: 1 },
        { task_type: "held", input_params: { n: 2 }, ref: "b", depends_on: ["a"], max_attempts: 1 },
        { task_type: "held", input_params: { n: 3 }, ref: "c", depends_on: ["a"], max_attempts: 1 },
        { task_type: "held", input_params: { n: 4 }, depends_on: ["b", "c"] },
      ],
    });
    const ids = (await answer.json()).tasks.map(({ id }: { id: string }) => id);
    const first = await held.next();
    const page = await openPage(browser, `${origin}/?task=${ids[1]}&tab=graph`);
    const found = complaints(page);
    await page.getByRole("img", { name: "4 tasks in 3 steps; the tree below names them" }).waitFor();
    assertEquals(await page.locator("svg.graph circle").count(), 4);
    assertEquals(await page.locator("svg.graph path").count(), 4);
    const tree = async (title: string) =>
      (await page.locator(".panel section", { has: page.getByRole("heading", { name: title }) }).locator(".line")
        .allTextContents()).map((text) => text.trim());
    assertEquals(await tree("Depends on"), ["RUNNINGStep 1"]);
    assertEquals(await tree("Needed by"), ["PENDINGStep 4"]);
    first.finish();
    await page.locator("svg.graph circle.success").waitFor();
    assertEquals(await tree("Depends on"), ["SUCCESSStep 1"]);
    await page.locator(".branch").getByRole("link", { name: "Step 4" }).focus();
    await page.keyboard.press("Enter");
    await page.waitForURL(`**/?task=${ids[3]}&tab=graph`);
    await page.getByRole("heading", { name: "Step 4" }).waitFor();
    await page.locator(".branch .line").nth(3).waitFor();
    assertEquals((await tree("Depends on")).length, 4);
    for (let i = 0; i < 2; i++) {
      const handler = await held.next();
      if (handler.ctx.id === ids[2]) handler.fail(new Error("no"));
      else handler.finish();
    }
    await reaches(queue, ids[3], "CANCELLED");
    await page.locator("svg.graph circle.cancelled").waitFor();
    assertEquals((await tree("Depends on")).filter((line) => line.startsWith("FAILED")), ["FAILEDStep 3"]);
    await page.locator("svg.graph circle").first().click();
    await page.waitForURL(`**/?task=${ids[0]}&tab=graph`);
    assertEquals(found, []);
    await queue.bulk.byFilter("cancel", {}, await queue.stream.head());
  });
});

browserTest("a cancelled dependent says by title what failed, with a link to it", async (browser) => {
  await withApp({}, async ({ origin, submit, held, queue }) => {
    const parent = await submit("held", {}, { max_attempts: 1 });
    const handler = await held.next();
    const child = await submit("noop", {}, { depends_on: [parent.id] });
    handler.fail(new Error("no"));
    await reaches(queue, child.id, "CANCELLED");
    const page = await openPage(browser, `${origin}/?task=${child.id}`);
    await page.locator(".details").getByText("Cancelled because “Held” failed.").waitFor();
    await page.getByText("Depends on").getByRole("link", { name: "Held" }).click();
    await page.waitForURL(`**/?task=${parent.id}`);
  });
});

browserTest(
  "the overview answers first when it ran and how long; only what counted is a parameter",
  async (browser) => {
    await withApp({}, async ({ origin, call, submit, queue }) => {
      const body = new FormData();
      body.append("file", new File([Buffer.from("town,people\nA,10\n")], "towns.csv"));
      const { upload_id } = await (await call("/api/uploads", { method: "POST", body })).json();
      const task = await submit("csv_processing", { upload_id });
      await reaches(queue, task.id, "SUCCESS");
      const page = await openPage(browser, `${origin}/?task=${task.id}`);
      const facts = await page.locator("#tab-panel > .fields > div").locator("dt").allTextContents();
      assertEquals(facts.slice(0, 4), ["Started", "Finished", "Took", "Waited"]);
      const names = await page.locator("section", { hasText: "Parameters" }).locator("dt").allTextContents();
      ok(!names.includes("Sample rows") && !names.includes("Simulated duration"), names.join());
      const download = page.waitForEvent("download");
      await page.getByRole("link", { name: "towns.csv" }).last().click();
      assertEquals(await Deno.readTextFile((await (await download).path())!), "town,people\nA,10\n");
      const other = await call(`/api/tasks/${task.id}/files/01ARZ3NDEKTSV4RRFFQ69G5FAV`);
      assertEquals([other.status, (await other.json()).code], [404, "not_found"]);
    });
  },
);

browserTest("a retry by hand is no wait and no backoff, and is told as what it is", async (browser) => {
  await withApp({}, async ({ origin, submit, held, queue }) => {
    const { id } = await submit("held", {}, { max_attempts: 1 });
    (await held.next()).fail(new Error("no"));
    await reaches(queue, id, "FAILED");
    const page = await openPage(browser, `${origin}/?task=${id}`);
    await page.locator(".details").getByRole("button", { name: "Retry", exact: true }).click();
    (await held.next()).finish();
    await page.locator(".details .badge.success").waitFor();
    await page.getByText("2 · 1 retry by hand").waitFor();
    await page.getByRole("tab", { name: "Timeline" }).click();
    await page.getByText("Failed – retried by local", { exact: true }).waitFor();
    assertEquals(await page.getByText("Backoff").count(), 0);
  });
});

browserTest(
  "details expand, keep their section from row to row, and leave title and status in sight",
  async (browser) => {
    await withApp({}, async ({ origin, submit, queue }) => {
      const [one, two] = [await submit("noop"), await submit("noop")];
      for (const { id } of [one, two]) await reaches(queue, id, "SUCCESS");
      const page = await openPage(browser, `${origin}/?task=${one.id}&tab=logs`, {
        viewport: { width: 1280, height: 800 },
      });
      await rowOf(page, two.id).locator(".task a").click();
      await page.waitForURL(`**/?task=${two.id}&tab=logs`);
      for (const column of [".status .badge", ".task a"]) {
        const cut = await rowOf(page, one.id).locator(column).evaluate((node) => {
          const cell = node.closest("td")!;
          return node.getBoundingClientRect().right > cell.getBoundingClientRect().right;
        });
        assertEquals(cut, false, column);
      }
      const overflow = await page.locator(".list table").evaluate((table) =>
        table.getBoundingClientRect().right - table.parentElement!.getBoundingClientRect().right
      );
      ok(overflow <= 0, `the table is ${overflow} px wider than its card`);
      await page.getByRole("link", { name: "Expand" }).click();
      await page.waitForURL(`**&full=1`);
      assertEquals(await page.locator(".work").isVisible(), false);
      ok((await page.locator(".details").boundingBox())!.width > 1_200);
      await page.getByRole("link", { name: "Show the list" }).click();
      await rowOf(page, one.id).waitFor();
      await page.getByRole("button", { name: "Delete", exact: true }).click();
      await page.getByRole("button", { name: "Delete task" }).click();
      await page.getByText("was not found or has expired").waitFor();
      assertEquals((await queue.list({}, 5)).total, 1);
    });
  },
);
