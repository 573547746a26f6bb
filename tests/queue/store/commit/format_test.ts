/**
 * Stores of older formats. `fixtures/format_1.db.gz` was copied from a service of format 1 while it worked, on 1 November
 * 2026 at noon: tasks of seven types in every place and status, three of them running with a checkpoint, a step, a log
 * and a file; a cancel request to one of these; priorities, concurrency keys, dependents, an expiry, a retention, a unique
 * key, a rate limit that was used up, a pause, a schedule, an upload, and pending effects of each kind.
 */

import { listeningEnds } from "../../../../queue/watch/messages.ts";
import * as z from "zod";
import { defineTask, type TaskContext } from "../../../../queue/define.ts";
import { Queue } from "../../../../queue/queue.ts";
import { decode, encode } from "../../../../queue/store/codec.ts";
import { FORMAT, migrate, readFormat } from "../../../../queue/store/commit/format.ts";
import { keys } from "../../../../queue/store/keys.ts";
import { silent } from "../../../../queue/log.ts";
import { systemClock } from "../../../../queue/task/clock.ts";
import { type Json, statusOf } from "../../../../queue/task/record.ts";
import { checkStore } from "../../../../queue/tools/check.ts";
import { assertEquals, assertRejects } from "../../../support/assert.ts";
import { withDirectory } from "../../../support/directory.ts";
import { driven, FakeClock } from "../../../support/fake_clock.ts";
import { nonZero, until } from "../../../support/queue.ts";

const FIXTURE = new URL("fixtures/format_1.db.gz", import.meta.url);
/** A day after the copy was taken. */
const NEXT_DAY = Date.UTC(2026, 10, 2, 12);

const offset = NEXT_DAY - systemClock.now();
const clock = { ...systemClock, now: () => systemClock.now() + offset };

/** Works on a copy of the store, which the process that has written it left as it was. */
function onFixture(work: (kv: Deno.Kv, path: string) => Promise<void>): Promise<void> {
  return withDirectory(async (directory) => {
    const path = `${directory}/store.db`;
    const packed = await Deno.open(FIXTURE);
    const file = await Deno.create(path);
    await packed.readable.pipeThrough(new DecompressionStream("gzip")).pipeTo(file.writable);
    const kv = await Deno.openKv(path);
    try {
      await work(kv, path);
    } finally {
      kv.close();
      await listeningEnds(kv);
    }
  });
}

/** The types of the fixture; what their handlers got is in `ran`. */
function types() {
  const ran: { type: string; ctx: TaskContext; priority?: number }[] = [];
  const of = (type: string, more = {}) =>
    defineTask({
      type,
      title: type,
      description: "Ends at once.",
      params: z.looseObject({}),
      run(ctx) {
        ran.push({ type, ctx: ctx as TaskContext });
        return Promise.resolve<Json>(null);
      },
      ...more,
    });
  const names = ["echo", "fails", "flaky", "held", "keyed", "webhook_delivery"];
  return { ran, definitions: [...names.map((name) => of(name)), of("limited", { rateLimit: "2/h" })] };
}

Deno.test("a store of format 1 opens: each of its tasks runs from where it was, and the store is clean", async () => {
  await onFixture(async (kv) => {
    assertEquals(await readFormat(kv), 1);
    const { ran, definitions } = types();
    // One slot each: the order of the starts is that of the queue.
    const concurrency = Object.fromEntries(definitions.map(({ type }) => [type, 1]));
    const queue = new Queue({ kv, definitions, concurrency, clock });
    await queue.start();
    assertEquals(decode<number>((await kv.get(keys.format())).value), FORMAT);
    assertEquals([...(await queue.pauses()).keys()], ["echo"]);
    await queue.resume("echo");
    const open = async () => {
      const { states } = await queue.list({ statuses: ["PENDING", "RUNNING"] }, 200);
      return states.map(({ task }) => [task.task_type, task.placement?.kind, task.run_at]);
    };
    // What the rate limit leaves, and what is due in the year 2100.
    const left = [["echo", "scheduled", Date.UTC(2100, 0, 1)], ["limited", "ready", null]];
    await until(queue, async () => JSON.stringify((await open()).toSorted()) === JSON.stringify(left) ? true : null);
    await queue.clean();

    const counts = nonZero(await queue.counts());
    // Of the 44 that succeeded, one was kept for an hour only. One was cancelled before, and one has expired.
    assertEquals(counts.echo, { SUCCESS: 43, CANCELLED: 2, PENDING: 1 });
    assertEquals(counts.fails, { FAILED: 1, SUCCESS: 1 });
    assertEquals(counts.flaky, { SUCCESS: 1 });
    assertEquals(counts.held, { SUCCESS: 4, CANCELLED: 1 });
    assertEquals(counts.keyed, { SUCCESS: 3 });
    assertEquals(counts.limited, { SUCCESS: 4, PENDING: 1 });

    const resumed = ran.filter(({ type, ctx }) => type === "held" && ctx.attempt === 2);
    assertEquals(resumed.map(({ ctx }) => ctx.resume), [{ at: 8 }, { at: 8 }]);
    const log = await queue.logs.read(resumed[0].ctx.id);
    assertEquals(log.lines.map(({ text }) => text), ["holding"]);
    const waited = (await queue.list({ tag: "waiting" }, 200)).states;
    assertEquals(waited.map((state) => statusOf(state)), waited.map(() => "SUCCESS"));
    const started = waited.map(({ task }) => task).toSorted((a, b) => a.started_at! - b.started_at!);
    const priorities = new Map(waited.map(({ task }) => [task.id, task.priority]));
    const order = ran.map(({ ctx }) => priorities.get(ctx.id)).filter((priority) => priority !== undefined);
    assertEquals(order, order.toSorted((a, b) => b - a));
    assertEquals(started.length, 30);
    await queue.stop(2_000);
    assertEquals((await checkStore(kv, clock.now())).problems, []);
  });
});

