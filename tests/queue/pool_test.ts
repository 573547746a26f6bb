import { systemClock } from "../../queue/clock.ts";
import { Pool } from "../../queue/pool.ts";
import { assertEquals, assertRejects } from "../support/assert.ts";
import { FakeClock } from "../support/fake_clock.ts";

type TestJobs = {
  double: { in: number; out: number };
  take: { in: Uint8Array; out: Uint8Array };
  fail: { in: string; out: null };
  crash: { in: null; out: null };
  spin: { in: null; out: null };
  polite: { in: null; out: string };
  count: { in: null; out: number };
  retire: { in: null; out: null };
};

const MODULE = new URL("../support/pool_jobs.ts", import.meta.url);
const LONG = { timeoutMs: 600_000 };

async function withPool(size: number, test: (pool: Pool<TestJobs>) => Promise<void>): Promise<void> {
  const pool = new Pool<TestJobs>(MODULE, size, systemClock);
  try {
    await test(pool);
  } finally {
    await pool.close();
  }
}

Deno.test("jobs run in warm workers, as many at once as the pool has", async () => {
  await withPool(2, async (pool) => {
    const results = await Promise.all([1, 2, 3, 4, 5].map((n) => pool.run("double", n, LONG)));
    assertEquals(results, [2, 4, 6, 8, 10]);
  });
  await withPool(1, async (pool) => {
    // One worker did both: it counts its jobs.
    assertEquals([await pool.run("count", null, LONG), await pool.run("count", null, LONG)], [1, 2]);
  });
});

Deno.test("buffers are handed over, not copied", async () => {
  await withPool(1, async (pool) => {
    const bytes = new Uint8Array([1, 2, 3]);
    const back = await pool.run("take", bytes, { ...LONG, transfer: [bytes.buffer] });
    assertEquals([[...back], bytes.byteLength], [[3, 2, 1], 0]);
  });
});

Deno.test("what a job throws comes back by name and message, and its worker goes on", async () => {
  await withPool(1, async (pool) => {
    await pool.run("count", null, LONG);
    await assertRejects(pool.run("fail", "no good", LONG), { name: "ReasonError", message: "no good" });
    assertEquals(await pool.run("count", null, LONG), 2);
  });
});

Deno.test("a worker that crashes fails its job only; the next one gets a new worker", async () => {
  await withPool(1, async (pool) => {
    await pool.run("count", null, LONG);
    await assertRejects(pool.run("crash", null, LONG), /crashed on purpose/);
    assertEquals(await pool.run("count", null, LONG), 1);
  });
});

Deno.test("a job that loops is ended when its time is over, while others go on", async () => {
  const clock = new FakeClock();
  const pool = new Pool<TestJobs>(MODULE, 2, clock);
  const looping = pool.run("spin", null, { timeoutMs: 5_000 });
  assertEquals(await pool.run("double", 4, LONG), 8);
  const refused = assertRejects(looping, {
    name: "JobTimeoutError",
    message: "It took longer than 5 s and was ended.",
  });
  clock.advance(5_000);
  await refused;
  assertEquals(await Promise.all([1, 2].map((n) => pool.run("double", n, LONG))), [2, 4]);
  await pool.close();
});

Deno.test("an abort is heard across the boundary: the caller goes on at once, a polite job keeps its worker", async () => {
  await withPool(1, async (pool) => {
    await pool.run("count", null, LONG);
    const controller = new AbortController();
    let started: () => void = () => {};
    const reported = new Promise<void>((resolve) => started = resolve);
    const job = pool.run("polite", null, { ...LONG, signal: controller.signal, onProgress: () => started() });
    await reported;
    controller.abort(new Error("enough"));
    await assertRejects(job, /enough/);
    assertEquals(await pool.run("count", null, LONG), 2);
  });
});

Deno.test("an abort ends a job that is deaf to it, and one that waits never begins", async () => {
  await withPool(1, async (pool) => {
    const controller = new AbortController();
    const looping = pool.run("spin", null, { ...LONG, signal: controller.signal });
    const waiting = pool.run("double", 1, { ...LONG, signal: controller.signal });
    const next = pool.run("double", 2, LONG);
    controller.abort(new Error("enough"));
    await assertRejects(looping, /enough/);
    await assertRejects(waiting, /enough/);
    assertEquals(await next, 4);
    await assertRejects(pool.run("double", 1, { ...LONG, signal: controller.signal }), /enough/);
  });
});

Deno.test("a worker that asks for it is replaced", async () => {
  await withPool(1, async (pool) => {
    await pool.run("count", null, LONG);
    await pool.run("retire", null, LONG);
    assertEquals(await pool.run("count", null, LONG), 1);
  });
});

Deno.test("a closed pool lets its jobs end, ends those that do not, and takes no more", async () => {
  const pool = new Pool<TestJobs>(MODULE, 2, systemClock);
  const job = pool.run("double", 21, LONG);
  const looping = assertRejects(pool.run("spin", null, LONG), /pool is closed/);
  const waiting = assertRejects(pool.run("double", 1, LONG).then(() => pool.run("double", 1, LONG)), /pool is closed/);
  assertEquals(await job, 42);
  await pool.close(10);
  await looping;
  await waiting;
  await assertRejects(pool.run("double", 1, LONG), /pool is closed/);
});
