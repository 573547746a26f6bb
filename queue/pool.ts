/**
 * A pool of Web Workers for work that burns the processor, so that the rest of the process stays quick. A job that
 * runs over its time or is deaf to its abort is ended with its worker; the next job gets a new one.
 *
 * @module
 */

import { type Clock, within } from "./clock.ts";

/** The kinds of jobs of a pool: what goes in and what comes out. */
export type Jobs = Record<string, { in: unknown; out: unknown }>;

/** How a job is run. */
export interface JobOptions {
  /** Buffers to hand over instead of copying. They are empty on this side afterwards. */
  transfer?: Transferable[];
  /** Ends the job. */
  signal?: AbortSignal;
  /** Longest run in milliseconds, from when a worker has it. */
  timeoutMs: number;
  /** Told what the job reports on its way. */
  onProgress?: (value: unknown) => void;
}

/** What goes to a worker. */
export type ToWorker = { type: "job"; kind: string; job: unknown } | { type: "abort" };

/** What comes from a worker. `retire` asks for a new worker in its place: this one has taken much memory. */
export type FromWorker =
  | { type: "progress"; value: unknown }
  | { type: "done"; value: unknown; retire: boolean }
  | { type: "failed"; name: string; message: string };

/** What a job threw. `name` is the name that it had in the worker. */
export class JobError extends Error {
  constructor(name: string, message: string) {
    super(message);
    this.name = name;
  }
}

/** A job ran over its time. */
export class JobTimeoutError extends Error {
  constructor(ms: number) {
    super(`It took longer than ${ms / 1000} s and was ended.`);
    this.name = "JobTimeoutError";
  }
}

/** How long an aborted job may take to stop before it is ended with its worker. */
const ABORT_MS = 100;

interface Waiting {
  start(worker: Worker): void;
  fail(error: Error): void;
}

/** Warm workers of one module. Each runs one job at a time. */
export class Pool<J extends Jobs> {
  readonly #module: URL;
  readonly #size: number;
  readonly #clock: Clock;
  #idle: Worker[] = [];
  /** Workers with a job, and what ends it early. */
  #busy = new Map<Worker, (error: Error) => void>();
  /** Jobs that wait for a worker, oldest first. */
  #waiting: Waiting[] = [];
  #closed = false;
  #drained: (() => void) | null = null;

  /** @param size The most workers at once; each is started when it is first needed. */
  constructor(module: URL, size: number, clock: Clock) {
    this.#module = module;
    this.#size = size;
    this.#clock = clock;
  }

  /**
   * Runs a job as soon as a worker is free.
   *
   * @throws {JobTimeoutError} If it ran over its time.
   * @throws {JobError} What the job threw.
   * @throws {Error} If its worker crashed.
   * @throws The signal's reason, as soon as it is aborted.
   */
  async run<K extends keyof J & string>(kind: K, job: J[K]["in"], options: JobOptions): Promise<J[K]["out"]> {
    const { transfer = [], signal, timeoutMs, onProgress } = options;
    signal?.throwIfAborted();
    const worker = await this.#take(signal);
    if (signal?.aborted) {
      this.#giveBack(worker, true);
      throw signal.reason;
    }
    return await new Promise((resolve, reject) => {
      let cancelTimer = () => {};
      const onAbort = () => {
        reject(signal!.reason);
        // It may stop by itself, and its worker stays warm.
        cancelTimer();
        cancelTimer = this.#clock.after(ABORT_MS, () => end(false));
        worker.postMessage({ type: "abort" } satisfies ToWorker);
      };
      const end = (healthy: boolean) => {
        cancelTimer();
        signal?.removeEventListener("abort", onAbort);
        worker.onerror = worker.onmessage = null;
        this.#giveBack(worker, healthy);
      };
      const fail = (error: Error) => {
        reject(error);
        end(false);
      };
      this.#busy.set(worker, fail);
      worker.onerror = (event) => {
        event.preventDefault();
        fail(new Error(event.message || "The worker crashed."));
      };
      worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
        if (data.type === "progress") return onProgress?.(data.value);
        if (data.type === "done") resolve(data.value as J[K]["out"]);
        else reject(new JobError(data.name, data.message));
        end(data.type === "done" ? !data.retire : true);
      };
      cancelTimer = this.#clock.after(timeoutMs, () => fail(new JobTimeoutError(timeoutMs)));
      signal?.addEventListener("abort", onAbort, { once: true });
      try {
        worker.postMessage({ type: "job", kind, job } satisfies ToWorker, transfer);
      } catch (error) {
        fail(error as Error);
      }
    });
  }

  /** Takes no more jobs, waits for those under way, and ends all workers: those that are late, in the middle. */
  async close(graceMs = 1_000): Promise<void> {
    this.#closed = true;
    const closed = new Error("The pool is closed.");
    for (const { fail } of this.#waiting.splice(0)) fail(closed);
    for (const worker of this.#idle.splice(0)) worker.terminate();
    if (this.#busy.size > 0) {
      await within(this.#clock, graceMs, new Promise<void>((resolve) => this.#drained = resolve));
    }
    for (const fail of [...this.#busy.values()]) fail(closed);
  }

  #take(signal?: AbortSignal): Promise<Worker> {
    if (this.#closed) return Promise.reject(new Error("The pool is closed."));
    if (this.#busy.size < this.#size) {
      const worker = this.#idle.pop() ?? this.#open();
      this.#busy.set(worker, () => this.#giveBack(worker, false));
      return Promise.resolve(worker);
    }
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        start: (worker) => {
          signal?.removeEventListener("abort", onAbort);
          resolve(worker);
        },
        fail: reject,
      };
      const onAbort = () => {
        this.#waiting = this.#waiting.filter((other) => other !== waiting);
        reject(signal!.reason);
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#waiting.push(waiting);
    });
  }

  #open(): Worker {
    return new Worker(this.#module, { type: "module" });
  }

  #giveBack(worker: Worker, healthy: boolean): void {
    if (!this.#busy.delete(worker)) return;
    if (!healthy || this.#closed) worker.terminate();
    const next = this.#waiting.shift();
    if (next) {
      const free = healthy ? worker : this.#open();
      this.#busy.set(free, () => this.#giveBack(free, false));
      return next.start(free);
    }
    if (healthy && !this.#closed) this.#idle.push(worker);
    if (this.#busy.size === 0) this.#drained?.();
  }
}
