/**
 * A pool of workers for CPU-bound work, so that the rest of the process stays responsive. A job that exceeds its time
 * limit or ignores its abort is ended together with its worker; the next job gets a new one. Deno cannot end a Web
 * Worker in the middle of a loop (its thread goes on without effect). Code that may loop forever on untrusted input
 * therefore runs in processes (process_worker.ts), which can be killed.
 *
 * @module
 */

import { type Clock, within } from "../task/clock.ts";

/** The kinds of jobs of a pool: what goes in and what comes out. */
export type Jobs = Record<string, { in: unknown; out: unknown }>;

/** How a job is run. */
export interface JobOptions {
  /** Buffers to transfer instead of copying. They are empty on this side afterwards. */
  transfer?: Transferable[];
  /** Ends the job. */
  signal?: AbortSignal;
  /** Longest run in milliseconds, counted from when a worker gets the job. */
  timeoutMs: number;
  /** Called with what the job reports while it runs. */
  onProgress?: (value: unknown) => void;
}

/** What goes to a worker. */
export type ToWorker = { type: "job"; kind: string; job: unknown } | { type: "abort" };

/** What comes from a worker. `retire` asks for a new worker in its place: this one has taken much memory. */
export type FromWorker =
  | { type: "progress"; value: unknown }
  | { type: "done"; value: unknown; retire: boolean }
  | { type: "failed"; name: string; message: string; retire: boolean };

/** What a job threw. `name` is the name that it had in the worker. */
export class JobError extends Error {
  constructor(name: string, message: string) {
    super(message);
    this.name = name;
  }
}

/** The pool takes no more jobs. */
export class PoolClosedError extends Error {
  constructor() {
    super("The pool is closed.");
    this.name = "PoolClosedError";
  }
}

/** A job exceeded its time limit. */
export class JobTimeoutError extends Error {
  constructor(ms: number) {
    super(`The job took longer than ${ms / 1000} s and was terminated.`);
    this.name = "JobTimeoutError";
  }
}

/** A worker without a job is ended after this time, to free its memory. */
const IDLE_MS = 60_000;
/** How long an aborted job may take to stop before it is ended with its worker. */
const ABORT_MS = 100;

interface Waiting {
  start(worker: PoolWorker): void;
  fail(error: Error): void;
}

/** What a pool works with: a Web Worker, or a process with the same interface. */
export interface PoolWorker {
  onmessage: ((event: MessageEvent<FromWorker>) => void) | null;
  onmessageerror?: ((event: MessageEvent) => void) | null;
  onerror: ((event: ErrorEvent) => void) | null;
  postMessage(message: ToWorker, transfer: Transferable[]): void;
  /** Ends it at once. A returned promise resolves when it is gone. */
  terminate(): void | Promise<void>;
}

/** Warm workers. Each runs one job at a time. */
export class Pool<J extends Jobs> {
  readonly #start: () => PoolWorker;
  readonly #size: number;
  readonly #clock: Clock;
  /** Warm workers without a job, each with a function that cancels its idle timer. */
  #idle = new Map<PoolWorker, () => void>();
  /** Workers with a job, and what ends it early. */
  #busy = new Map<PoolWorker, (error: Error) => void>();
  /** Jobs that wait for a worker, oldest first. */
  #waiting: Waiting[] = [];
  /** Workers that were told to end and may still be ending. */
  #ending = new Set<Promise<void>>();
  #closed = false;
  #drained: (() => void) | null = null;

  /**
   * @param start Starts a worker.
   * @param size The most workers at once; each is started when it is first needed.
   */
  constructor(start: () => PoolWorker, size: number, clock: Clock) {
    this.#start = start;
    this.#size = size;
    this.#clock = clock;
  }

