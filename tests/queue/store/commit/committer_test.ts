import { systemClock } from "../../../../queue/task/clock.ts";
import { Committer } from "../../../../queue/store/commit/committer.ts";
import { type AtomicLimits, CONNECT_LIMITS, FILE_LIMITS } from "../../../../queue/store/commit/atomic_size.ts";
import { readCounts } from "../../../../queue/store/counts.ts";
import { decode, encode } from "../../../../queue/store/codec.ts";
import { keys } from "../../../../queue/store/keys.ts";
import { silent } from "../../../../queue/log.ts";
import { type Changeset, emptyChangeset } from "../../../../queue/store/changeset.ts";
import { retire } from "../../../../queue/store/commit/instances.ts";
import { pending } from "../../../support/task.ts";
import { assertEquals, assertRejects, ok } from "../../../support/assert.ts";
import { FakeClock, turn } from "../../../support/fake_clock.ts";
import { type Fault, faulty, type FaultyKv } from "../../../support/kv/faulty_kv.ts";

interface Rig extends FaultyKv {
  committer: Committer;
  fenced: Promise<void>;
}

function rigs(name: string, test: (rig: Rig) => Promise<void>): void {
  for (const [checks, limits] of [[100, FILE_LIMITS], [10, CONNECT_LIMITS]] as [number, AtomicLimits][]) {
    Deno.test(`${name} (${checks} checks an atomic)`, async () => {
      const real = await Deno.openKv(":memory:");
      const rig = faulty(real) as Rig;
      rig.fenced = new Promise((resolve) => {
        rig.committer = new Committer({
          kv: rig.kv,
          clock: systemClock,
          log: silent,
          limits,
          lanes: 2,
          distributed: checks === 10,
          deadlineMs: 10_000,
          onCommitted: () => {},
          onFenced: resolve,
        });
      });
      await rig.committer.open("i1");
      try {
        await test(rig);
        rig.fault = () => null;
        await rig.committer.close(5_000);
      } finally {
        real.close();
      }
    });
  }
}

function put(name: string, value: unknown, count = true): Changeset {
  const changeset = emptyChangeset(name);
  changeset.puts.push({ key: ["x", name], value: encode(value) });
  if (count) changeset.changes.push({ id: name, before: null, after: pending() });
  return changeset;
}

async function stored(kv: Deno.Kv): Promise<Record<string, unknown>> {
  const found: Record<string, unknown> = {};
  for await (const entry of kv.list({ prefix: ["x"] })) found[entry.key[1] as string] = decode(entry.value);
  return found;
}

rigs("concurrent writes share atomics and all land", async ({ committer, kv }) => {
  await Promise.all(Array.from({ length: 500 }, (_, i) => committer.commit(put(`k${i}`, i))));
  assertEquals(Object.keys(await stored(kv)).length, 500);
  assertEquals(await readCounts(kv), { t: { PENDING: 500 } });
  ok(committer.stats.atomics < 20, `${committer.stats.atomics} atomics`);
});

rigs("writes are split by checks, mutations and bytes", async ({ committer, kv }) => {
  const checked = Array.from({ length: 150 }, (_, i) => {
    const changeset = put(`c${i}`, i);
    changeset.checks.push({ key: ["x", `c${i}`], versionstamp: null });
    return changeset;
  });
  const wide = put("wide", 0, false);
  for (let i = 0; i < 900; i++) wide.puts.push({ key: ["y", i], value: encode(i) });
  const heavy = Array.from({ length: 40 }, (_, i) => {
    const changeset = emptyChangeset(`h${i}`);
    changeset.puts.push({ key: ["x", `h${i}`], value: encode("x".repeat(60_000)) });
    return changeset;
  });
  await Promise.all(
    [...checked, wide, { ...wide, locks: ["other"] }, ...heavy].map((changeset) => committer.commit(changeset)),
  );
  assertEquals(Object.keys(await stored(kv)).length, 150 + 1 + 40);
});

