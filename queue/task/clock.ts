/**
 * The one source of time. Everything that waits or stamps is handed a {@linkcode Clock}, so that tests can
 * advance time instead of waiting for it.
 *
 * @module
 */

/** Tells the time and calls back later. */
export interface Clock {
  /** Wall time: milliseconds since the Unix epoch. */
  now(): number;
  /** Monotonic milliseconds, unrelated to the wall clock. Leases are measured with this one. */
  monotonic(): number;
  /**
   * Calls `callback` once after `ms` milliseconds.
   *
   * @returns A function that cancels the call; calling it twice is safe.
   */
  after(ms: number, callback: () => void): () => void;
}

/** The longest delay that `setTimeout` takes: 2^31 - 1 ms, about 24.8 days. */
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;

/** The clock of the machine. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, Math.min(Math.max(0, ms), LONGEST_TIMEOUT_MS));
    return () => clearTimeout(timer);
  },
};

/**
 * Waits `ms` milliseconds on a clock.
 *
 * @throws The signal's reason, as soon as the signal is aborted.
 */
export function delay(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const onAbort = () => {
      cancel();
      reject(signal!.reason);
    };
    const cancel = clock.after(ms, () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    });
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

/** Whether a promise resolves within `ms` milliseconds. Rejects if the promise does before then. */
export async function within(clock: Clock, ms: number, promise: Promise<unknown>): Promise<boolean> {
  let cancel = () => {};
  const late = new Promise<false>((resolve) => cancel = clock.after(ms, () => resolve(false)));
  try {
    return await Promise.race([promise.then(() => true as const), late]);
  } finally {
    cancel();
  }
}

/** A job that repeats until it is stopped; its runs never overlap. */
export interface Repeating {
  /** Runs the job as soon as possible instead of at the end of the pause. */
  kick(): void;
  /** Stops for good; resolves once a run under way has ended. */
  stop(): Promise<void>;
}

/** After a run that threw, the next one comes at the latest after this time. Milliseconds. */
const RETRY_MS = 5_000;

/**
 * Runs `job` now and then again `ms` milliseconds after each run has ended; after 5 s at the latest if it threw.
 *
 * @param onError Called for each run that threw; the next run happens anyway.
 */
export function repeat(
  clock: Clock,
  ms: number,
  job: () => Promise<void>,
  onError: (error: unknown) => void,
): Repeating {
  let stopped = false;
  let again = false;
  let cancel: () => void = () => {};
  let running: Promise<void> | null = null;

  const run = () => {
    cancel();
    if (stopped) return;
    if (running) {
      again = true;
      return;
    }
    again = false;
    let pause = ms;
    running = (async () => await job())().catch((error) => {
      pause = Math.min(ms, RETRY_MS);
      onError(error);
    }).finally(() => {
      running = null;
      if (stopped) return;
      if (again) run();
      else cancel = clock.after(pause, run);
    });
  };
  run();

  return {
    kick: run,
    async stop() {
      stopped = true;
      cancel();
      await running;
    },
  };
}
