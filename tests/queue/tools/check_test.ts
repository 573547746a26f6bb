import { keys } from "../../../queue/store/keys.ts";
import { Queue } from "../../../queue/queue.ts";
import { encode } from "../../../queue/store/codec.ts";
import { checkStore } from "../../../queue/tools/check.ts";
import { CHECKED_KINDS } from "../../../queue/tools/findings.ts";
import { repairStore } from "../../../queue/tools/repair.ts";
import { assertEquals, assertMatch, ok } from "../../support/assert.ts";
import { heldType, noop, reaches, withQueue } from "../../support/queue.ts";
import { listeningEnds } from "../../../queue/watch/messages.ts";

const now = Date.UTC(2030, 0, 1);
const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

interface Ids {
  done: string;
  kept: string;
  running: string;
  scheduled: string;
  ready: string;
  limited: string;
  blocked: string;
}

/** A stopped store with a task in every state and place, and the files, steps and schedules of some. */
async function withStore(test: (kv: Deno.Kv, ids: Ids) => Promise<void>): Promise<void> {
  const kv = await Deno.openKv(":memory:");
  const held = heldType();
  const queue = new Queue({ kv, definitions: [held.definition, noop] });
  await queue.start();
  const submit = async (task_type: string, more = {}) => (await queue.submit({ task_type, ...more })).task.task.id;
  const done = await submit("held", { unique: { key: "u" } });
  const first = await held.next();
  await first.ctx.artifact("a.txt", "x".repeat(100_000), "text/plain");
  await first.ctx.step("a", () => 1);
  first.ctx.log.info("a line");
  first.finish({ n: 1 });
  await reaches(queue, done, "SUCCESS");
  const kept = await submit("noop", { retention_ms: 1e12 });
  await reaches(queue, kept, "SUCCESS");
  const running = await submit("held", { concurrency_key: "k" });
  const second = await held.next();
  await second.ctx.checkpoint("y".repeat(100_000));
  const limited = await submit("held", { concurrency_key: "k" });
  const blocked = await submit("held", { depends_on: [running], expires_in_ms: 1e10 });
  const scheduled = await submit("noop", { run_at: Date.now() + 1e9 });
  await queue.pause("noop", "test");
  const ready = await submit("noop");
  await queue.schedules.create({ cron: "0 0 * * *", submission: { task_type: "noop" } }, "test");
  await queue.uploads.store("u.txt", "text/plain", new Blob(["upload"]).stream(), 100);
  await queue.stop(2_000);
  try {
    await test(kv, { done, kept, running, scheduled, ready, limited, blocked });
  } finally {
    kv.close();
    await listeningEnds(kv);
  }
}

const found = async (kv: Deno.Kv) => (await checkStore(kv, now)).problems.map(({ key, detail }) => [...key, detail]);

Deno.test("a store with tasks in every state and place is clean", async () => {
  await withStore(async (kv) => {
    assertEquals(await found(kv), []);
    const { tasks, entries } = await checkStore(kv, now);
    assertEquals([tasks, entries > 30], [7, true]);
  });
});

/** Ways to damage a store: what is done, and the key that the check must name. */
const DAMAGES: Record<string, (kv: Deno.Kv, ids: Ids) => Promise<Deno.KvKey>> = {
  "a place that is gone": async (kv, { ready }) => {
    for await (const { key } of kv.list({ prefix: keys.readyOf("noop") })) await kv.delete(key);
    return ["ready", "noop", ready];
  },
  "a second place": async (kv, { scheduled }) => {
    await kv.set(keys.ready("noop", 0, 5, scheduled), bytes(0));
    return keys.ready("noop", 0, 5, scheduled);
  },
  "a place without a task": async (kv) => {
    await kv.set(keys.scheduled(5, "nobody"), bytes(0));
    return keys.scheduled(5, "nobody");
  },
  "an index entry that is gone": async (kv, { done }) => {
    await kv.delete(keys.index("SUCCESS", "held", done));
    return keys.index("SUCCESS", "held", done);
  },
  "an index entry of another status": async (kv, { done }) => {
    await kv.set(keys.index("FAILED", "held", done), bytes(0));
    return keys.index("FAILED", "held", done);
  },
  "a run of an instance that is gone": async (kv, { ready }) => {
    const run = {
      task_type: "noop",
      instance: "gone",
      attempt: 1,
      started_at: 1,
      progress: 0,
      message: "",
      version: 2,
    };
    await kv.set(keys.run(ready), bytes(run));
    return keys.run(ready);
  },
  "a run of a task that has ended": async (kv, { done }) => {
    const run = {
      task_type: "held",
      instance: "gone",
      attempt: 1,
      started_at: 1,
      progress: 0,
      message: "",
      version: 9,
    };
    await kv.set(keys.run(done), bytes(run));
    return keys.run(done);
  },
  "counters that are wrong": async (kv) => {
    await kv.set(keys.retiredCounts(), bytes({ op: "x", counts: { noop: { FAILED: 3 } } }));
    return keys.lanes();
  },
  "a dependency that is gone": async (kv, { running, blocked }) => {
    await kv.delete(keys.child(running, blocked));
    return keys.child(running, blocked);
  },
  "a dependency that nobody will tell": async (kv, { running }) => {
    const task = await kv.get<Uint8Array>(keys.task(running));
    const record = JSON.parse(new TextDecoder().decode(task.value!));
    await kv.set(keys.task(running), bytes({ ...record, has_dependents: false }));
    await kv.delete(keys.dependentsEffect(running));
    return keys.dependentsEffect(running);
  },
  "a concurrency key that nobody will free": async (kv) => {
    await kv.delete(keys.keyHolders("held", "k"));
    return keys.keyHolders("held", "k");
  },
  "an expiry that is gone": async (kv) => {
    for await (const { key } of kv.list({ prefix: keys.expiries() })) await kv.delete(key);
    return ["expiry"];
  },
  "a time of deletion that is gone": async (kv) => {
    for await (const { key } of kv.list({ prefix: keys.retentionDues() })) await kv.delete(key);
    return ["retention"];
  },
  "a tick that is gone": async (kv) => {
    for await (const { key } of kv.list({ prefix: keys.ticks() })) await kv.delete(key);
    return ["tick"];
  },
  "a unique key of nobody": async (kv) => {
    await kv.set(keys.unique("noop", "x"), bytes("nobody"));
    return keys.unique("noop", "x");
  },
  "a file without an owner": async (kv) => {
    await kv.set(keys.blob("lost", 0), new Uint8Array(10));
    return keys.blobPending("lost");
  },
  "a mark that would let the janitor delete a file": async (kv, { done }) => {
    const file = JSON.parse(new TextDecoder().decode((await kv.get<Uint8Array>(keys.artifact(done, "a.txt"))).value!));
    await kv.set(keys.blobPending(file.blob), bytes({ at: 0 }));
    return keys.blobPending(file.blob);
  },
  "a step, a log and a result without their task": async (kv) => {
    await kv.set(keys.step("nobody", 0, "a"), bytes({}));
    await kv.set(keys.log("nobody", 1, 0), bytes({ first: 0, lines: [] }));
    await kv.set(keys.result("nobody"), bytes(1));
    return keys.result("nobody");
  },
  "a task deleted without what belongs to it": async (kv, { done }) => {
    await kv.delete(keys.task(done));
    return keys.artifact(done, "a.txt");
  },
};

