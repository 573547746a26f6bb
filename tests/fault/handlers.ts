/**
 * Task types that leave traces, in the place of the service's own: the harness starts `main.ts` with this module in
 * the place of `queue/handlers/mod.ts`. Each effect is a line in the log that FAULT_LOG names:
 *
 *     do <task> <step> <attempt>     the effect itself
 *     done <task> <step>             the queue has said that it is recorded
 *     enter <key> <task>             a task with a concurrency key runs …
 *     leave <key> <task>             … and is about to end
 *
 * FAULT_WITHOUT names a type that an instance does not know, as one of another version.
 */

import * as z from "zod";
import type { Clock } from "../../queue/task/clock.ts";
import { type AnyTaskDefinition, defineTask, type TaskContext } from "../../queue/define.ts";

const log = Deno.env.get("FAULT_LOG")!;

/** Appends one line. A write of one line to a file that is opened for appending is whole or not there. */
function trace(...words: (string | number)[]): void {
  Deno.writeTextFileSync(log, `${words.join(" ")}\n`, { append: true });
}

const params = z.strictObject({ ms: z.int().min(0).max(5_000).default(0), fails: z.int().min(0).max(5).default(0) });

const common = {
  title: "Fault",
  description: "Leaves traces.",
  params,
  maxAttempts: 25,
  timeoutMs: 60_000,
  concurrency: 20,
  backoff: { base: 20, factor: 1, cap: 20 },
};

type Context = TaskContext<z.output<typeof params>>;

async function effect(ctx: Context, step: string): Promise<void> {
  trace("do", ctx.id, step, ctx.attempt);
  await ctx.sleep(ctx.params.ms / 5);
}

/** Attempts that fail by themselves; interrupted ones do not count. */
async function failFirst(ctx: Context): Promise<void> {
  for (let i = 0; i < ctx.params.fails; i++) {
    let first = false;
    await ctx.step(`fail ${i}`, () => {
      first = true;
      return null;
    });
    if (first) throw new Error(`failure ${i}`);
  }
}

const plain = defineTask({
  ...common,
  type: "plain",
  async run(ctx) {
    await effect(ctx, "only");
    return ctx.id;
  },
});

const steps = defineTask({
  ...common,
  type: "steps",
  async run(ctx) {
    await failFirst(ctx);
    for (const step of ["a", "b", "c", "d"]) {
      await ctx.step(step, async () => {
        await effect(ctx, step);
        return step;
      });
      trace("done", ctx.id, step);
      ctx.log.info(`step ${step}`);
    }
    return ctx.id;
  },
});

const checkpoints = defineTask({
  ...common,
  type: "checkpoints",
  async run(ctx) {
    let state = (ctx.resume as { next: number; pad: string } | undefined) ?? { next: 0, pad: "" };
    while (state.next < 5) {
      await effect(ctx, `${state.next}`);
      ctx.progress(20 * state.next);
      // Every other one is too large for its entry.
      state = { next: state.next + 1, pad: state.next % 2 ? "x".repeat(70_000) : "" };
      await ctx.checkpoint(state);
      trace("done", ctx.id, `${state.next - 1}`);
    }
    await ctx.artifact("out.bin", new Uint8Array(100_000), "application/octet-stream");
    return ctx.id;
  },
});

const serial = defineTask({
  ...common,
  type: "serial",
  async run(ctx) {
    const key = Deno.pid;
    trace("enter", ctx.id, key, ctx.attempt);
    try {
      await effect(ctx, "only");
    } finally {
      // A cancel gives the key to the next task too.
      trace("leave", ctx.id, key, ctx.attempt);
    }
    return ctx.id;
  },
});

const child = defineTask({
  ...common,
  type: "child",
  async run(ctx) {
    const parents = await ctx.parents();
    if (parents.length === 0 || parents.some(({ id, result }) => result !== id)) throw new Error("a parent is missing");
    await effect(ctx, "only");
    return ctx.id;
  },
});

const limited = defineTask({
  ...common,
  type: "limited",
  rateLimit: "200/s",
  async run(ctx) {
    await effect(ctx, "only");
    return ctx.id;
  },
});

/** What `queue/handlers/mod.ts` exports. */
export function createHandlers(_clock: Clock): { definitions: AnyTaskDefinition[]; close(): void } {
  const definitions = [plain, steps, checkpoints, serial, child, limited];
  return { definitions: definitions.filter(({ type }) => type !== Deno.env.get("FAULT_WITHOUT")), close: () => {} };
}
