/**
 * The other side of the pool: what runs in each Web Worker. One job at a time comes in, one answer goes out.
 *
 * @module
 */

import type { FromWorker, ToWorker } from "./pool.ts";

/** What a job may use. */
export interface JobTools {
  /** Aborted when nobody waits for the job any more. A job that looks at it now and then keeps its worker warm. */
  signal: AbortSignal;
  /** Reports something on the way. */
  progress(value: unknown): void;
}

/** What a job gives. */
export interface JobResult<T> {
  value: T;
  /** Buffers of the value, handed over instead of copied. */
  transfer?: Transferable[];
  /** Whether the worker has taken so much memory that it should be replaced. */
  retire?: boolean;
}

/** Does a job of one kind. */
export type JobHandler<In, Out> = (job: In, tools: JobTools) => Promise<JobResult<Out>> | JobResult<Out>;

/** The part of a worker's global scope that is used here. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
  postMessage(message: FromWorker, transfer: Transferable[]): void;
}

/**
 * Answers jobs. Each kind's code is loaded when its first job comes.
 *
 * @param kinds By kind, what loads its handler.
 */
// deno-lint-ignore no-explicit-any
export function serveJobs(kinds: Record<string, () => Promise<JobHandler<any, any>>>): void {
  const scope = self as unknown as WorkerScope;
  let controller = new AbortController();
  const answer = (message: FromWorker, transfer: Transferable[] = []) => scope.postMessage(message, transfer);
  const work = async (kind: string, job: unknown, tools: JobTools) => {
    try {
      const handler = await kinds[kind]();
      const { value, transfer, retire = false } = await handler(job, tools);
      answer({ type: "done", value, retire }, transfer);
    } catch (error) {
      const { name, message } = error instanceof Error ? error : { name: "Error", message: String(error) };
      answer({ type: "failed", name, message });
    }
  };
  scope.onmessage = ({ data }) => {
    if (data.type === "abort") return controller.abort();
    controller = new AbortController();
    void work(data.kind, data.job, {
      signal: controller.signal,
      progress: (value) => answer({ type: "progress", value }),
    });
  };
}
