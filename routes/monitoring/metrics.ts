/**
 * What `/metrics` tells, in the text format of Prometheus. What this instance does is counted as it happens; what the
 * store holds is read when it is asked for.
 *
 * @module
 */

import * as fs from "node:fs/promises";
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Queue } from "../../queue/queue.ts";
import type { Clock } from "../../queue/task/clock.ts";
import { STATUSES } from "../../queue/task/record.ts";
import { diskOf } from "../../queue/tools/store_file.ts";
import { moveOf, type QueueObserver } from "../../queue/watch/observer.ts";

/** Upper bounds of times, in seconds: of what takes milliseconds, and of what may take an hour. */
const SHORT = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const LONG = [0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600];

/** Methods that are told apart; a client may send any word. */
const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

/** What a reading needs, once there is a queue. */
export interface MetricSources {
  queue: Queue;
  clock: Clock;
  /** The store's file; undefined if it is not one. */
  storePath?: string;
  /** Streams that are open, by kind. */
  streams(): { websocket: number; sse: number };
  /** Unhandled errors since the start. */
  faults(): number;
}

/** The metrics of an instance. */
export class Metrics implements QueueObserver {
  readonly #registry = new Registry();
  readonly #submitted = this.#counter("tasks_submitted_total", "Tasks that were submitted here.", "task_type");
  readonly #ended = this.#counter("tasks_ended_total", "Tasks that have ended here.", "task_type", "status");
  readonly #attempts = this.#counter("attempts_ended_total", "Attempts that have ended here.", "task_type", "outcome");
  readonly #wait = this.#histogram("task_wait_seconds", "From ready to started, of each start.", LONG, "task_type");
  readonly #run = this.#histogram(
    "attempt_run_seconds",
    "From started to its end, of each attempt.",
    LONG,
    "task_type",
  );
  readonly #commit = this.#histogram("commit_seconds", "How long an atomic took to be committed.", SHORT);
  readonly #changesets = this.#counter("commit_changesets_total", "Writes that committed atomics held.");
  readonly #requests = this.#counter(
    "http_requests_total",
    "Requests that were answered.",
    "method",
    "route",
    "status",
  );
  readonly #answer = this.#histogram(
    "http_request_seconds",
    "How long the first byte of an answer took.",
    SHORT,
    "route",
  );

  #counter<L extends string>(name: string, help: string, ...labelNames: L[]): Counter<L> {
    return new Counter({ name: `millrace_${name}`, help, labelNames, registers: [this.#registry] });
  }

  #histogram<L extends string>(name: string, help: string, buckets: number[], ...labelNames: L[]): Histogram<L> {
    return new Histogram({ name: `millrace_${name}`, help, buckets, labelNames, registers: [this.#registry] });
  }

  /** Counts what happened to tasks. */
  moved(changes: Parameters<NonNullable<QueueObserver["moved"]>>[0]): void {
    for (const change of changes) {
      const { submitted, waited, attempt, ended } = moveOf(change);
      const { task_type } = (change.after ?? change.before)!.task;
      if (submitted) this.#submitted.inc({ task_type });
      if (waited !== null) this.#wait.observe({ task_type }, waited / 1000);
      if (attempt) {
        this.#attempts.inc({ task_type, outcome: attempt.outcome });
        this.#run.observe({ task_type }, Math.max(0, attempt.completed_at - attempt.started_at) / 1000);
      }
      if (ended) this.#ended.inc({ task_type, status: ended });
    }
  }

  /** Counts an atomic. */
  committed(ms: number, changesets: number): void {
    this.#commit.observe(ms / 1000);
    this.#changesets.inc(changesets);
  }

  /**
   * Counts a request.
   *
   * @param pattern That of its path, never the path itself: there are only so many of them.
   */
  answered(sent: string, pattern: string, status: number, ms: number): void {
    const method = METHODS.has(sent) ? sent : "other";
    const route = pattern.endsWith("/*") ? "none" : pattern;
    this.#requests.inc({ method, route, status: String(status) });
    this.#answer.observe({ route }, ms / 1000);
  }

  /** The media type of {@linkcode read}. */
  get contentType(): string {
    return this.#registry.contentType;
  }

  /** All metrics as text. What is read of the store says what it is at this moment. */
  async read(sources: MetricSources): Promise<string> {
    const now = new Registry();
    await readGauges(now, sources);
    return `${await this.#registry.metrics()}\n${await now.metrics()}`;
  }
}

/** Reads what the store and the process hold now. */
async function readGauges(registry: Registry, sources: MetricSources): Promise<void> {
  const { queue, clock, storePath } = sources;
  const gauge = <L extends string>(name: string, help: string, ...labelNames: L[]) =>
    new Gauge({ name: `millrace_${name}`, help, labelNames, registers: [registry] });
  const total = (name: string, help: string, value: number) =>
    new Counter({ name: `millrace_${name}`, help, registers: [registry] }).inc(value);

  const [counts, pauses, waits, undelivered] = await Promise.all([
    queue.counts(),
    queue.pauses(),
    queue.oldestReady(),
    queue.inbox.count(1_000),
  ]);
  const tasks = gauge("tasks", "Tasks in the store.", "task_type", "status");
  const types = new Set([...queue.registry.all().map(({ type }) => type), ...Object.keys(counts)]);
  for (const task_type of types) {
    for (const status of STATUSES) tasks.set({ task_type, status }, counts[task_type]?.[status] ?? 0);
  }
  const slots = gauge("slots", "Tasks of a type that may run here at once.", "task_type");
  const used = gauge("slots_used", "Tasks of a type that run here.", "task_type");
  const paused = gauge("paused", "Whether no task of a type is started: 1 or 0.", "task_type");
  const oldest = gauge("oldest_ready_seconds", "How long the oldest ready task of a type has waited.", "task_type");
  for (const definition of queue.registry.all()) {
    const { type: task_type } = definition;
    const { total, running } = queue.slots(definition);
    slots.set({ task_type }, total);
    used.set({ task_type }, running);
    paused.set({ task_type }, pauses.has(task_type) ? 1 : 0);
    oldest.set({ task_type }, Math.max(0, (waits[task_type] ?? 0) / 1000));
  }
  gauge("undelivered_messages", "Messages that did not become tasks, counted up to 1,000.").set(undelivered);
  const { committed, refused } = queue.claimStats;
  total("claims_committed_total", "Claims of ready tasks that were committed here.", committed);
  total("claims_refused_total", "Claims that another instance came before.", refused);
  total("faults_total", "Errors in the service that nobody handled.", sources.faults());

  const streams = gauge("streams", "Streams that are open here.", "kind");
  for (const [kind, count] of Object.entries(sources.streams())) streams.set({ kind }, count);
  if (storePath !== undefined) {
    const store = gauge("store_bytes", "Bytes of the store's files.");
    for (const path of [storePath, `${storePath}-wal`]) {
      const size = await fs.stat(path).then(({ size }) => size, (error) => {
        if (error.code === "ENOENT") return 0;
        throw error;
      });
      store.inc(size);
    }
    const { free, total: all } = await diskOf(storePath);
    gauge("store_disk_free_bytes", "Bytes that are free on the store's disk.").set(free);
    gauge("store_disk_bytes", "Bytes of the store's disk.").set(all);
  }
  const plain = (name: string, help: string) => new Gauge({ name, help, registers: [registry] });
  plain("process_resident_memory_bytes", "Memory of the process.").set(Deno.memoryUsage().rss);
  plain("process_heap_bytes", "Memory of its scripts.").set(Deno.memoryUsage().heapUsed);
  plain("process_start_time_seconds", "When the process started.").set((clock.now() - clock.monotonic()) / 1000);
  gauge("info", "What runs here.", "instance", "deno").set({ instance: queue.instance, deno: Deno.version.deno }, 1);
}
