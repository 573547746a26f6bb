/** The jobs that the tests of the pool run. */

import type { JobHandler } from "../../../queue/workers/pool_worker.ts";

let count = 0;

class ReasonError extends Error {
  override name = "ReasonError";
}

/** By kind, what loads it. */
// deno-lint-ignore no-explicit-any
export const KINDS: Record<string, () => Promise<JobHandler<any, any>>> = {
  double: () => Promise.resolve((n: number) => ({ value: n * 2 })),
  take: () =>
    Promise.resolve((bytes: Uint8Array<ArrayBuffer>) => ({ value: bytes.reverse(), transfer: [bytes.buffer] })),
  fail: () =>
    Promise.resolve((message: string) => {
      throw new ReasonError(message);
    }),
  crash: () =>
    Promise.resolve(() => {
      reportError(new Error("crashed on purpose"));
      return new Promise(() => {});
    }),
  spin: () =>
    Promise.resolve(() => {
      while (true);
    }),
  polite: () =>
    Promise.resolve((_: null, { signal, progress }) => {
      const stopped = new Promise<{ value: string }>((resolve) => {
        signal.addEventListener("abort", () => resolve({ value: "stopped" }));
      });
      progress("started");
      return stopped;
    }),
  count: () => Promise.resolve(() => ({ value: ++count })),
  retire: () => Promise.resolve(() => ({ value: null, retire: true })),
  hoard: () =>
    Promise.resolve(() => {
      const kept: Uint8Array[] = [];
      while (true) kept.push(new Uint8Array(1_000_000).fill(1));
    }),
  late: () =>
    Promise.resolve(() => {
      setTimeout(() => reportError(new Error("late on purpose")), 0);
      return { value: null };
    }),
};
