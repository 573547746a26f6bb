import type { TaskSummary } from "../../../queue/task/summary.ts";
import { assertEquals, assertMatch, ok } from "../../support/assert.ts";
import { Queue } from "../../../queue/queue.ts";
import { createApp } from "../../../routes/app.ts";
import type { ServerSocket } from "../../../routes/env.ts";
import { appOptions, type Served, withApp } from "../../support/http/app.ts";
import { driven, FakeClock } from "../../support/fake_clock.ts";
import { allReach, noop, reaches } from "../../support/queue.ts";
import { dialWebSocket, frame, readUntil, writeAll } from "../../support/http/raw_socket.ts";
import { countingReads } from "../../support/kv/reads_kv.ts";
import { listeningEnds } from "../../../queue/watch/messages.ts";

interface Frame {
  type: string;
  sub?: string;
  since?: string;
  tasks?: (TaskSummary & { matches?: boolean; deleted?: boolean })[];
  events?: { kind: string; text?: string; status?: string }[];
  code?: string;
  detail?: string;
  errors?: { pointer: string }[];
}

/** A client of the stream. */
class Client {
  readonly frames: Frame[] = [];
  readonly socket: WebSocket;
  #wake: () => void = () => {};
  closed: Promise<CloseEvent>;
  /** Newest state of each task, as a client keeps it. */
  readonly tasks = new Map<string, TaskSummary>();
  since = "";

  constructor(origin: string) {
    this.socket = new WebSocket(`${origin.replace("http", "ws")}/ws`);
    this.socket.onmessage = ({ data }) => {
      const frame: Frame = JSON.parse(data);
      this.frames.push(frame);
      for (const task of frame.tasks ?? []) {
        const known = this.tasks.get(task.id);
        ok(!known || task.version >= known.version, "the stream went backwards");
        const { matches: _, ...plain } = task;
        if (task.deleted) this.tasks.delete(task.id);
        else this.tasks.set(task.id, plain);
      }
      if (frame.since) this.since = frame.since;
      this.#wake();
    };
    this.closed = new Promise((resolve) => this.socket.onclose = resolve);
  }

  send(frame: unknown): void {
    this.socket.send(typeof frame === "string" ? frame : JSON.stringify(frame));
  }