  /**
   * Runs a job as soon as a worker is free.
   *
   * @throws {JobTimeoutError} If it exceeded its time limit.
   * @throws {JobError} What the job threw, or that its worker crashed.
   * @throws {PoolClosedError} If the pool was closed before it had ended.
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
        // If it stops by itself, its worker stays warm.
        cancelTimer();
        cancelTimer = this.#clock.after(ABORT_MS, () => end(false));
        worker.postMessage({ type: "abort" }, []);
      };
      const end = (healthy: boolean) => {
        cancelTimer();
        signal?.removeEventListener("abort", onAbort);
        worker.onmessage = null;
        this.#giveBack(worker, healthy);
      };
      const fail = (error: Error) => {
        reject(error);
        end(false);
      };
      this.#busy.set(worker, fail);
      worker.onmessage = ({ data }) => {
        if (data.type === "progress") {
          if (signal?.aborted) return;
          try {
            return onProgress?.(data.value);
          } catch (error) {
            return fail(error as Error);
          }
        }
        if (data.type === "done") resolve(data.value as J[K]["out"]);
        else reject(new JobError(data.name, data.message));
        end(!data.retire);
      };
      cancelTimer = this.#clock.after(timeoutMs, () => fail(new JobTimeoutError(timeoutMs)));
      signal?.addEventListener("abort", onAbort, { once: true });
      try {
        worker.postMessage({ type: "job", kind, job }, transfer);
      } catch (error) {
        fail(error as Error);
      }
    });
  }

  /** Takes no more jobs, waits for running ones up to `graceMs`, and ends all workers, even in the middle of a job. */
  async close(graceMs = 1_000): Promise<void> {
    this.#closed = true;
    for (const { fail } of this.#waiting.splice(0)) fail(new PoolClosedError());
    for (const worker of this.#idle.keys()) this.#end(worker);
    if (this.#busy.size > 0) {
      await within(this.#clock, graceMs, new Promise<void>((resolve) => this.#drained = resolve));
    }
    for (const fail of [...this.#busy.values()]) fail(new PoolClosedError());
    await Promise.all(this.#ending);
  }

  #take(signal?: AbortSignal): Promise<PoolWorker> {
    if (this.#closed) return Promise.reject(new PoolClosedError());
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.#waiting = this.#waiting.filter((other) => other !== waiting);
        reject(signal!.reason);
      };
      const settle = () => signal?.removeEventListener("abort", onAbort);
      const waiting: Waiting = {
        start: (worker) => {
          settle();
          resolve(worker);
        },
        fail: (error) => {
          settle();
          reject(error);
        },
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      if (this.#busy.size < this.#size) this.#startNext(waiting, this.#takeIdle());
      else this.#waiting.push(waiting);
    });
  }

  /** Gives a job its worker. If none can be started, a busy one may take the job later. */
  #startNext(waiting: Waiting, worker?: PoolWorker): void {
    try {
      worker ??= this.#open();
    } catch (error) {
      if (this.#busy.size > 0) return void this.#waiting.unshift(waiting);
      // No worker is left that could take the waiting jobs later.
      for (const each of [waiting, ...this.#waiting.splice(0)]) each.fail(error as Error);
      return;
    }
    const taken = worker;
    this.#busy.set(taken, () => this.#giveBack(taken, false));
    waiting.start(taken);
  }

  #open(): PoolWorker {
    const worker = this.#start();
    const crashed = (message: string) => {
      const error = new JobError("WorkerCrash", message);
      const fail = this.#busy.get(worker);
      if (fail) return fail(error);
      // It had no job: an earlier one caused the error.
      this.#end(worker);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      crashed(event.message || "The worker crashed.");
    };
    worker.onmessageerror = () => crashed("The worker's message could not be read.");
    return worker;
  }

  /** The worker that has been idle for the shortest time: the others may be ended. */
  #takeIdle(): PoolWorker | undefined {
    const worker = [...this.#idle.keys()].pop();
    if (worker) this.#leaveIdle(worker);
    return worker;
  }

  #leaveIdle(worker: PoolWorker): void {
    this.#idle.get(worker)?.();
    this.#idle.delete(worker);
  }

  #end(worker: PoolWorker): void {
    this.#leaveIdle(worker);
    let gone: void | Promise<void>;
    try {
      gone = worker.terminate();
    } catch {
      // It has already ended by itself.
      return;
    }
    if (!gone) return;
    const ended = gone.catch(() => {}).finally(() => this.#ending.delete(ended));
    this.#ending.add(ended);
  }

  #giveBack(worker: PoolWorker, healthy: boolean): void {
    if (!this.#busy.delete(worker)) return;
    if (!healthy || this.#closed) this.#end(worker);
    const next = this.#waiting.shift();
    if (next) return this.#startNext(next, healthy ? worker : undefined);
    if (healthy && !this.#closed) this.#idle.set(worker, this.#clock.after(IDLE_MS, () => this.#end(worker)));
    if (this.#busy.size === 0) this.#drained?.();
  }
}
