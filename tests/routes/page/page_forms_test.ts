import * as z from "zod";
import { defineTask } from "../../../queue/define.ts";
import { assertEquals, ok } from "../../support/assert.ts";
import { withApp } from "../../support/http/app.ts";

const grouped = defineTask({
  type: "grouped",
  title: "Grouped",
  description: "Groups and options.",
  params: z.strictObject({
    steps: z.array(z.strictObject({ what: z.string().min(1) })).max(3),
    level: z.int().min(1).max(3).default(1),
    flag: z.boolean().default(true),
  }),
  example: { steps: [{ what: "look" }] },
  run: () => Promise.resolve(null),
});

function formOf(fields: Record<string, string>): FormData {
  const form = new FormData();
  form.set("task_type", "grouped");
  for (const [name, value] of Object.entries(fields)) form.set(name, value);
  return form;
}

Deno.test("a plain form is read by its pointers: groups, options, what is unchecked", async () => {
  await withApp({ definitions: [grouped], worker: false }, async ({ call, queue }) => {
    const tomorrow = new Date(Date.now() + 86_400_000).toISOString().slice(0, 16);
    const body = formOf({
      "params/input_params/steps/0/what": "one",
      "params/input_params/steps/1/what": "two",
      "params/input_params/level": "2",
      "params/priority": "7",
      "params/run_at": tomorrow,
      "params/tags": "a\r\nb\r\n",
    });
    const answer = await call("/tasks", { method: "POST", body, redirect: "manual" });
    await answer.body?.cancel();
    assertEquals(answer.status, 303);
    const { states: [{ task }] } = await queue.list({}, 1);
    assertEquals(task.input_params, { steps: [{ what: "one" }, { what: "two" }], level: 2, flag: false });
    assertEquals([task.priority, task.run_at, task.tags], [7, Date.parse(`${tomorrow}:00Z`), ["a", "b"]]);
  });
});

Deno.test("what a plain form gets wrong comes back at its field, and a form of nonsense costs nothing", async () => {
  await withApp({ definitions: [grouped], worker: false }, async ({ call, queue }) => {
    const post = async (fields: Record<string, string>) => {
      const answer = await call("/tasks", { method: "POST", body: formOf(fields), redirect: "manual" });
      return { status: answer.status, text: await answer.text() };
    };
    const wrong = await post({
      "params/input_params/steps/0/what": "one",
      "params/input_params/level": "9",
      "params/priority": "77",
    });
    assertEquals(wrong.status, 422);
    ok(wrong.text.includes("Priority must be 0–9. You entered 77."), "the option says what is wrong");
    const level = await post({ "params/input_params/steps/0/what": "one", "params/input_params/level": "9" });
    assertEquals(level.status, 422);
    ok(level.text.includes('id="error/input_params/level"'), "the error stands at its field");
    const far = await post({
      "params/input_params/steps/999999999/what": "far",
      "params/input_params/steps/x/what": "x",
    });
    assertEquals(far.status, 422);
    assertEquals((await queue.list({}, 1)).total, 0);
  });
});

Deno.test("an example is submitted by one click, and only where there is one", async () => {
  await withApp({ definitions: [grouped], worker: false }, async ({ call, queue }) => {
    const post = (task_type: string) =>
      call("/examples", { method: "POST", body: new URLSearchParams({ task_type }), redirect: "manual" });
    const answer = await post("grouped");
    await answer.body?.cancel();
    const { states: [{ task }] } = await queue.list({}, 1);
    assertEquals([answer.status, answer.headers.get("Location")], [303, `/?task=${task.id}`]);
    const none = await post("bulk");
    await none.body?.cancel();
    assertEquals(none.status, 404);
  });
});
