/** Forms: by keyboard, errors at their fields, every keyword of the schema, uploads (scenarios 3 to 6). */

import { Buffer } from "node:buffer";
import * as z from "zod";
import { defineTask } from "../../../queue/define.ts";
import type { Json } from "../../../queue/task/record.ts";
import { assertEquals, ok } from "../../support/assert.ts";
import { withApp } from "../../support/http/app.ts";
import { reaches } from "../../support/queue.ts";
import { browserTest, complaints, isLive, openPage, rowIds, rowOf } from "../../support/browser.ts";

browserTest("each type by keyboard alone: the new row gets the focus and reaches SUCCESS live", async (browser) => {
  await withApp({}, async ({ origin }) => {
    const page = await openPage(browser, origin);
    const found = complaints(page);
    const values: Record<string, [label: string, value: string][]> = {
      "Process a CSV": [["Sample rows", "100"], ["Simulated duration", "5"]],
      "Send emails": [["Sample messages", "1"]],
      "Resize images": [["Sample images", "1"], ["Width", "120"], ["Height", "100"]],
    };
    for (const [type, fields] of Object.entries(values)) {
      await page.keyboard.press("n");
      const dialog = page.getByRole("dialog", { name: "New task" });
      await dialog.waitFor();
      const tab = dialog.getByRole("link", { name: type });
      if (await tab.getAttribute("aria-current") === null) {
        await tab.focus();
        await page.keyboard.press("Enter");
      }
      for (const [label, value] of fields) {
        const field = dialog.getByLabel(new RegExp(`^${label}`)).and(dialog.locator("input[type=number]"));
        await field.focus();
        await page.keyboard.press("Control+a");
        await page.keyboard.type(value);
      }
      const before = await rowIds(page);
      await page.keyboard.press("Control+Enter");
      await dialog.waitFor({ state: "detached" });
      await page.waitForFunction((count) => document.querySelectorAll("tr[data-id]").length > count, before.length);
      const [id] = await rowIds(page);
      await page.waitForFunction((id) => document.activeElement?.closest("tr")?.getAttribute("data-id") === id, id);
      await rowOf(page, id).locator(".badge.success").waitFor();
      await page.keyboard.press("Escape");
    }
    assertEquals(found, []);
  });
});

/** A type with every keyword that forms know, one that they do not, and a rule that only the server has. */
const fixture = defineTask({
  type: "fixture",
  title: "Fixture",
  description: "Every kind of field.",
  params: z.strictObject({
    name: z.string().min(2).max(20).refine((name) => name !== "taken", "This name is taken."),
    essay: z.string().max(600).optional().meta({ "x-multiline": true, title: "Essay" }),
    mail: z.email().optional().meta({ title: "Mail" }),
    site: z.url().optional().meta({ title: "Site" }),
    at: z.iso.datetime({ offset: true }).optional().meta({ title: "At" }),
    width: z.int().min(16).max(8_000).multipleOf(8).default(800).meta({ title: "Width", "x-unit": "px" }),
    share: z.number().min(0).max(100).default(50).meta({ title: "Share", "x-unit": "%", "x-slider": true }),
    flag: z.boolean().default(false).meta({ title: "Flag" }),
    fit: z.enum(["a", "b"]).default("a").meta({ title: "Fit", "x-enumLabels": ["Alpha", "Beta"] }),
    kind: z.enum(["k1", "k2", "k3", "k4", "k5", "k6"]).default("k1").meta({ title: "Kind" }),
    to: z.array(z.email()).min(1).max(3).optional().meta({ title: "To" }),
    names: z.record(z.string(), z.string()).optional().meta({ title: "Names" }),
    box: z.strictObject({ depth: z.int().min(1).max(9).default(2).meta({ title: "Depth" }) }).optional().meta({
      title: "Box",
    }),
    steps: z.array(z.strictObject({ what: z.string().min(1).meta({ title: "What" }) })).max(3).optional()
      .meta({ title: "Steps" }),
    fixed: z.literal("always").meta({ title: "Fixed" }),
    anything: z.union([z.string(), z.int()]).optional().meta({ title: "Anything" }),
  }),
  run: ({ params }) => Promise.resolve(params as Json),
});

