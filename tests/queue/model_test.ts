/** Random commands against the queue and against a small model of it: after each, both must say the same. */

import fc from "fast-check";
import * as z from "zod";
import { defineTask, type TaskContext } from "../../queue/define.ts";
import { NonRetryableError } from "../../queue/task/errors.ts";
import type { QueueOptions } from "../../queue/options.ts";
import { Queue } from "../../queue/queue.ts";
import { CONNECT_LIMITS, FILE_LIMITS } from "../../queue/store/commit/atomic_size.ts";
import { totalOf } from "../../queue/store/listing.ts";
import { checkStore } from "../../queue/tools/check.ts";
import { type Json, STATUSES, type TaskState } from "../../queue/task/record.ts";
import { assertEquals, assertRejects } from "../support/assert.ts";
import { driven, FakeClock } from "../support/fake_clock.ts";
import { Model } from "../support/model.ts";
import { mortal } from "../support/kv/mortal_kv.ts";

const RUNS = Number(Deno.env.get("MODEL_RUNS") ?? (Deno.env.get("CI") === "true" ? 2_000 : 300));
/** MODEL_SEED repeats a run. */
const SEED = Number(Deno.env.get("MODEL_SEED") ?? Math.floor(Math.random() * 2 ** 31));
const SLOTS = 2;
const MOST_COMMANDS = 30;
/** Turns of the event loop within which the queue must have done all there is to do. */
const PATIENCE = 1_000;

/** A queue whose handlers wait to be told how they end. */
class Real {
  readonly ids: string[] = [];
  readonly handlers = new Map<string, { attempt: number; finish(result: Json): void; fail(error: Error): void }>();
  queue!: Queue;
  #kill: () => void = () => {};

  private constructor(readonly kv: Deno.Kv, readonly clock: FakeClock, readonly options: Partial<QueueOptions>) {}

  static async open(options: Partial<QueueOptions>): Promise<Real> {
    const real = new Real(await Deno.openKv(":memory:"), new FakeClock(), options);
    await real.start();
    return real;
  }

  async start(): Promise<void> {
    const { kv, kill } = mortal(this.kv);
    this.#kill = kill;
    const definition = defineTask({
      type: "t",
      title: "T",
      description: "",
      params: z.strictObject({}),
      concurrency: SLOTS,
      timeoutMs: 86_400_000,
      backoff: { base: 4_000, factor: 1, cap: 4_000 },
      run: (ctx: TaskContext) =>
        new Promise<Json>((finish, fail) => {
          this.handlers.set(ctx.id, { attempt: ctx.attempt, finish, fail });
          ctx.signal.addEventListener("abort", () => fail(ctx.signal.reason));
        }),
    });
    this.queue = new Queue({ kv, clock: this.clock, definitions: [definition], leaseMs: 86_400_000, ...this.options });
    await this.queue.start();
  }

  async kill(): Promise<void> {
    this.#kill();
    await this.start();
  }

  async restart(): Promise<void> {
    await driven(this.clock, this.queue.stop(2_000));
    await this.start();
  }

  /** Waits until the queue agrees with the model. */
  async settle(model: Model): Promise<void> {
    let disagreement: string | null = "";
    for (let turns = 0; turns < PATIENCE; turns++) {
      const states = await Promise.all(this.ids.map((id) => this.queue.get(id)));
      disagreement = model.disagreement(states as TaskState[]);
      // What is said to run may be committed before its handler is called.
      const called = states.every(({ task, run }) => !run || this.handlers.get(task.id)?.attempt === run.attempt);
      if (!called) disagreement ??= "A handler has not been called.";
      if (disagreement === null) break;
      // No time passes, but what is due is done.
      await this.clock.advance(0);
    }
    if (disagreement !== null) throw new Error(disagreement);
    const counts = await this.queue.counts();
    for (const status of STATUSES) {
      assertEquals(totalOf(counts, { statuses: [status] }), model.those(status).length, `the counter of ${status}`);
    }
  }

  async close(): Promise<void> {
    await driven(this.clock, this.queue.stop(2_000));
    const { problems } = await checkStore(this.kv, this.clock.now());
    this.kv.close();
    assertEquals(problems.map(({ key, detail }) => `${key} ${detail}`), []);
  }
}

type Command = fc.AsyncCommand<Model, Real>;

/** A command with its name; `ready` says whether there is anything that it could do. */
function command(
  name: string,
  ready: (model: Model) => boolean,
  run: (model: Model, real: Real) => Promise<void>,
): Command {
  return {
    check: ready,
    async run(model, real) {
      await run(model, real);
      await real.settle(model);
    },
    toString: () => name,
  };
}

const pick = (from: number[], n: number) => from[n % from.length];
const endable = (model: Model) => model.those("RUNNING");

