/** JSON that is nested too deeply is refused wherever it comes in, and what is stored is drawn. */

import { taskMessage } from "../../../queue/submit/inbox.ts";
import { InvalidInputError } from "../../../queue/task/errors.ts";
import { assertEquals, assertMatch, assertThrows } from "../../support/assert.ts";
import { withApp } from "../../support/http/app.ts";
import type { Json } from "../../../queue/task/record.ts";

const nested = (levels: number) => JSON.parse("[".repeat(levels) + "]".repeat(levels)) as Json;

Deno.test("deep JSON is 422 with its pointer at every door, and costs nothing", async () => {
  await withApp({ worker: false }, async ({ call, queue }) => {
    const task = (levels: number) => ({
      task_type: "webhook_delivery",
      input_params: { url: "https://x.example/", body: nested(levels) },
    });
    const post = async (path: string, body: unknown) => {
      const answer = await call(path, {
        method: "POST",
        body: JSON.stringify(body),
        headers: { "Content-Type": "application/json" },
      });
      const { errors } = await answer.json();
      return [answer.status, errors?.[0].pointer, errors?.[0].detail];
    };
    const detail = "Objects and arrays may be nested 64 levels deep.";
    for (const levels of [63, 460, 1_880, 100_000]) {
      const rest = (above: number) => "/0".repeat(64 - above);
      assertEquals(await post("/api/tasks/submit", task(levels)), [422, `/input_params/body${rest(2)}`, detail]);
      assertEquals(await post("/api/tasks/batch", { tasks: [task(levels)] }), [
        422,
        `/tasks/0/input_params/body${rest(4)}`,
        detail,
      ]);
      assertEquals(await post("/api/schedules", { cron: "0 0 * * *", ...task(levels) }), [
        422,
        `/input_params/body${rest(2)}`,
        detail,
      ]);
    }
    assertThrows(() => void taskMessage(task(1_000)), InvalidInputError);
    assertEquals((await queue.list({}, 10)).states, []);
    assertEquals((await post("/api/tasks/submit", task(62)))[0], 201);
  });
});

Deno.test("a deep frame is refused as every wrong frame is", async () => {
  await withApp({ worker: false }, async ({ origin }) => {
    const socket = new WebSocket(`${origin.replace("http", "ws")}/ws`);
    const frames: unknown[] = [];
    socket.onmessage = ({ data }) => frames.push(JSON.parse(data));
    const closed = new Promise<CloseEvent>((resolve) => socket.onclose = resolve);
    await new Promise((resolve) => socket.onopen = resolve);
    socket.send(JSON.stringify({ type: "subscribe", sub: "a", deep: nested(3_000) }));
    assertEquals((await closed).code, 1008);
    const pointer = `/deep${"/0".repeat(63)}`;
    assertEquals(frames.at(-1), {
      type: "error",
      code: "invalid_input",
      detail: "The frame is well-formed but invalid; see errors.",
      errors: [{ pointer, detail: "Objects and arrays may be nested 64 levels deep." }],
    });
  });
});

Deno.test("the page draws a task whose stored values are nested as deeply as older versions let through", async () => {
  await withApp({ worker: false }, async ({ call, kv, submit }) => {
    const { id } = await submit("webhook_delivery", { url: "https://x.example/", body: "deep" });
    const { value } = await kv.get<Uint8Array>(["task", id]);
    const record = new TextDecoder().decode(value!).replace('"deep"', JSON.stringify(nested(460)));
    await kv.set(["task", id], new TextEncoder().encode(record));
    const page = await call(`/?task=${id}`);
    assertEquals(page.status, 200);
    assertMatch(await page.text(), /\[{400,}/);
  });
});