browserTest(
  "every keyword of a schema is a control that validates; an unknown one is a box for JSON",
  async (browser) => {
    await withApp({ definitions: [fixture] }, async ({ origin, queue }) => {
      const page = await openPage(browser, `${origin}/?new=fixture`);
      const dialog = page.getByRole("dialog", { name: "New task" });
      const fill = async (label: string, value: string) => {
        await dialog.getByLabel(label).and(dialog.locator("input, textarea")).first().fill(value);
      };
      await dialog.getByText("16–8,000 px").waitFor();
      await dialog.getByRole("button", { name: "Submit", exact: true }).click();
      await dialog.getByText("Error: Name is missing.").waitFor();
      ok(
        await dialog.locator(".error-box").evaluate((box) => box === document.activeElement),
        "the summary has the focus",
      );

      await fill("Name", "x");
      await fill("Essay", "e".repeat(550));
      await dialog.getByText("550 of 600 characters").waitFor();
      await fill("Mail", "nobody");
      await fill("Site", "nowhere");
      await fill("Width", "9000");
      await dialog.getByLabel(/^To/).and(dialog.locator("textarea")).fill("a@example.com\nb@\nc@example.com");
      await dialog.getByText("3 addresses, 1 invalid (line 2)").waitFor();
      await fill("Names", "novalue");
      await fill("Anything", "{");
      await dialog.getByLabel("What", { exact: true }).first().fill("");
      await dialog.getByRole("button", { name: "Submit", exact: true }).click();
      for (
        const text of [
          "Error: Name needs 2 characters or more.",
          "Error: Mail must be an address such as ana@example.com.",
          "Error: Site must be a URL such as https://example.com/path.",
          "Error: Width must be 16–8,000 px. You entered 9,000.",
          "Error: To: 1 invalid (line 2).",
          "Error: “novalue” is not name=value.",
          "Error: What is missing.",
        ]
      ) await dialog.getByText(text).waitFor();
      await dialog.getByText(/Error: This is not valid JSON/).waitFor();
      assertEquals(await dialog.getByLabel("Width").getAttribute("aria-invalid"), "true");

      await fill("Name", "right");
      await fill("Mail", "ana@example.com");
      await fill("Site", "https://example.com/");
      await dialog.getByLabel(/^At \(/).fill("2030-05-06T07:08:09");
      await fill("Width", "808");
      await dialog.getByRole("slider", { name: "Share, slider" }).fill("75");
      assertEquals(await dialog.locator('[id="field/input_params/share"]').inputValue(), "75");
      await dialog.getByLabel("Flag", { exact: true }).check();
      await dialog.getByLabel("Beta").check();
      await dialog.getByLabel(/^Kind/).selectOption("k6");
      await dialog.getByLabel(/^To/).and(dialog.locator("textarea")).fill("a@example.com\nc@example.com");
      await fill("Names", "old=new");
      await fill("Depth", "3");
      await dialog.getByLabel("What", { exact: true }).first().fill("first");
      await dialog.getByRole("button", { name: "Add" }).click();
      await dialog.getByLabel("What", { exact: true }).nth(1).fill("second");
      await dialog.getByRole("button", { name: "Move up" }).nth(1).click();
      await fill("Anything", "7");
      await dialog.getByRole("button", { name: "Submit", exact: true }).click();
      await dialog.waitFor({ state: "detached" });
      const { states: [{ task }] } = await queue.list({}, 1);
      assertEquals(task.input_params, {
        name: "right",
        essay: "e".repeat(550),
        mail: "ana@example.com",
        site: "https://example.com/",
        at: "2030-05-06T07:08:09.000Z",
        width: 808,
        share: 75,
        flag: true,
        fit: "b",
        kind: "k6",
        to: ["a@example.com", "c@example.com"],
        names: { old: "new" },
        box: { depth: 3 },
        steps: [{ what: "second" }, { what: "first" }],
        fixed: "always",
        anything: 7,
      });
    });
  },
);

browserTest(
  "what the server refuses lands at the same field, values are kept, and nothing is made twice",
  async (browser) => {
    await withApp({ definitions: [fixture] }, async ({ origin, queue }) => {
      const page = await openPage(browser, `${origin}/?new=fixture`);
      const dialog = page.getByRole("dialog", { name: "New task" });
      await dialog.getByLabel("Name", { exact: false }).first().fill("taken");
      await dialog.getByLabel("What", { exact: true }).first().fill("w");
      await dialog.getByLabel("Width").fill("88");
      await dialog.getByRole("button", { name: "Submit", exact: true }).click();
      await dialog.getByText("Error: This name is taken.").waitFor();
      assertEquals(await dialog.getByLabel("Width").inputValue(), "88");
      await dialog.getByRole("link", { name: "This name is taken." }).click();
      assertEquals(await page.evaluate(() => document.activeElement?.id), "field/input_params/name");

      // The first answer is lost on its way: the same key gives the same task.
      let posts = 0;
      await page.route("**/api/tasks/submit", async (route) => {
        if (++posts > 1) return route.continue();
        await route.fetch();
        await route.abort("connectionreset");
      });
      await dialog.getByLabel("Name", { exact: false }).first().fill("free");
      await dialog.getByRole("button", { name: "Submit", exact: true }).dblclick();
      await dialog.getByText("Can't reach the server. Your entries are kept; try again.").waitFor();
      await dialog.getByRole("button", { name: "Submit", exact: true }).click();
      await dialog.waitFor({ state: "detached" });
      assertEquals((await queue.list({}, 10)).total, 1);
      assertEquals(posts, 2);

      // A draft survives closing and loading.
      await page.keyboard.press("n");
      await dialog.getByLabel("Name", { exact: false }).first().fill("draft");
      await page.keyboard.press("Escape");
      await dialog.waitFor({ state: "detached" });
      await page.goto(`${origin}/?new=fixture`);
      await page.waitForFunction(() =>
        (document.getElementById("field/input_params/name") as HTMLInputElement | null)?.value === "draft"
      );
    });
  },
);

const csv = (name: string, text: string) => ({ name, mimeType: "text/csv", buffer: Buffer.from(text) });

browserTest(
  "uploads: too large, of the wrong kind, cancelled midway, broken and tried again, three files are three tasks",
  async (browser) => {
    await withApp({ maxUploadBytes: 300_000 }, async ({ origin, queue }) => {
      const page = await openPage(browser, `${origin}/?new=csv_processing`);
      const dialog = page.getByRole("dialog", { name: "New task" });
      const input = dialog.locator('input[type="file"]');
      const submit = dialog.getByRole("button", { name: "Submit", exact: true });
      await dialog.getByLabel("My data").check();
      await dialog.getByText("CSV, TSV, TXT, GZ or ZIP, up to 300 kB").waitFor();
      await submit.click();
      await dialog.getByText("Error: CSV file: missing.").waitFor();
      await input.setInputFiles(csv("large.csv", "a\n" + "x\n".repeat(200_000)));
      await dialog.getByText("large.csv is 400 kB; the limit is 300 kB.").first().waitFor();
      await input.setInputFiles({ name: "photo.png", mimeType: "image/png", buffer: Buffer.from("x") });
      await dialog.getByText("photo.png is of the wrong type. Use CSV, TSV, TXT, GZ or ZIP.").first().waitFor();
      await submit.click();
      await dialog.locator(".error-box").waitFor();
      assertEquals((await queue.list({}, 1)).total, 0);

      await input.setInputFiles(csv("towns.csv", "town,people\nAarau,21\nBern,134\n"));
      await dialog.getByText("towns.csv, 30 B: 2 rows, 2 columns").waitFor();
      await dialog.getByRole("cell", { name: "Aarau" }).waitFor();

      let mode: "hang" | "break" | "pass" = "hang";
      let release: () => void = () => {};
      await page.route("**/api/uploads?*", async (route) => {
        if (mode === "hang") await new Promise<void>((resolve) => release = resolve);
        if (mode === "pass") await route.continue();
        else await route.abort("connectionreset").catch(() => {});
      });
      await submit.click();
      await dialog.getByText("0 of 1 uploaded…").waitFor();
      await dialog.getByRole("button", { name: "Cancel" }).click();
      await dialog.getByText("Error: towns.csv: cancelled.").waitFor();
      mode = "break";
      release();
      await dialog.getByRole("button", { name: "Try again" }).click();
      await dialog.getByText("Error: towns.csv: the connection was lost.").waitFor();
      mode = "pass";
      await input.setInputFiles([csv("a.csv", "n\n1\n"), csv("b.csv", "n\n2\n"), csv("c.csv", "n\n3\n")]);
      await dialog.getByText("Creates 3 tasks, one for each file.").waitFor();
      await submit.click();
      await dialog.waitFor({ state: "detached" });
      await page.getByText("3 tasks created.").waitFor();
      const { states } = await queue.list({}, 10);
      assertEquals(states.map(({ task }) => task.title).sort(), ["a.csv", "b.csv", "c.csv"]);
      for (const { task } of states) await reaches(queue, task.id, "SUCCESS");
    });
  },
);

browserTest("what was entered and chosen before the form's script came is kept", async (browser) => {
  for (const type of ["fixture", "csv_processing"]) {
    await withApp({ ...type === "fixture" ? { definitions: [fixture] } : {}, worker: false }, async ({ origin }) => {
      const page = await (await browser.newContext()).newPage();
      const script = Promise.withResolvers<void>();
      await page.route("**/static/build/later-*", async (route) => {
        await script.promise;
        await route.continue();
      });
      await page.goto(`${origin}/?new=${type}`);
      await isLive(page);
      const dialog = page.getByRole("dialog", { name: "New task" });
      if (type === "csv_processing") {
        await dialog.getByLabel("My data").check();
        await dialog.locator('input[type="file"]').setInputFiles(csv("towns.csv", "town,people\nAarau,21\n"));
        script.resolve();
        await dialog.getByText("towns.csv, 21 B: 1 row, 2 columns").waitFor();
        // What was not touched stays as it was: nothing else is opened or kept as a draft.
        assertEquals(await dialog.locator("details[open]").count(), 0);
        assertEquals(await page.evaluate(() => sessionStorage.length), 0);
        return;
      }
      const name = dialog.getByLabel("Name", { exact: false }).first();
      await dialog.getByLabel("Flag", { exact: true }).check();
      await dialog.getByLabel("Beta").check();
      await dialog.getByLabel(/^Kind/).selectOption("k6");
      await dialog.getByLabel("What", { exact: true }).first().fill("soon");
      await name.fill("x");
      script.resolve();
      await dialog.locator("form[novalidate]").waitFor();
      assertEquals(
        [
          await name.inputValue(),
          await dialog.getByLabel("Flag", { exact: true }).isChecked(),
          await dialog.getByLabel("Beta").isChecked(),
          await dialog.getByLabel(/^Kind/).inputValue(),
          await dialog.getByLabel("What", { exact: true }).first().inputValue(),
          await page.evaluate(() => document.activeElement?.id),
        ],
        ["x", true, true, "k6", "soon", "field/input_params/name"],
      );
      await dialog.getByLabel("Width").focus();
      await dialog.getByText("Error: Name needs 2 characters or more.").waitFor();
    });
  }
});

browserTest("the same form twice is two tasks, and the focus is on the newer one", async (browser) => {
  await withApp({ worker: false }, async ({ origin, queue }) => {
    const page = await openPage(browser, `${origin}/?new=noop`);
    const dialog = page.getByRole("dialog", { name: "New task" });
    for (let tasks = 1; tasks <= 3; tasks++) {
      await dialog.getByRole("button", { name: "Submit", exact: true }).click();
      await dialog.waitFor({ state: "detached" });
      const { states: [{ task }], total } = await queue.list({}, 1);
      assertEquals(total, tasks);
      await page.waitForFunction(
        (id) => document.activeElement?.closest("tr")?.getAttribute("data-id") === id,
        task.id,
      );
      await page.keyboard.press("n");
      await dialog.getByRole("link", { name: "Nothing" }).click();
    }
  });
});

browserTest("an empty installation: one click, and a bar moves", async (browser) => {
  await withApp({}, async ({ origin }) => {
    const page = await openPage(browser, origin);
    await page.getByRole("link", { name: "Use my own data: Process a CSV" }).click();
    ok(await page.getByLabel("My data").isChecked());
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Run an example: Process a CSV" }).click();
    await page.waitForFunction(() =>
      (document.querySelector<HTMLProgressElement>(".details progress")?.value ?? 0) > 5
    );
    assertEquals(await page.title().then((title) => /% Sample: 2,000 orders — Live — Millrace/.test(title)), true);
    assertEquals(await page.locator('link[rel="icon"]').getAttribute("href"), "static/icon-busy.svg");
  });
});

browserTest(
  "a submit whose outcome is not known is sent again, with its key, once the service's time is over",
  async (browser) => {
    await withApp({ worker: false }, async ({ origin, queue }) => {
      const page = await openPage(browser, `${origin}/?new=noop`);
      await page.clock.install();
      const sent: (string | undefined)[] = [];
      await page.route("**/api/tasks/submit", async (route) => {
        sent.push(route.request().headers()["idempotency-key"]);
        if (sent.length > 1) return await route.fallback();
        await route.fulfill({ status: 503, headers: { "Retry-After": "20" }, json: { code: "outcome_unknown" } });
      });
      const dialog = page.getByRole("dialog", { name: "New task" });
      const refused = page.waitForResponse("**/api/tasks/submit");
      await dialog.getByRole("button", { name: "Submit", exact: true }).click();
      await refused;
      // The page has seen the answer and waits.
      await page.clock.runFor(19_000);
      assertEquals(sent.length, 1);
      // Half as long again at most, so that not all pages come at once.
      while (sent.length < 2) await page.clock.runFor(1_000);
      await dialog.waitFor({ state: "detached" });
      assertEquals(sent, [sent[0], sent[0]]);
      assertEquals((await queue.list({}, 1)).total, 1);
    });
  },
);
