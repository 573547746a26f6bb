/**
 * A client of the API for Deno, Node 20 or later, and browsers. It has no dependencies; the service serves it as
 * JavaScript at `/static/client.js`.
 *
 * @module
 */

import type { TaskParams } from "../queue/handlers/mod.ts";
import { delay, systemClock } from "../queue/task/clock.ts";
import type { Task, TaskSummary } from "../queue/task/summary.ts";
import { LiveTasks } from "./client/live_tasks.ts";
import { ApiError, Transport } from "./client/transport.ts";
import type {
  CallOptions,
  ClientOptions,
  ListFilter,
  MakeOptions,
  StoredUpload,
  TypedSubmission,
} from "./client/types.ts";

export type { CallOptions, ClientOptions, ListFilter, MakeOptions, StoredUpload, TypedSubmission };
export type { Task, TaskParams, TaskSummary };
export { ApiError };

/** How often a task is asked for while the socket tells of it, and while it does not. Milliseconds. */
const [TOLD_MS, ASKED_MS] = [15_000, 1_000];

const pathOf = (id: string) => `api/tasks/${encodeURIComponent(id)}`;

/** A client of the API. Made by {@linkcode createClient}. */
export class Client<Types = TaskParams> {
  readonly #options: ClientOptions;
  readonly #transport: Transport;
  readonly #live: LiveTasks;

  /** @ignore */
  constructor(options: ClientOptions) {
    this.#options = options;
    this.#transport = new Transport(options);
    this.#live = new LiveTasks(this.#transport, options);
  }

  /**
   * Submits a task.
   *
   * @throws {ApiError} 422 with a pointer to each wrong field.
   */
  submit(task: TypedSubmission<Types>, options: MakeOptions = {}): Promise<Task> {
    return this.#make("api/tasks/submit", task, options);
  }

  /** Submits up to 200 tasks: all of them or none. `depends_on` may name the `ref` of another one. */
  async submitBatch(
    tasks: (TypedSubmission<Types> & { ref?: string })[],
    options: MakeOptions = {},
  ): Promise<TaskSummary[]> {
    return (await this.#make<{ tasks: TaskSummary[] }>("api/tasks/batch", { tasks }, options)).tasks;
  }

  /** Reads a task. */
  get(id: string, options: CallOptions = {}): Promise<Task> {
    return this.#transport.send({ ...options, method: "GET", path: pathOf(id), isSafe: true });
  }

  /** Cancels a task: it comes back CANCELLED, or still RUNNING if its instance has not answered yet. */
  async cancel(id: string, options: CallOptions = {}): Promise<Task> {
    try {
      return await this.#transport.send<Task>({ ...options, method: "DELETE", path: pathOf(id), isSafe: true });
    } catch (error) {
      // An earlier attempt, whose answer was lost, may have cancelled it.
      if (!(error instanceof ApiError) || error.code !== "illegal_transition") throw error;
      const task = await this.get(id, options);
      if (task.status === "CANCELLED") return task;
      throw error;
    }
  }

  /** Retries a task that is FAILED or CANCELLED; with `only`, a new task does the part that failed or is unknown. */
  retry(
    id: string,
    { from, only, ...options }: CallOptions & { from?: "checkpoint" | "start"; only?: "failed" | "unknown" } = {},
  ): Promise<Task> {
    const path = `${pathOf(id)}/retry`;
    return this.#transport.send({ ...options, method: "POST", path, json: { from, only }, isSafe: false });
  }

  /** All tasks of a filter, a page at a time. */
  async *list(filter: ListFilter = {}, options: CallOptions = {}): AsyncGenerator<TaskSummary, void> {
    const query = new URLSearchParams({ limit: "200" });
    for (const [name, value] of Object.entries(filter)) {
      if (value !== undefined) query.set(name, [value].flat().join(","));
    }
    for (let cursor: string | null = ""; cursor !== null;) {
      if (cursor !== "") query.set("cursor", cursor);
      const page: { tasks: TaskSummary[]; next_cursor: string | null } = await this
        .#transport.send({ ...options, method: "GET", path: `api/tasks?${query}`, isSafe: true });
      yield* page.tasks;
      cursor = page.next_cursor;
    }
  }

  /**
   * Waits until a task has ended: however it did, it comes back.
   *
   * @param options.onUpdate Is called with each state that is met, also the last.
   */
  async wait(id: string, options: CallOptions & { onUpdate?: (task: TaskSummary) => void } = {}): Promise<Task> {
    const { signal, onUpdate } = options;
    const { clock = systemClock } = this.#options;
    let told: TaskSummary[] = [];
    let wake = () => {};
    let version = -1;
    /** Whether a state is the last. */
    const meet = (task: TaskSummary) => {
      if (task.version > version) onUpdate?.(task);
      version = Math.max(version, task.version);
      return task.status !== "PENDING" && task.status !== "RUNNING";
    };
    const unfollow = this.#live.follow(id, (task) => {
      if (task) told.push(task);
      wake();
    });
    try {
      while (true) {
        const woken = new Promise<void>((resolve) => wake = resolve);
        const states = told;
        told = [];
        if (states.length === 0 || states.some(meet)) {
          const task = await this.get(id, options);
          if (meet(task)) return task;
        }
        const rest = new AbortController();
        const end = AbortSignal.any([rest.signal, ...signal ? [signal] : []]);
        const pause = delay(clock, unfollow && this.#live.isOpen ? TOLD_MS : ASKED_MS, end).catch(() => {});
        if (told.length === 0) await Promise.race([woken, pause]);
        rest.abort();
        signal?.throwIfAborted();
      }
    } finally {
      unfollow?.();
    }
  }

