/** Server-sent events: a client that comes back goes on where it was. */

import { statusOf } from "../../../queue/task/record.ts";
import { assertEquals, assertMatch, ok } from "../../support/assert.ts";
import { type Served, withApp } from "../../support/http/app.ts";
import { reaches } from "../../support/queue.ts";

interface Sent {
  id: string;
  event: string;
  data: Record<string, unknown>;
}

/** Reads events until enough have come or the stream ends; then hangs up. */
async function read(
  { call }: Served,
  id: string,
  isEnough: (events: Sent[]) => boolean = () => false,
  lastEventId?: string,
): Promise<Sent[]> {
  const controller = new AbortController();
  const headers: Record<string, string> = { Accept: "text/event-stream" };
  if (lastEventId !== undefined) headers["Last-Event-ID"] = lastEventId;
  const answer = await call(`/api/tasks/${id}/events`, { headers, signal: controller.signal });
  assertEquals(answer.status, 200);
  const events: Sent[] = [];
  let text = "";
  try {
    for await (const piece of answer.body!.pipeThrough(new TextDecoderStream())) {
      text += piece;
      const blocks = text.split("\n\n");
      text = blocks.pop()!;
      for (const block of blocks) {
        const fields = Object.fromEntries(
          block.split("\n").map((line) => [
            line.slice(0, line.indexOf(":")),
            line.slice(line.indexOf(":") + 1).trim(),
          ]),
        );
        if (fields.data === undefined) continue;
        events.push({ id: fields.id, event: fields.event, data: JSON.parse(fields.data) });
        if (isEnough(events)) return events;
      }
    }
    return events;
  } finally {
    controller.abort();
  }
}

/** What tells events apart: log lines and changes of status; tasks come again and again. */
const keysOf = (events: Sent[]) =>
  events.filter(({ event }) => event !== "task").map(({ event, data }) =>
    event === "log" ? `log ${data.attempt}:${data.line}` : `${event} ${data.attempt} ${data.status}`
  );

Deno.test("every event has an id; after a reconnect at any of them nothing comes twice and nothing is missing", async () => {
  await withApp({}, async (served) => {
    const { submit, held, queue } = served;
    const { id } = await submit("held", {}, { max_attempts: 2 });
    const first = await held.next();
    for (let i = 0; i < 5; i++) first.ctx.log.info(`first ${i}`);
    first.fail(new Error("again"));
    const second = await held.next();
    for (let i = 0; i < 5; i++) second.ctx.log.info(`second ${i}`);
    second.finish();
    await reaches(queue, id, "SUCCESS");
    const all = await read(served, id);
    ok(all.every((event) => event.id), JSON.stringify(all));
    assertEquals(new Set(all.map((event) => event.id)).size, all.length);
    const expected = keysOf(all);
    assertEquals(expected.filter((key) => key.startsWith("log")).length, 10);
    assertEquals(new Set(expected).size, expected.length);
    for (const [i, { id: last }] of all.entries()) {
      if (i === all.length - 1) continue;
      const rest = await read(served, id, undefined, last);
      assertEquals(keysOf(all.slice(0, i + 1)).concat(keysOf(rest)), expected, `after event ${i}`);
      assertEquals(rest.at(-1)!.event, "task");
    }
  });
});

Deno.test("an ended task that was told whole answers 204, so that a browser stops asking", async () => {
  await withApp({}, async (served) => {
    const { submit, queue, call } = served;
    const { id } = await submit("noop");
    await reaches(queue, id, "SUCCESS");
    const last = (await read(served, id)).at(-1)!;
    const headers = { Accept: "text/event-stream", "Last-Event-ID": last.id };
    const done = await call(`/api/tasks/${id}/events`, { headers });
    assertEquals([done.status, await done.text()], [204, ""]);
    for (const nonsense of ["", "x", "1/2/3", "9/2030-01-01T00:00:00.000Z:1:SUCCESS/1/1/1"]) {
      const events = await read(served, id, undefined, nonsense);
      assertEquals(events.at(-1)!.data.status, statusOf(await queue.get(id)), nonsense);
    }
  });
});

Deno.test("a task that is retried has more to tell after its end: just that comes", async () => {
  await withApp({}, async (served) => {
    const { submit, held, queue } = served;
    const { id } = await submit("held", {}, { max_attempts: 1 });
    (await held.next()).fail(new Error("no"));
    await reaches(queue, id, "FAILED");
    const before = await read(served, id);
    await queue.retry(id);
    const handler = await held.next();
    handler.ctx.log.info("again");
    handler.finish();
    await reaches(queue, id, "SUCCESS");
    const after = await read(served, id, undefined, before.at(-1)!.id);
    assertEquals(keysOf(after), ["status 1 PENDING", "status 2 RUNNING", "log 2:0", "status 2 SUCCESS"]);
  });
});

Deno.test("a stream that breaks off in the middle of a running task goes on", async () => {
  await withApp({}, async (served) => {
    const { submit, held, queue } = served;
    const { id } = await submit("held");
    const handler = await held.next();
    handler.ctx.log.info("one");
    const before = await read(served, id, (events) => events.some(({ event }) => event === "log"));
    handler.ctx.log.info("two");
    handler.finish();
    const after = await read(served, id, undefined, before.at(-1)!.id);
    await reaches(queue, id, "SUCCESS");
    const keys = keysOf([...before, ...after]);
    assertEquals(new Set(keys).size, keys.length);
    assertEquals(keys.filter((key) => key.startsWith("log")), ["log 1:0", "log 1:1"]);
    assertMatch(keys.at(-1)!, /SUCCESS/);
  });
});
