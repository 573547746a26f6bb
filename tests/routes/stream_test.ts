import { type TaskSummary } from "../../queue/task.ts";
import { assertEquals, assertMatch, ok } from "../support/assert.ts";
import { type Served, withApp } from "../support/app.ts";
import { allReach, reaches } from "../support/queue.ts";

interface Frame {
  type: string;
  sub?: string;
  since?: string;
  tasks?: (TaskSummary & { matches?: boolean; deleted?: boolean })[];
  events?: { kind: string; text?: string; status?: string }[];
  detail?: string;
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

Deno.test("bad frames get an error and are closed with 1008, too long ones with 1009", async () => {
  await withApp({ worker: false }, async (served) => {
    for (const bad of ["{", '{"type":"shout"}', '{"type":"subscribe"}', '{"type":"ping","x":1}']) {
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
