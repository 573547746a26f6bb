/**
 * A pool of Web Workers for work that burns the processor, so that the rest of the process stays quick. A job that
 * is aborted or runs over its time is ended with its worker; the next job gets a new one.
 *
 * @module
 */

import type { Clock } from "./clock.ts";

/** How a job is run. */
export interface JobOptions {
  /** Buffers to hand over instead of copying. */
  transfer?: Transferable[];
  /** Ends the job. */
  signal?: AbortSignal;
  /** Longest run in milliseconds. */
  timeoutMs: number;
}

/** What a worker answers: a value, or the message of an error. */
export type JobAnswer<T> = { ok: true; value: T } | { ok: false; message: string };

interface Waiting {
  start(worker: Worker): void;
}

/** Warm workers of one module. Each runs one job at a time. */
export class Pool<In, Out> {
  readonly #module: URL;
  readonly #size: number;
  readonly #clock: Clock;
  #idle: Worker[] = [];
  #busy = 0;
  #waiting: Waiting[] = [];
  #closed = false;

  constructor(module: URL, size: number, clock: Clock) {
    this.#module = module;
    this.#size = size;
    this.#clock = clock;
  }

  /**
   * Runs a job as soon as a worker is free.
   *
   * @throws {Error} What the job threw, or that it ran over its time or crashed.
   * @throws The signal's reason, as soon as it is aborted.
   */
  async run(job: In, { transfer = [], signal, timeoutMs }: JobOptions): Promise<Out> {
    signal?.throwIfAborted();
    const worker = await this.#take(signal);
    let cancelTimer = () => {};
    let onAbort = () => {};
    let ended = false;
    try {
      return await new Promise<Out>((resolve, reject) => {
        onAbort = () => reject(signal!.reason);
        if (signal?.aborted) {
          ended = true;
          return onAbort();
        }
        signal?.addEventListener("abort", onAbort);
        cancelTimer = this.#clock.after(timeoutMs, () => reject(new Error(`The job ran longer than ${timeoutMs} ms.`)));
        worker.onerror = (event) => {
          event.preventDefault();
          reject(new Error(event.message || "The worker crashed."));
        };
        worker.onmessage = ({ data }: MessageEvent<JobAnswer<Out>>) => {
          ended = true;
          if (data.ok) resolve(data.value);
          else reject(new Error(data.message));
        };
        worker.postMessage(job, transfer);
      });
    } finally {
      cancelTimer();
      signal?.removeEventListener("abort", onAbort);
      this.#giveBack(worker, ended);
    }
  }

  /** Ends all workers; jobs under way fail by their own signal or time. */
  close(): void {
    this.#closed = true;
    for (const worker of this.#idle.splice(0)) worker.terminate();
  }

  #take(signal?: AbortSignal): Promise<Worker> {
    if (this.#closed) throw new Error("The pool is closed.");
    if (this.#busy < this.#size) {
      this.#busy++;
      return Promise.resolve(this.#idle.pop() ?? this.#open());
    }
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        start: (worker) => {
          signal?.removeEventListener("abort", onAbort);
          resolve(worker);
        },
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
    if (!healthy || this.#closed) worker.terminate();
    const next = this.#waiting.shift();
    if (next) return next.start(healthy ? worker : this.#open());
    this.#busy--;
    if (healthy && !this.#closed) this.#idle.push(worker);
  }
}