rigs(
  "changes of tasks with long type names are split before their entry is too large to store",
  async ({ committer, kv }) => {
    const task_type = "t".repeat(64);
    await Promise.all(Array.from({ length: 3_000 }, (_, i) => {
      const changeset = emptyChangeset(`k${i}`);
      const state = pending();
      changeset.changes.push({ id: `${i}`, before: null, after: { ...state, task: { ...state.task, task_type } } });
      return committer.commit(changeset);
    }));
    let told = 0;
    for await (const { value } of kv.list({ prefix: keys.changes() })) {
      told += decode<{ changes: unknown[] }>(value).changes.length;
    }
    assertEquals(told, 3_000);
    // One that the store refuses would be tried write by write.
    ok(committer.stats.atomics < 100, `${committer.stats.atomics} atomics`);
  },
);

rigs("a failed check rejects its own write only", async ({ committer, kv }) => {
  await committer.commit(put("taken", 1));
  const conflicting = put("taken", 2);
  conflicting.checks.push({ key: ["x", "taken"], versionstamp: null });
  const outcomes = await Promise.allSettled([
    ...Array.from({ length: 20 }, (_, i) => committer.commit(put(`k${i}`, i))),
    committer.commit(conflicting),
    ...Array.from({ length: 20 }, (_, i) => committer.commit(put(`l${i}`, i))),
  ]);
  assertEquals(outcomes.filter(({ status }) => status === "rejected").length, 1);
  assertEquals((outcomes[20] as PromiseRejectedResult).reason.code, "conflict");
  assertEquals((await stored(kv)).taken, 1);
  assertEquals(await readCounts(kv), { t: { PENDING: 41 } });
});

rigs("writes under one lock land in their order and never in one atomic", async ({ committer, kv }) => {
  const stamps = await Promise.all(Array.from({ length: 20 }, (_, i) => committer.commit(put("same", i))));
  assertEquals((await stored(kv)).same, 19);
  assertEquals(new Set(stamps).size, 20);
  assertEquals(stamps, stamps.toSorted());
});

for (const fault of ["applied, then error", "applied twice", "locked"] satisfies Fault[]) {
  rigs(`a commit that is ${fault} changes nothing of the outcome`, async (rig) => {
    let n = 0;
    rig.fault = () => n++ % 2 ? null : fault;
    for (let round = 0; round < 5; round++) {
      await Promise.all(Array.from({ length: 60 }, (_, i) => rig.committer.commit(put(`r${round}k${i}`, i))));
    }
    rig.fault = () => null;
    assertEquals(Object.keys(await stored(rig.kv)).length, 300);
    assertEquals(await readCounts(rig.kv), { t: { PENDING: 300 } });
  });
}

rigs("a commit that is applied twice and holds a failed check rejects only the guilty", async (rig) => {
  await rig.committer.commit(put("taken", 1));
  rig.fault = () => "applied twice";
  const conflicting = put("taken", 2);
  conflicting.checks.push({ key: ["x", "taken"], versionstamp: null });
  const outcomes = await Promise.allSettled([rig.committer.commit(put("a", 1)), rig.committer.commit(conflicting)]);
  rig.fault = () => null;
  assertEquals(outcomes.map(({ status }) => status), ["fulfilled", "rejected"]);
  assertEquals(await readCounts(rig.kv), { t: { PENDING: 2 } });
});

rigs("a value that KV refuses is rejected alone", async ({ committer, kv }) => {
  const large = emptyChangeset("large");
  large.puts.push({ key: ["x", "large"], value: new Uint8Array(70_000) });
  const outcomes = await Promise.allSettled([committer.commit(put("a", 1)), committer.commit(large)]);
  assertEquals(outcomes.map(({ status }) => status), ["fulfilled", "rejected"]);
  assertEquals((outcomes[1] as PromiseRejectedResult).reason.code, "refused_write");
  assertEquals(await stored(kv), { a: 1 });
});