  /** Resolves with the first frame, from now or before, that fits. */
  async frame(fits: (frame: Frame) => boolean): Promise<Frame> {
    while (true) {
      const come = new Promise<void>((resolve) => this.#wake = resolve);
      const found = this.frames.find(fits);
      if (found) return found;
      await come;
    }
  }

  async close(): Promise<void> {
    this.socket.close();
    await this.closed;
  }
}

async function connect({ origin }: Served, subscribe?: Record<string, unknown>): Promise<Client> {
  const client = new Client(origin);
  await client.frame(({ type }) => type === "hello");
  if (subscribe) client.send({ type: "subscribe", ...subscribe });
  return client;
}

Deno.test("a subscription gives a snapshot and then every change, in batches", async () => {
  await withApp({}, async (served) => {
    const before = await served.submit("held");
    const handler = await served.held.next();
    const client = await connect(served, { sub: "all" });
    const snapshot = await client.frame(({ type }) => type === "snapshot");
    assertEquals(snapshot.tasks!.map(({ id, status }) => [id, status]), [[before.id, "RUNNING"]]);
    handler.ctx.progress(50, "half");
    await client.frame(({ type, tasks }) => type === "tasks" && tasks!.some(({ progress }) => progress === 50));
    handler.finish();
    const done = await client.frame(({ tasks }) => !!tasks?.some(({ status }) => status === "SUCCESS"));
    assertEquals(done.sub, "all");
    await client.close();
  });
});

Deno.test("filters by type and status hold, and a task that leaves the filter is told with matches false", async () => {
  await withApp({}, async (served) => {
    const client = await connect(served, { sub: "running", statuses: ["RUNNING"], task_types: ["held"] });
    await client.frame(({ type }) => type === "snapshot");
    await served.submit("noop");
    const task = await served.submit("held");
    const handler = await served.held.next();
    const shows = (matches: boolean) =>
      client.frame(({ type, tasks }) => type === "tasks" && tasks!.some((one) => one.matches === matches));
    await shows(true);
    handler.finish();
    await shows(false);
    assertEquals([...client.tasks.keys()], [task.id]);
    await client.close();
  });
});

Deno.test("one task can be followed with its log and its changes of status", async () => {
  await withApp({}, async (served) => {
    const task = await served.submit("held");
    const handler = await served.held.next();
    handler.ctx.log.info("before");
    await handler.ctx.checkpoint(1);
    const client = await connect(served, { sub: "one", id: task.id });
    await client.frame(({ events }) => !!events?.some(({ text }) => text === "before"));
    handler.ctx.log.info("after");
    await client.frame(({ events }) => !!events?.some(({ text }) => text === "after"));
    handler.finish();
    await client.frame(({ events }) => !!events?.some(({ status }) => status === "SUCCESS"));
    const texts = client.frames.flatMap(({ events }) => events ?? []).map(({ text }) => text).filter(Boolean);
    assertEquals(texts, ["before", "after"]);
    await client.close();
  });
});

Deno.test("a client that drops and comes back with since ends with the same picture as a fresh GET", async () => {
  await withApp({}, async (served) => {
    const { submit, held, call, queue } = served;
    const first = await connect(served, { sub: "all" });
    const kept = await submit("held");
    const handler = await held.next();
    await first.frame(({ tasks }) => !!tasks?.some(({ status }) => status === "RUNNING"));
    await first.close();

    // While it is away: one ends, one is cancelled, many come and go.
    handler.finish();
    await reaches(queue, kept.id, "SUCCESS");
    const gone = await submit("held", {}, { delay: 3_600 });
    await queue.cancel(gone.id);
    for (let i = 0; i < 30; i++) await submit("noop");
    await allReach(queue, 32, "SUCCESS", "CANCELLED");

    const second = await connect(served);
    for (const [id, task] of first.tasks) second.tasks.set(id, task);
    second.send({ type: "subscribe", sub: "all", since: first.since });
    const { tasks, as_of } = await (await call("/api/tasks/?limit=200")).json();
    await second.frame(({ since }) => since !== undefined && since >= as_of);
    assertEquals(second.frames.some(({ type }) => type === "resync" || type === "snapshot"), false);
    const picture = [...second.tasks.values()].sort((a, b) => a.id < b.id ? 1 : -1);
    assertEquals(picture, tasks);
    await second.close();
  });
});

Deno.test("a since that is not known (any more) gets resync and a snapshot", async () => {
  await withApp({}, async (served) => {
    await served.submit("noop");
    for (const since of ["nonsense", "ffffffffffffffffffff"]) {
      const client = await connect(served, { sub: "all", since });
      await client.frame(({ type }) => type === "resync");
      await client.frame(({ type }) => type === "snapshot");
      await client.close();
    }
  });
});

Deno.test("a wrong frame is answered like other bad input, with a pointer to each thing that is wrong", async () => {
  await withApp({ worker: false }, async ({ origin }) => {
    const cases: [unknown, string, string[]][] = [
      ["{", "broken_json", []],
      [5, "invalid_input", [""]],
      [{ type: "hello" }, "invalid_input", ["/type"]],
      [{ type: "subscribe", statuses: ["DONE"], nonsense: 1 }, "invalid_input", ["/nonsense", "/statuses/0"]],
      [{ type: "subscribe", stats: true, id: "x" }, "invalid_input", ["/stats"]],
      [{ type: "subscribe", after: "x" }, "invalid_input", ["/after"]],
    ];
    for (const [sent, code, pointers] of cases) {
      const client = new Client(origin);
      await client.frame(({ type }) => type === "hello");
      client.socket.send(typeof sent === "string" ? sent : JSON.stringify(sent));
      const { code: got, errors = [] } = await client.frame(({ type }) => type === "error");
      assertEquals([got, errors.map(({ pointer }) => pointer).sort()], [code, pointers], JSON.stringify(sent));
      assertEquals((await client.closed).code, 1008);
    }
    // A subscription need not have a name.
    const client = new Client(origin);
    await client.frame(({ type }) => type === "hello");
    client.socket.send(JSON.stringify({ type: "subscribe" }));
    assertEquals((await client.frame(({ type }) => type === "snapshot")).sub, "default");
    client.socket.close();
    await client.closed;
  });
});

Deno.test("bad frames get an error and are closed with 1008, too long ones with 1009", async () => {
  await withApp({ worker: false }, async (served) => {
    for (const bad of ["{", '{"type":"shout"}', '{"type":"subscribe","x":1}', '{"type":"ping","x":1}']) {
      const client = await connect(served);
      client.send(bad);
      await client.frame(({ type }) => type === "error");
      assertEquals((await client.closed).code, 1008);
    }
    const long = await connect(served);
    long.send(JSON.stringify({ type: "ping", x: "x".repeat(20_000) }));
    assertEquals((await long.closed).code, 1009);
    const many = await connect(served);
    for (let i = 0; i < 33; i++) many.send({ type: "subscribe", sub: `s${i}` });
    assertEquals((await many.closed).code, 1008);
  });
});

Deno.test("ping is answered and unsubscribe ends a subscription", async () => {
  await withApp({}, async (served) => {
    const client = await connect(served, { sub: "a" });
    await client.frame(({ type }) => type === "snapshot");
    client.send({ type: "unsubscribe", sub: "a" });
    client.send({ type: "ping" });
    await client.frame(({ type }) => type === "pong");
    const task = await served.submit("noop");
    await reaches(served.queue, task.id, "SUCCESS");
    client.send({ type: "subscribe", sub: "b" });
    await client.frame(({ type, sub }) => type === "snapshot" && sub === "b");
    assertEquals(client.frames.filter(({ type }) => type === "tasks"), []);
    await client.close();
  });
});

Deno.test("a socket from a page of another origin is refused", async () => {
  await withApp({ worker: false }, async ({ call, origin }) => {
    const upgrade = {
      Upgrade: "websocket",
      Connection: "Upgrade",
      "Sec-WebSocket-Version": "13",
      "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    };
    const foreign = await call("/ws", { headers: { ...upgrade, Origin: "https://evil.example" } });
    assertEquals([foreign.status, (await foreign.json()).code], [403, "foreign_origin"]);
    const plain = await call("/ws", { headers: { Origin: origin } });
    assertEquals(plain.status, 400);
    assertMatch((await plain.json()).detail, /WebSocket/);
  });
});

for (const count of [1_000, 1_800]) {
  Deno.test(`a page that was away while ${count} tasks changed comes back on its first socket, and pong comes after all`, async () => {
    await withApp({ worker: false }, async (served) => {
      const before = await served.queue.stream.head();
      for (let left = count; left > 0; left -= 200) {
        await served.queue.submitBatch(
          Array.from({ length: Math.min(200, left) }, () => ({ task_type: "noop", tags: ["x".repeat(60)] })),
        );
      }
      const client = new Client(served.origin);
      await client.frame(({ type }) => type === "hello");
      // As the page does: all at once, before anything of the answer was read.
      client.send({ type: "subscribe", sub: "list", since: before });
      for (let i = 0; i < 20; i++) client.send({ type: "subscribe", sub: `one ${i}`, statuses: ["RUNNING"] });
      client.send({ type: "subscribe", sub: "stats", stats: true });
      client.send({ type: "ping" });
      await client.frame(({ type }) => type === "pong");
      assertEquals(client.tasks.size, count);
      const parts = client.frames.filter(({ type, sub }) => type === "tasks" && sub === "list");
      const tokens = parts.map(({ since }) => since!);
      assertEquals(tokens, tokens.toSorted());
      ok(new Set(tokens).size > 1, "the token moves with each frame of a replay");
      assertEquals(tokens.at(-1), await served.queue.stream.head());
      assertEquals(client.frames.filter(({ type }) => type === "resync"), []);

      // Whoever breaks off after the first frame goes on from its token, and misses nothing.
      const second = await connect(served, { sub: "list", since: tokens[0] });
      second.send({ type: "ping" });
      await second.frame(({ type }) => type === "pong");
      const ids = new Set([...parts[0].tasks!.map(({ id }) => id), ...second.tasks.keys()]);
      assertEquals(ids.size, count);
      await client.close();
      await second.close();
    });
  });
}

Deno.test("a client that reads nothing for a while is told everything once it reads, on the same socket", async () => {
  await withApp({ worker: false }, async (served) => {
    const before = await served.queue.stream.head();
    for (let i = 0; i < 9; i++) {
      const tags = Array.from({ length: 10 }, (_, n) => `${n}`.repeat(60));
      await served.queue.submitBatch(Array.from({ length: 200 }, () => ({ task_type: "noop", tags })));
    }
    const socket = await dialWebSocket(served.origin);
    const encoder = new TextEncoder();
    await writeAll(socket, frame(1, encoder.encode(JSON.stringify({ type: "subscribe", sub: "a", since: before }))));
    for (let i = 0; i < 30; i++) {
      await writeAll(
        socket,
        frame(1, encoder.encode(JSON.stringify({ type: "subscribe", sub: `s${i}`, statuses: [] }))),
      );
    }
    await writeAll(socket, frame(1, encoder.encode('{"type":"ping"}')));
    // What follows the replay waits for room: the service has time to fill the socket before anything is read.
    await served.queue.submit({ task_type: "noop" });
    const text = new TextDecoder().decode(
      await readUntil(socket, (bytes) => new TextDecoder().decode(bytes).includes('"pong"')),
    );
    const told = new Set([...text.matchAll(/"id":"([0-9A-Z]{26})"/g)].map(([, id]) => id));
    ok(told.size >= 1_800, `${told.size} of 1,800 were told`);
    socket.close();
  });
});

Deno.test("a heartbeat carries the token of each subscription, also of a quiet one", async () => {
  const clock = new FakeClock();
  const kv = await Deno.openKv(":memory:");
  const queue = new Queue({ kv, clock, definitions: [noop], worker: false });
  await queue.start();
  const { app, close } = createApp(appOptions(queue, clock));
  const sent: Frame[] = [];
  let receive: (data: string) => void = () => {};
  const socket = {
    readyState: 1,
    bufferedAmount: 0,
    send: (text: string) => void sent.push(JSON.parse(text)),
    close() {},
    set onmessage(listener: (event: { data: string }) => void) {
      receive = (data) => listener({ data });
    },
    onclose: null,
    onerror: null,
  };
  const answer = await app.fetch(new Request("http://127.0.0.1/ws"), {
    address: "127.0.0.1",
    isGone: () => false,
    upgrade: (take) => (take(socket as unknown as ServerSocket), new Response(null, { status: 204 })),
  });
  assertEquals(answer.status, 204);
  receive(JSON.stringify({ type: "subscribe", sub: "quiet", statuses: ["FAILED"] }));
  for (let turns = 0; turns < 20; turns++) await clock.advance(10);
  const [snapshot] = sent.filter(({ type }) => type === "snapshot");
  // Something happens that is of no concern to the subscription.
  await driven(clock, queue.submit({ task_type: "noop" }));
  await clock.advance(11_000);
  const beats = sent.filter(({ type }) => type === "heartbeat") as unknown as { since: Record<string, string> }[];
  assertEquals(beats.at(-1)!.since, { quiet: await queue.stream.head() });
  ok(beats.at(-1)!.since.quiet > snapshot.since!);
  await close();
  await driven(clock, queue.stop());
  kv.close();
  await listeningEnds(kv);
});

Deno.test("events of a task go on from the client's last line: what it has missed is told, or the gap is named", async () => {
  await withApp({}, async (served) => {
    const task = await served.submit("held");
    const handler = await served.held.next();
    for (let i = 0; i < 3_000; i++) handler.ctx.log.info(`line ${i}`);
    handler.finish();
    await reaches(served.queue, task.id, "SUCCESS");
    const linesAfter = async (after: string, last: number) => {
      const client = await connect(served, { sub: "one", id: task.id, after });
      const frame = await client.frame(({ events }) => !!events?.some(({ text }) => text === `line ${last}`));
      await client.close();
      const events = client.frames.flatMap(({ events }) => events ?? []).filter(({ kind }) => kind === "log");
      return { texts: events.map(({ text }) => text), gap: (frame as unknown as { gap: unknown }).gap };
    };
    const some = await linesAfter("1:2500", 2_999);
    assertEquals([some.texts.length, some.texts[0], some.gap], [499, "line 2501", null]);
    const most = await linesAfter("1:949", 2_999);
    assertEquals(most.gap, { after: "1:949", before: "1:2000" });
    assertEquals([most.texts.length, most.texts[0]], [1_000, "line 2000"]);
    // As JSON the gap is told too.
    const { gap } = await (await served.call(`/api/tasks/${task.id}/events`)).json();
    assertEquals(gap, { after: null, before: "1:2000" });
  });
});

Deno.test("many that come back at once share the reading of the tasks that have changed", async () => {
  const real = await Deno.openKv(":memory:");
  let reads = 0;
  const kv = countingReads(real, (keys) => reads += keys);
  const queue = new Queue({ kv, definitions: [noop], worker: false });
  await queue.start();
  const since = await queue.stream.head();
  await queue.submitBatch(Array.from({ length: 200 }, () => ({ task_type: "noop" })));
  reads = 0;
  const batches = await Promise.all(Array.from({ length: 40 }, () => queue.stream.replay(since)));
  for (const batch of batches) ok(batch!.changes.length === 200 && batch!.changes.every(({ state }) => state !== null));
  ok(reads <= 400, `${reads} tasks were read`);
  await queue.stop();
  real.close();
});
