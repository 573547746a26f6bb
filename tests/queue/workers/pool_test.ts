import { kill } from "node:process";
import { type Clock, systemClock } from "../../../queue/task/clock.ts";
import { Pool, type PoolWorker } from "../../../queue/workers/pool.ts";
import { ProcessWorker } from "../../../queue/workers/process_worker.ts";
import { assertEquals, assertRejects, ok } from "../../support/assert.ts";
import { FakeClock, turn } from "../../support/fake_clock.ts";

type TestJobs = {
  double: { in: number; out: number };
  take: { in: Uint8Array<ArrayBuffer>; out: Uint8Array<ArrayBuffer> };
  fail: { in: string; out: null };
  crash: { in: null; out: null };
  spin: { in: null; out: null };
  polite: { in: null; out: string };
  count: { in: null; out: number };
  late: { in: null; out: null };
  retire: { in: null; out: null };
  hoard: { in: null; out: null };
};

const support = (name: string) => new URL(`../../support/pool/${name}`, import.meta.url);
const webWorker = (): PoolWorker => new Worker(support("pool_web.ts"), { type: "module" });
const processWorker = () => new ProcessWorker(support("pool_process.ts"), 400_000_000);
const LONG = { timeoutMs: 600_000 };

for (const [what, start] of [["Web Workers", webWorker], ["processes", () => processWorker()]] as const) {
  const withPool = async (size: number, test: (pool: Pool<TestJobs>) => Promise<void>) => {
    const pool = new Pool<TestJobs>(start, size, systemClock);
    try {
      await test(pool);
    } finally {
      await pool.close();
    }
  };

  Deno.test(`${what}: jobs run warm, as many at once as the pool has`, async () => {
    await withPool(2, async (pool) => {
      const results = await Promise.all([1, 2, 3, 4, 5].map((n) => pool.run("double", n, LONG)));
      assertEquals(results, [2, 4, 6, 8, 10]);
    });
    await withPool(1, async (pool) => {
      // One worker did both: it counts its jobs.
      assertEquals([await pool.run("count", null, LONG), await pool.run("count", null, LONG)], [1, 2]);
    });
  });

  Deno.test(`${what}: bytes go there and back, a megabyte too`, async () => {
    await withPool(1, async (pool) => {
      const bytes = new Uint8Array(1_000_000).map((_, i) => i % 251);
      const expected = bytes.toReversed();
      const back = await pool.run("take", bytes, { ...LONG, transfer: [bytes.buffer] });
      assertEquals(back.length, expected.length);
      ok(back.every((byte, i) => byte === expected[i]));
      // A Web Worker is handed the buffer itself.
      assertEquals(bytes.byteLength, what === "Web Workers" ? 0 : 1_000_000);
    });
  });

  Deno.test(`${what}: what a job throws comes back by name and message, and its worker goes on`, async () => {
    await withPool(1, async (pool) => {
      await pool.run("count", null, LONG);
      await assertRejects(pool.run("fail", "no good", LONG), { name: "ReasonError", message: "no good" });
      assertEquals(await pool.run("count", null, LONG), 2);
    });
  });

  Deno.test(`${what}: one that crashes fails its job only; the next one gets a new worker`, async () => {
    await withPool(1, async (pool) => {
      await pool.run("count", null, LONG);
      await assertRejects(pool.run("crash", null, LONG), { name: "WorkerCrash" });
      assertEquals(await pool.run("count", null, LONG), 1);
    });
  });

  Deno.test(`${what}: one that crashes after its job harms nobody`, async () => {
    await withPool(1, async (pool) => {
      assertEquals(await pool.run("count", null, LONG), 1);
      await pool.run("late", null, LONG);
      // The crash falls before some job, into it or after it: at most that one meets it, and a new worker counts anew.
      let crashes = 0;
      for (let count: number | null = null; count !== 1;) {
        count = await pool.run("count", null, LONG).catch(({ name }) => {
          assertEquals([name, ++crashes], ["WorkerCrash", 1]);
          return null;
        });
      }
      assertEquals(await pool.run("double", 2, LONG), 4);
    });
  });

  Deno.test(`${what}: an abort is heard across the boundary: the caller goes on at once, a polite job keeps its worker`, async () => {
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

  Deno.test(`${what}: a listener of progress that throws fails its job`, async () => {
    await withPool(1, async (pool) => {
      const onProgress = () => {
        throw new Error("not heard");
      };
      await assertRejects(pool.run("polite", null, { ...LONG, onProgress }), /not heard/);
      assertEquals(await pool.run("double", 2, LONG), 4);
    });
  });

  Deno.test(`${what}: a worker that asks for it is replaced`, async () => {
    await withPool(1, async (pool) => {
      await pool.run("count", null, LONG);
      await pool.run("retire", null, LONG);
      assertEquals(await pool.run("count", null, LONG), 1);
    });
  });
}

function isThere(pid: number): boolean {
  try {
    // Signal 0 only asks (kill(2)).
    return kill(pid, 0);
  } catch {
    return false;
  }
}

/** Resolves once a process is gone. */
async function gone(pid: number): Promise<void> {
  while (isThere(pid)) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** A pool of processes that remembers their ids. */
function pidsOf(size: number, clock: Clock = systemClock) {
  const pids: number[] = [];
  const pool = new Pool<TestJobs>(
    () => {
      const worker = processWorker();
      pids.push(worker.pid);
      return worker;
    },
    size,
    clock,
  );
  return { pool, pids };
}

Deno.test("a job that loops is ended when its time is over, while others go on", async () => {
  const clock = new FakeClock();
  const { pool, pids } = pidsOf(2, clock);
  const looping = pool.run("spin", null, { timeoutMs: 5_000 });
  const refused = assertRejects(looping, {
    name: "JobTimeoutError",
    message: "The job took longer than 5 s and was terminated.",
  });
  assertEquals(await pool.run("double", 4, LONG), 8);
  await clock.advance(5_000);
  await refused;
  if (Deno.build.os === "linux") await gone(pids[0]);
  assertEquals(await Promise.all([1, 2].map((n) => pool.run("double", n, LONG))), [2, 4]);
  await pool.close();
});

Deno.test("an abort ends a job that is deaf to it, and one that waits never begins", async () => {
  const { pool, pids } = pidsOf(1);
  const controller = new AbortController();
  const looping = pool.run("spin", null, { ...LONG, signal: controller.signal });
  const waiting = pool.run("double", 1, { ...LONG, signal: controller.signal });
  const next = pool.run("double", 2, LONG);
  await turn();
  controller.abort(new Error("enough"));
  await assertRejects(looping, /enough/);
  await assertRejects(waiting, /enough/);
  assertEquals(await next, 4);
  if (Deno.build.os === "linux") await gone(pids[0]);
  await assertRejects(pool.run("double", 1, { ...LONG, signal: controller.signal }), /enough/);
  await pool.close();
});

Deno.test({
  name: "a job that takes more memory than it may is ended",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const { pool, pids } = pidsOf(1);
    // Whether V8 gives up first or the job is refused more is the machine's: it never gets what it wants.
    await assertRejects(pool.run("hoard", null, LONG), /memory/);
    await gone(pids[0]);
    assertEquals(await pool.run("double", 2, LONG), 4);
    await pool.close();
  },
});

Deno.test("a worker without a job for a minute is ended; the next job gets a new one", async () => {
  const clock = new FakeClock();
  const { pool, pids } = pidsOf(1, clock);
  assertEquals([await pool.run("count", null, LONG), await pool.run("count", null, LONG)], [1, 2]);
  await clock.advance(60_000);
  if (Deno.build.os === "linux") await gone(pids[0]);
  assertEquals(await pool.run("count", null, LONG), 1);
  await pool.close();
});

Deno.test("a closed pool lets its jobs end, ends those that do not, and takes no more", async () => {
  const { pool, pids } = pidsOf(2);
  const job = pool.run("double", 21, LONG);
  const looping = assertRejects(pool.run("spin", null, LONG), /pool is closed/);
  const waiting = assertRejects(pool.run("spin", null, LONG), /pool is closed/);
  assertEquals(await job, 42);
  await pool.close(10);
  await looping;
  await waiting;
  if (Deno.build.os === "linux") await Promise.all(pids.map(gone));
  await assertRejects(pool.run("double", 1, LONG), { name: "PoolClosedError" });
});

Deno.test({
  name: "a worker that has just been killed from outside ends its job, and those that wait go on",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const clock = new FakeClock();
    const { pool, pids } = pidsOf(1, clock);
    const looping = pool.run("spin", null, { timeoutMs: 5_000 });
    const refused = assertRejects(looping, { name: /WorkerCrash|JobTimeoutError/ });
    const next = pool.run("double", 2, LONG);
    await turn();
    Deno.kill(pids[0], "SIGKILL");
    await gone(pids[0]);
    // The job's own time is over in the same moment: its worker is told to end a second time.
    await clock.advance(5_000);
    await refused;
    assertEquals(await next, 4);
    await pool.close();
  },
});

Deno.test("a worker that throws when it is told to end holds nobody up", async () => {
  const clock = new FakeClock();
  const started: PoolWorker[] = [];
  const pool = new Pool<TestJobs>(
    () => {
      const worker: PoolWorker = {
        onmessage: null,
        onerror: null,
        postMessage(message) {
          if (message.type !== "job" || message.kind !== "double") return;
          const data = { type: "done", value: (message.job as number) * 2, retire: false } as const;
          queueMicrotask(() => this.onmessage?.(new MessageEvent("message", { data })));
        },
        terminate() {
          throw new TypeError("Child process has already terminated");
        },
      };
      started.push(worker);
      return worker;
    },
    1,
    clock,
  );
  const late = assertRejects(pool.run("spin", null, { timeoutMs: 1_000 }), { name: "JobTimeoutError" });
  const next = pool.run("double", 4, LONG);
  await turn();
  await clock.advance(1_000);
  await late;
  assertEquals([await next, started.length], [8, 2]);
  await pool.close();
});

Deno.test("when no worker can be started every job that waits is told so, and later jobs find one", async () => {
  let fails = true;
  const pool = new Pool<TestJobs>(
    () => {
      if (fails) throw new Error("Resource temporarily unavailable");
      return webWorker();
    },
    1,
    systemClock,
  );
  const jobs = [1, 2, 3].map((n) => pool.run("double", n, LONG));
  for (const job of jobs) await assertRejects(job, /temporarily unavailable/);
  fails = false;
  assertEquals(await pool.run("double", 4, LONG), 8);
  await pool.close();
});

Deno.test("a job whose worker cannot be started waits for one that is busy", async () => {
  let left = 1;
  const pool = new Pool<TestJobs>(
    () => {
      if (left-- <= 0) throw new Error("Too many open files");
      return webWorker();
    },
    2,
    systemClock,
  );
  assertEquals(await Promise.all([1, 2, 3].map((n) => pool.run("double", n, LONG))), [2, 4, 6]);
  await pool.close();
});