rigs(
  "a retired instance writes nothing more; what had not attempted waits for its new lanes",
  async (rig) => {
    await rig.committer.commit(put("before", 1));
    ok(await retire(rig.kv, systemClock, "i1"));
    const late = rig.committer.commit(put("late", 1), { asTaskOwner: true });
    const attempted = rig.committer.commit(put("attempted", 1));
    // With the lane gone nobody can tell whether it happened.
    await Promise.all([assertRejects(late, { code: "fenced" }), assertRejects(attempted, { code: "outcome_unknown" })]);
    await rig.fenced;
    const submit = rig.committer.commit(put("submit", 1));
    await assertRejects(rig.committer.commit(put("later", 1), { asTaskOwner: true }), { code: "fenced" });
    await rig.committer.open("i2");
    await submit;
    assertEquals(await stored(rig.kv), { before: 1, submit: 1 });
    assertEquals(await readCounts(rig.kv), { t: { PENDING: 2 } });
  },
);

rigs("a holder whose answer comes after it was fenced is not told that its write stands", async (rig) => {
  rig.fault = () => "applied, answered late";
  const claim = rig.committer.commit(put("claim", 1), { asTaskOwner: true });
  while (!(await stored(rig.kv)).claim) await turn();
  rig.fault = () => null;
  ok(await retire(rig.kv, systemClock, "i1"));
  await assertRejects(rig.committer.heartbeat(), { code: "fenced" });
  const refused = assertRejects(claim, { code: "fenced" });
  rig.release();
  await refused;
  await rig.committer.open("i2");
  assertEquals(await readCounts(rig.kv), { t: { PENDING: 1 } });
});

rigs("an instance whose heartbeat has moved is not retired", async ({ committer, kv }) => {
  const seen = await kv.get(keys.instance("i1"));
  await committer.heartbeat();
  assertEquals(await retire(kv, systemClock, "i1", seen.versionstamp!), false);
  await committer.commit(put("a", 1), { asTaskOwner: true });
});

Deno.test("a commit that does not answer in time is unknown to its caller, and holders wait on", async () => {
  const real = await Deno.openKv(":memory:");
  const rig = faulty(real);
  const clock = new FakeClock();
  const committer = new Committer({
    kv: rig.kv,
    clock,
    log: silent,
    limits: FILE_LIMITS,
    lanes: 1,
    distributed: false,
    deadlineMs: 10_000,
    onCommitted: () => {},
    onFenced: () => {},
  });
  await committer.open("i1");
  rig.fault = () => "silent";
  const submit = committer.commit(put("submit", 1));
  await turn();
  const holder = committer.commit(put("holder", 1), { asTaskOwner: true });
  const refused = assertRejects(submit, { code: "outcome_unknown" });
  await clock.advance(11_000);
  await refused;
  rig.fault = () => null;
  rig.release();
  await holder;
  assertEquals(await stored(real), { holder: 1, submit: 1 });
  await committer.close(0);
  real.close();
});

rigs("what one write puts stays, though another in the same atomic deletes what it had read there", async (rig) => {
  await rig.committer.commit(put("mark", 1, false));
  const { key, versionstamp } = await rig.kv.get(["x", "mark"]);
  const remove = { ...emptyChangeset("remove"), checks: [{ key, versionstamp }], deletes: [key] };
  const before = rig.commits;
  await Promise.all([rig.committer.commit(put("mark", 2, false)), rig.committer.commit(remove)]);
  assertEquals([rig.commits - before, await stored(rig.kv)], [1, { mark: 2 }]);
});

rigs("a write with more checks than an atomic takes is refused at once and holds up nothing", async (rig) => {
  const changeset = put("many", 1, false);
  for (let i = 0; i < 100; i++) changeset.checks.push({ key: ["y", i], versionstamp: null });
  await assertRejects(rig.committer.commit(changeset), { code: "refused_write" });
  await rig.committer.commit(put("after", 2, false));
  assertEquals(await stored(rig.kv), { after: 2 });
});

rigs("a commit whose answer does not come holds up no other", async (rig) => {
  let first = true;
  rig.fault = () => {
    if (!first) return null;
    first = false;
    return "silent";
  };
  const hanging = rig.committer.commit(put("hanging", 1));
  await turn();
  await rig.committer.commit(put("next", 2));
  assertEquals(Object.keys(await stored(rig.kv)), ["next"]);
  rig.release();
  await hanging;
});
