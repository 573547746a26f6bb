/**
 * The other side of the pool: what runs in each worker. One job at a time comes in, one answer goes out.
 *
 * @module
 */

import type { FromWorker, ToWorker } from "./pool.ts";

/** What a job may use. */
export interface JobTools {
  /** Aborted when the result is no longer needed. A job that checks it now and then keeps its worker warm. */
  signal: AbortSignal;
  /** Reports progress. */
  progress(value: unknown): void;
}

/** The result of a job. */
export interface JobResult<T> {
  value: T;
  /** Buffers of the value, transferred instead of copied. */
  transfer?: Transferable[];
  /** Whether the worker has taken so much memory that it should be replaced. An error may have this property too. */
  retire?: boolean;
}

/** Does a job of one kind. */
export type JobHandler<In, Out> = (job: In, tools: JobTools) => Promise<JobResult<Out>> | JobResult<Out>;

/** Where jobs come from and answers go to: the global scope of a Web Worker, or the pipes of a process. */
export interface JobScope {
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
  postMessage(message: FromWorker, transfer: Transferable[]): void;
}

/** Whether an error or its cause says that memory ran out. */
export function isOutOfMemory(error: unknown): boolean {
  return error instanceof Error &&
    (/allocation failed|out of memory/i.test(error.message) || isOutOfMemory(error.cause));
}

/**
 * Answers jobs. Each kind's code is loaded when its first job comes.
 *
 * @param kinds By kind, a function that loads its handler.
 * @param scope Default: the global scope.
 */
export function serveJobs(
  // deno-lint-ignore no-explicit-any
  kinds: Record<string, () => Promise<JobHandler<any, any>>>,
  scope: JobScope = self as unknown as JobScope,
): void {
  let controller = new AbortController();
  const work = async (kind: string, job: unknown, tools: JobTools) => {
    try {
      const handler = await kinds[kind]();
      const { value, transfer = [], retire = false } = await handler(job, tools);
      scope.postMessage({ type: "done", value, retire }, transfer);
    } catch (thrown) {
      const error: Error & { retire?: boolean } = thrown instanceof Error ? thrown : new Error(String(thrown));
      if (isOutOfMemory(error)) {
        const message = "The job needs more memory than a worker may use.";
        return scope.postMessage({ type: "failed", name: "OutOfMemory", message, retire: true }, []);
      }
      const { name, message, retire = false } = error;
      scope.postMessage({ type: "failed", name, message, retire }, []);
    }
  };
  scope.onmessage = ({ data }) => {
    if (data.type === "abort") return controller.abort();
    controller = new AbortController();
    void work(data.kind, data.job, {
      signal: controller.signal,
      progress: (value) => scope.postMessage({ type: "progress", value }, []),
    });
  };
}