  /**
   * Stores a file.
   *
   * @param file A `File` has a name of its own. A stream cannot be sent again after a failure.
   * @param options.onProgress Is called with the bytes that were sent so far.
   */
  upload(
    file: Blob | ReadableStream<Uint8Array>,
    options: MakeOptions & { name?: string; onProgress?: (sent: number) => void } = {},
  ): Promise<StoredUpload> {
    const { name = (file as File).name ?? "upload", idempotencyKey = crypto.randomUUID(), signal, onProgress } =
      options;
    const isBlob = file instanceof Blob;
    const byXhr = isBlob && typeof XMLHttpRequest !== "undefined";
    return this.#transport.send({
      method: "POST",
      path: `api/uploads?name=${encodeURIComponent(name)}`,
      headers: {
        "Content-Type": isBlob && file.type || "application/octet-stream",
        "Idempotency-Key": idempotencyKey,
      },
      content: () => onProgress && !byXhr ? counted(isBlob ? file.stream() : file, onProgress) : file,
      isSafe: isBlob,
      onProgress,
      signal,
    });
  }

  /** Closes the socket. Whoever waits goes on asking. */
  close(): void {
    this.#live.close();
  }

  #make<T>(path: string, json: unknown, { signal, idempotencyKey = crypto.randomUUID() }: MakeOptions): Promise<T> {
    const headers = { "Idempotency-Key": idempotencyKey };
    return this.#transport.send({ method: "POST", path, json, headers, isSafe: true, signal });
  }
}

/** A stream that tells how much of it was read. */
function counted(
  stream: ReadableStream<Uint8Array>,
  onProgress: (sent: number) => void,
): ReadableStream<Uint8Array> {
  let sent = 0;
  return stream.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        onProgress(sent += chunk.length);
        controller.enqueue(chunk);
      },
    }),
  );
}

/**
 * Makes a client.
 *
 * @example
 * ```ts
 * import { createClient } from "./client.ts";
 *
 * const client = createClient({ baseUrl: "http://localhost:8000" });
 * const task = await client.submit({ task_type: "csv_processing", input_params: { num_rows: 500 } });
 * const { status, result } = await client.wait(task.id, {
 *   onUpdate: ({ progress, message }) => console.log(`${progress} % ${message}`),
 * });
 * console.log(status, result);
 * client.close();
 * ```
 */
export function createClient<Types = TaskParams>(options: ClientOptions): Client<Types> {
  return new Client<Types>(options);
}