Deno.test("a migration that is cut off goes on at the next start, and loses nothing", async () => {
  await onFixture(async (kv) => {
    const options = { kv, clock, log: silent, distributed: false, leaseMs: 15_000 };
    const whole = await entriesOf(kv);
    for (let steps = 1;; steps++) {
      let left = steps;
      const cut = new Proxy(kv, {
        get(target, name) {
          if (name === "atomic" && left-- === 0) throw new Error("killed");
          const value = Reflect.get(target, name);
          return typeof value === "function" ? value.bind(target) : value;
        },
      });
      try {
        await migrate({ ...options, kv: cut });
        break;
      } catch (error) {
        assertEquals((error as Error).message, "killed");
      }
    }
    assertEquals(await migrate(options), FORMAT);
    // The format and the mark of the migration are new; the dead instance and its lanes became one count.
    assertEquals((await entriesOf(kv)).toSorted(), whole.toSorted());
  });
});

/** The values of a store's entries, as text; without those that a migration adds or folds. */
async function entriesOf(kv: Deno.Kv): Promise<string[]> {
  const found: string[] = [];
  for await (const { key, value } of kv.list({ prefix: [] })) {
    if (["meta", "lane", "instance"].includes(key[0] as string)) continue;
    found.push(`${String(key.at(-1))} ${new TextDecoder().decode(value as Uint8Array)}`);
  }
  return found;
}

Deno.test("long names and keys are moved in steps that fit", async () => {
  const kv = await Deno.openKv(":memory:");
  const key = "ä".repeat(200);
  await kv.set(keys.retiredCounts(), encode({ op: "", counts: {} }));
  for (let i = 0; i < 500; i++) {
    await kv.set(["limited", "t".repeat(64), key, 1e12, `${i}`.padStart(26, "0")], encode(0));
  }
  await migrate({ kv, clock, log: silent, distributed: false, leaseMs: 15_000 });
  assertEquals((await Array.fromAsync(kv.list({ prefix: ["key_waiting"] }))).length, 500);
  assertEquals((await Array.fromAsync(kv.list({ prefix: ["limited"] }))).length, 0);
  kv.close();
  await listeningEnds(kv);
});

Deno.test("an empty store on which another instance starts at the same time is not taken for an old one", async () => {
  for (let reads = 0; reads < 2; reads++) {
    const kv = await Deno.openKv(":memory:");
    const other = new Queue({ kv, definitions: [], clock, distributed: true });
    let left = reads;
    const meet = async () => {
      if (left-- === 0) await other.start();
    };
    const met = new Proxy(kv, {
      get: (target, name) => {
        if (name === "get") return async (key: Deno.KvKey) => [await meet(), await target.get(key)][1];
        if (name === "list") {
          return async function* (...args: Parameters<Deno.Kv["list"]>) {
            await meet();
            yield* target.list(...args);
          };
        }
        return Reflect.get(target, name).bind(target);
      },
    });
    const format = await readFormat(met);
    assertEquals([format, left < 0], [FORMAT, true]);
    await other.stop(0);
    kv.close();
    await listeningEnds(kv);
  }
});

Deno.test("where instances share a store, one migrates it and the other waits", async () => {
  await onFixture(async (kv) => {
    const clock = new FakeClock(NEXT_DAY);
    const options = { kv, clock, log: silent, distributed: true, leaseMs: 15_000 };
    const both = Promise.all([migrate(options), migrate(options)]);
    assertEquals(await driven(clock, both, 1_000), [1, 1]);
    assertEquals(await readFormat(kv), FORMAT);
    const ready = await Array.fromAsync(kv.list({ prefix: ["ready"] }), ({ key }) => key.length);
    assertEquals(ready, Array.from({ length: 39 }, () => 5));
  });
});

Deno.test("a store that instances of an older version still use is not migrated", async () => {
  await onFixture(async (kv) => {
    const clock = new FakeClock(NEXT_DAY);
    const [{ key }] = await Array.fromAsync(kv.list({ prefix: keys.instances() }));
    clock.after(5_000, () => kv.set(key, encode({ beat_at: 0 })));
    const migrated = migrate({ kv, clock, log: silent, distributed: true, leaseMs: 15_000 });
    await assertRejects(driven(clock, migrated, 1_000), { code: "store_format" });
    assertEquals(await readFormat(kv), 1);
  });
});

Deno.test("a store of a newer format is refused, and an instance that was fenced by its migration writes nothing more", async () => {
  await onFixture(async (kv) => {
    await kv.set(keys.format(), encode(FORMAT + 1));
    const queue = new Queue({ kv, definitions: [], clock });
    await assertRejects(queue.start(), { code: "store_format" });
    assertEquals((await Array.fromAsync(kv.list({ prefix: keys.instances() }))).length, 1);
  });
});
