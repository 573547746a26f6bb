import type { SeriesAnswer, Stats } from "../../../queue/task/api_types.ts";
import { assertEquals, assertMatch } from "../../support/assert.ts";
import { withApp } from "../../support/http/app.ts";
import { allReach, reaches } from "../../support/queue.ts";

Deno.test("GET /api/series answers buckets of a range, and refuses one that it does not know", async () => {
  await withApp({}, async ({ call, submit, queue }) => {
    const { id } = await submit("noop");
    await reaches(queue, id, "SUCCESS");
    const series: SeriesAnswer = await (await call("/api/series?range=1h&task_type=noop")).json();
    assertEquals([series.buckets.length, series.bucket_seconds], [60, 60]);
    assertEquals(series.buckets.reduce((sum, { succeeded }) => sum + succeeded, 0), 1);
    const wrong = await call("/api/series?range=2h");
    assertEquals(wrong.status, 400);
    assertEquals((await wrong.json()).errors[0].parameter, "range");
    const proto = await call("/api/series?range=toString");
    assertEquals(proto.status, 400);
    await proto.body?.cancel();
  });
});

Deno.test("GET /api/me tells who calls and what they may do", async () => {
  const tokens = [
    { name: "vera", role: "viewer" as const, secret: "viewer-secret-0123456789" },
    { name: "otto", role: "operator" as const, secret: "operator-secret-0123456789" },
  ];
  await withApp({ tokens }, async ({ call }) => {
    const me = async (secret: string) =>
      await (await call("/api/me", { headers: { Authorization: `Bearer ${secret}` } })).json();
    assertEquals(await me(tokens[0].secret), { name: "vera", role: "viewer", permissions: ["view"] });
    assertEquals(await me(tokens[1].secret), {
      name: "otto",
      role: "operator",
      permissions: ["view", "submit", "cancel", "retry", "pause", "schedule"],
    });
  });
});

Deno.test("a socket that follows the numbers is told at once, when they change, and of a pause", async () => {
  await withApp({}, async ({ origin, send, queue }) => {
    const socket = new WebSocket(`${origin.replace("http", "ws")}/ws`);
    const frames: Stats[] = [];
    let wake: () => void = () => {};
    socket.onmessage = ({ data }) => {
      const frame = JSON.parse(data);
      if (frame.type === "stats") frames.push(frame.stats);
      wake();
    };
    await new Promise((resolve) => socket.onopen = resolve);
    socket.send(JSON.stringify({ type: "subscribe", sub: "numbers", stats: true }));
    const until = async (look: () => boolean) => {
      while (!look()) await new Promise<void>((resolve) => wake = resolve);
    };
    await until(() => frames.length > 0);
    assertEquals(frames[0].total, 0);
    const tasks = Array.from({ length: 100 }, () => ({ task_type: "noop" }));
    await (await send("POST", "/api/tasks/batch", { tasks })).body?.cancel();
    await allReach(queue, 100, "SUCCESS");
    await until(() => frames.at(-1)!.by_status.SUCCESS === 100);
    await queue.pause("noop", "ana", "lunch");
    await until(() => frames.at(-1)!.paused.noop?.reason === "lunch");
    const closed = new Promise((resolve) => socket.onclose = resolve);
    socket.close();
    await closed;
  });
});

Deno.test("the log is read in pages from either end, and whole as text", async () => {
  await withApp({}, async ({ call, submit, held }) => {
    const { id } = await submit("held");
    const { ctx, finish } = await held.next();
    for (let i = 0; i < 250; i++) ctx.log.info(`line ${i}`);
    await ctx.checkpoint(null);
    const read = async (query: string) => await (await call(`/api/tasks/${id}/logs?${query}`)).json();
    const last = await read("before=end&limit=100");
    assertEquals([last.lines[0].text, last.lines.at(-1).text, last.first], ["line 150", "line 249", "1:150"]);
    const before = await read(`before=${last.first}&limit=100`);
    assertEquals([before.lines[0].text, before.lines.at(-1).text], ["line 50", "line 149"]);
    const rest = await read(`before=${before.first}&limit=100`);
    assertEquals([rest.lines.length, rest.lines[0].text], [50, "line 0"]);
    assertEquals((await read("before=1:0")).lines, []);
    for (const query of ["before=x", "after=1", "before=end&after=1:1", "limit=0"]) {
      const answer = await call(`/api/tasks/${id}/logs?${query}`);
      assertEquals(answer.status, 400, query);
      await answer.body?.cancel();
    }
    const text = await (await call(`/api/tasks/${id}/logs.txt`)).text();
    const lines = text.trimEnd().split("\n");
    assertEquals(lines.length, 250);
    assertMatch(lines[7], /^\d{4}-\d\d-\d\dT[\d:.]+Z 1 INFO {2}line 7$/);
    finish();
  });
});

Deno.test("pages lead both ways, also where the list is searched", async () => {
  await withApp({ worker: false }, async ({ call, send }) => {
    const tasks = Array.from({ length: 25 }, () => ({ task_type: "noop" }));
    await (await send("POST", "/api/tasks/batch", { tasks })).body?.cancel();
    for (const filter of ["", "&q=noop", "&order=oldest"]) {
      const read = async (cursor: string) =>
        await (await call(`/api/tasks/?limit=10${filter}${cursor && `&cursor=${cursor}`}`)).json();
      const ids = ({ tasks }: { tasks: { id: string }[] }) => tasks.map(({ id }) => id);
      const first = await read("");
      const second = await read(first.next_cursor);
      const third = await read(second.next_cursor);
      assertEquals([first.prev_cursor, second.prev_cursor, third.next_cursor], [null, "", null]);
      assertEquals(ids(await read(third.prev_cursor)), ids(second));
      assertEquals(ids(await read(second.prev_cursor)), ids(first));
    }
  });
});