const submit = fc.record({
  delay: fc.constantFrom(0, 0, 1_000, 5_000),
  key: fc.constantFrom(null, null, "a", "b"),
  parents: fc.oneof(
    { weight: 2, arbitrary: fc.constant<number[]>([]) },
    fc.array(fc.nat(9), { minLength: 1, maxLength: 3 }),
  ),
  expiresIn: fc.constantFrom(null, null, 3_000, 8_000),
  maxAttempts: fc.integer({ min: 1, max: 3 }),
  priority: fc.nat(9),
}).map((input) =>
  command(`submit ${JSON.stringify(input)}`, () => true, async (model, real) => {
    const { delay, key, expiresIn, maxAttempts, priority } = input;
    const parents = model.tasks.length === 0 ? [] : [...new Set(input.parents.map((n) => n % model.tasks.length))];
    const expires = expiresIn !== null && expiresIn > delay ? expiresIn : null;
    const { task } = await real.queue.submit({
      task_type: "t",
      priority,
      run_at: model.now + delay,
      max_attempts: maxAttempts,
      concurrency_key: key ?? undefined,
      expires_in_ms: expires ?? undefined,
      depends_on: parents.map((parent) => real.ids[parent]),
    });
    real.ids.push(task.task.id);
    const times = { due: model.now + delay, expires: expires === null ? null : model.now + expires };
    model.submit({ parents, key, maxAttempts, ...times });
  })
);

const one = (name: string, from: (model: Model) => number[], run: (m: Model, r: Real, i: number) => Promise<void>) =>
  fc.nat(9).map((n) =>
    command(`${name} ${n}`, (model) => from(model).length > 0, (model, real) => run(model, real, pick(from(model), n)))
  );

const commands = [
  submit,
  submit,
  submit,
  one("succeed", endable, (model, real, i) => {
    model.succeed(i);
    real.handlers.get(real.ids[i])!.finish(i);
    return Promise.resolve();
  }),
  one("fail", endable, (model, real, i) => {
    model.fail(i, true);
    real.handlers.get(real.ids[i])!.fail(new Error("no"));
    return Promise.resolve();
  }),
  one("fail for good", endable, (model, real, i) => {
    model.fail(i, false);
    real.handlers.get(real.ids[i])!.fail(new NonRetryableError("no"));
    return Promise.resolve();
  }),
  one("cancel", (model) => model.those("PENDING", "RUNNING"), async (model, real, i) => {
    await real.queue.cancel(real.ids[i]);
    model.cancel(i);
  }),
  one("retry", (model) => model.those("FAILED", "CANCELLED"), async (model, real, i) => {
    if (model.isStuck(i)) {
      return void await assertRejects(real.queue.retry(real.ids[i]), { code: "illegal_transition" });
    }
    await real.queue.retry(real.ids[i]);
    model.retry(i);
  }),
  fc.boolean().map((paused) =>
    command(paused ? "pause" : "resume", () => true, async (model, real) => {
      if (paused) await real.queue.pause("t", "test");
      else await real.queue.resume("t");
      model.paused = paused;
    })
  ),
  fc.integer({ min: 1, max: 6_000 }).map((ms) =>
    command(`advance ${ms}`, () => true, async (model, real) => {
      const until = model.now + ms;
      while (model.now < until) {
        // One event at a time: what happens at different times must not be taken together.
        const to = Math.min(model.next(), until);
        await real.clock.advance(to - model.now);
        model.advance(to);
        await real.settle(model);
      }
    })
  ),
  fc.constantFrom(1, 1, 1, 5).map((times) =>
    command(`kill ${times} times`, () => true, async (model, real) => {
      for (let i = 0; i < times; i++) {
        model.interruptAll(true);
        await real.kill();
        await real.settle(model);
      }
    })
  ),
  fc.constant(command("restart", () => true, async (model, real) => {
    model.interruptAll(false);
    const before = real.clock.now();
    await real.restart();
    model.advance(model.now + real.clock.now() - before);
  })),
];

/** With one shard and many, many checks an atomic and few. */
const LAYOUTS = [{ shards: 1, limits: FILE_LIMITS }, { shards: 16, limits: CONNECT_LIMITS }];

Deno.test(`${RUNS} runs of random commands leave the queue as the model says, and the store clean (seed ${SEED})`, async () => {
  const script = fc.commands(commands, { maxCommands: MOST_COMMANDS, size: "max" });
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...LAYOUTS), script, async (layout, run) => {
      const real = await Real.open(layout);
      try {
        await fc.asyncModelRun(() => ({ model: new Model(SLOTS, real.clock.now()), real }), run);
      } finally {
        await real.close();
      }
    }),
    { numRuns: RUNS, seed: SEED },
  );
});