for (const [what, damage] of Object.entries(DAMAGES)) {
  Deno.test(`the check finds ${what}, and the repair puts it right`, async () => {
    await withStore(async (kv, ids) => {
      const key = await damage(kv, ids);
      const problems = (await checkStore(kv, now)).problems;
      const named = problems.some((problem) => key.every((part) => problem.key.includes(part)));
      ok(named, `${JSON.stringify(key)} is not in ${JSON.stringify(problems.map(({ key }) => key))}`);
      const after = await repairStore(kv);
      assertEquals(after.problems.map(({ key, detail }) => [...key, detail]), []);
      const { input_params } = JSON.parse(
        new TextDecoder().decode((await kv.get<Uint8Array>(keys.task(ids.running))).value!),
      );
      assertEquals(input_params, {});
    });
  });
}

Deno.test("a file that lost a part is reported, and no repair pretends otherwise", async () => {
  await withStore(async (kv, { done }) => {
    const blobs: Deno.KvKey[] = [];
    for await (const { key } of kv.list({ prefix: ["blob"] })) blobs.push(key);
    const file = JSON.parse(new TextDecoder().decode((await kv.get<Uint8Array>(keys.artifact(done, "a.txt"))).value!));
    await kv.delete(blobs.find((key) => key[1] === file.blob)!);
    const { problems } = await repairStore(kv);
    assertEquals(problems.map(({ key }) => key), [keys.artifact(done, "a.txt")]);
  });
});

Deno.test("a value that cannot be read is reported, and the check goes on", async () => {
  await withStore(async (kv, { done }) => {
    await kv.set(keys.task("01ARZ3NDEKTSV4RRFFQ69G5FAV"), new Uint8Array([1, 2, 3]));
    await kv.delete(keys.index("SUCCESS", "held", done));
    const keysOf = async () => (await checkStore(kv, now)).problems.map(({ key }) => key[0]);
    assertEquals((await keysOf()).sort(), ["index", "task"]);
    await repairStore(kv);
    assertEquals(await keysOf(), ["task"]);
  });
});

Deno.test("what a damaged store had lost runs again after the repair", async () => {
  await withStore(async (kv, { ready }) => {
    for await (const { key } of kv.list({ prefix: keys.readyOf("noop") })) await kv.delete(key);
    await repairStore(kv);
    const held = heldType();
    const queue = new Queue({ kv, definitions: [held.definition, noop] });
    await queue.start();
    await queue.resume("noop");
    await reaches(queue, ready, "SUCCESS");
    await queue.stop(2_000);
  });
});

Deno.test("the check looks at every kind of key that there is", () => {
  const kinds = new Set(
    // deno-lint-ignore no-explicit-any
    Object.values(keys).map((build) => (build as any)("OPEN", "b", "c", "d", "e")[0] as string),
  );
  assertEquals([...kinds].toSorted(), [...CHECKED_KINDS].toSorted());
});

Deno.test("the check finds what was left of older tasks, marks of removals and kinds that are none, and the repair removes them", async () => {
  await withQueue({ worker: false }, async (queue, kv) => {
    const { id } = (await queue.submit({ task_type: "noop" })).task.task;
    const nobody = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    await kv.set(keys.retriedAs(nobody, id), encode(0));
    await kv.set(keys.tombstone(id), encode(0));
    await kv.set(["stranger", 1], encode(0));
    await kv.set(keys.pause("noop"), new Uint8Array([0xff]));
    const found = async () => (await checkStore(kv, Date.now())).problems.map(({ key, detail }) => `${key} ${detail}`);
    const problems = await found();
    assertEquals(problems.length, 4, problems.join("\n"));
    assertMatch(problems.join("\n"), new RegExp(`retried_as,${nobody},${id} is of a task that does not exist`));
    assertMatch(problems.join("\n"), /tombstone,.* is of a task that still exists/);
    assertMatch(problems.join("\n"), /pause,noop cannot be read/);
    assertMatch(problems.join("\n"), /stranger is an unknown kind of entry/);
    await kv.delete(["stranger", 1]);
    await kv.delete(keys.pause("noop"));
  });
});
