/**
 * Runs the real service with task types that leave traces, submits to it over HTTP, hurts it, and then holds what it
 * has stored against what was accepted and what the traces say.
 *
 * `deno task test:fault` runs the short form; `deno task test:fault --long` the long one. `--seed=N` repeats a run:
 * tasks are submitted in the same order and blows fall in the same order, after the same pauses. Which task a blow
 * meets is the machine's.
 */

import { readTasks } from "../../queue/store/reads.ts";
import { checkStore } from "../../queue/tools/check.ts";
import { isTerminal, statusOf, type TaskState } from "../../queue/task/record.ts";
import { Random } from "../../queue/handlers/random.ts";
import { assertEquals, ok } from "../support/assert.ts";
import { type Server, startServer } from "../support/http/server.ts";

const ROOT = new URL("../../", import.meta.url);

/** Whether the long form was asked for. */
export const LONG = Deno.args.includes("--long");

/** The seed of this run. */
export const SEED: number = Number(
  Deno.args.find((argument) => argument.startsWith("--seed="))?.slice(7) ?? Math.floor(Math.random() * 1e9),
);

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** An import map that puts the task types of the harness in the place of the service's own. */
async function writeImportMap(directory: string): Promise<string> {
  const { imports } = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
  const folders = Object.entries(imports as Record<string, string>).flatMap(([name, target]) =>
    target.startsWith("npm:") && !name.endsWith("/") ? [[`${name}/`, `${target.replace("npm:", "npm:/")}/`]] : []
  );
  const own = [[new URL("queue/handlers/mod.ts", ROOT).href, new URL("tests/fault/handlers.ts", ROOT).href]];
  const path = `${directory}/import_map.json`;
  await Deno.writeTextFile(
    path,
    JSON.stringify({ imports: { ...imports, ...Object.fromEntries([...folders, ...own]) } }),
  );
  return path;
}

function between(random: Random, min: number, max: number): number {
  return min + Math.floor(random.next() * (max - min + 1));
}

interface Spec {
  task_type: string;
  [field: string]: unknown;
}

/** A service that is hurt, and everything that is known of it from outside. */
export class Harness {
  /** What decides about the blows; the load has a source of its own, so that neither moves the other. */
  readonly random = new Random(SEED);
  readonly #load = new Random(SEED + 1);
  readonly accepted = new Set<string>();
  /** The concurrency key of each task that has one. */
  readonly keyOf = new Map<string, string>();
  /** How many tasks may be accepted so far: the load is spread over the blows. */
  allowed = Infinity;
  /** Blows that may each have cut a step short on one instance. */
  blows = 0;
  #servers: Server[] = [];
  #submitting: Promise<void> = Promise.resolve();
  #sent = 0;

  private constructor(
    readonly directory: string,
    readonly log: string,
    readonly importMap: string,
    readonly env: Record<string, string>,
  ) {}

  /** Runs `test` with a harness in a directory of its own; prints the seed when it fails. */
  static async with(
    name: string,
    env: (directory: string) => Record<string, string>,
    test: (harness: Harness) => Promise<void>,
  ): Promise<void> {
    const directory = await Deno.makeTempDir();
    const log = `${directory}/effects.log`;
    await Deno.writeTextFile(log, "");
    const settings = { FAULT_LOG: log, LEASE_MS: "1000", LOG_LEVEL: "warn", ...env(directory) };
    const harness = new Harness(directory, log, await writeImportMap(directory), settings);
    console.log(`${name}: seed ${SEED}`);
    try {
      await test(harness);
    } catch (error) {
      console.error(`${name} failed; repeat with --seed=${SEED}`);
      for (const { output } of harness.#servers) console.error(output().slice(-3_000));
      throw error;
    } finally {
      for (const server of harness.#servers) await server.end("SIGKILL").catch(() => {});
      await Deno.remove(directory, { recursive: true });
    }
  }

  /** A whole number from `min` to `max`, for the blows. */
  between(min: number, max: number): number {
    return between(this.random, min, max);
  }

  /** Starts a server, with more settings than all of them have. */
  async start(more: Record<string, string> = {}): Promise<Server> {
    const server = await startServer({ ...this.env, LOG_LEVEL: "info", ...more }, ["--import-map", this.importMap]);
    this.#servers.push(server);
    return server;
  }

  /** Ends a server; what it was doing is cut short. */
  async end(server: Server, signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    this.blows++;
    this.#servers = this.#servers.filter((other) => other !== server);
    await server.end(signal);
    await this.#mark(server);
  }

  /** Lets a server sleep for a while. `lost`: long enough that others take over what it holds. */
  async sleep(server: Server, ms: number, lost: boolean): Promise<void> {
    server.process.kill("SIGSTOP");
    if (lost) {
      this.blows++;
      await this.#mark(server);
    }
    await pause(ms);
    server.process.kill("SIGCONT");
  }

  /** From here on, traces of this process are of work that others may do again. */
  #mark(server: Server): Promise<void> {
    return Deno.writeTextFile(this.log, `end ${server.process.pid}\n`, { append: true });
  }

  /** Begins to submit `count` tasks of all shapes to whichever servers there are. */
  submitAll(count: number): void {
    this.#submitting = (async () => {
      while (this.accepted.size < count) {
        if (this.accepted.size >= this.allowed) {
          await pause(10);
          continue;
        }
        if (this.#load.next() < 0.4) await this.#batch();
        else await this.#single();
        if (this.#load.next() < 0.05) await this.#cancelOne();
      }
    })();
    this.#submitting.catch(() => {});
  }

  /**
   * Resolves once everything was accepted and has ended.
   *
   * @throws {Error} If nothing moves any more for half a minute.
   */
  async settled(): Promise<void> {
    let submitted = false;
    const submitting = this.#submitting.then(() => submitted = true);
    let last = "";
    for (let still = 0; still < 300; still++) {
      await Promise.race([pause(100), submitting.then(() => pause(100))]);
      const answer = await this.#call("GET", "/api/stats");
      if (!answer) continue;
      const { by_status } = answer.body;
      if (submitted && by_status.PENDING + by_status.RUNNING === 0) return;
      const now = `${this.accepted.size} accepted, ${JSON.stringify(answer.body)}`;
      if (now !== last) still = 0;
      last = now;
    }
    throw new Error(`Nothing moves any more: ${last}`);
  }

  #spec(): Spec {
    const dice = this.#load.next();
    const ms = between(this.#load, 0, 60);
    const later = this.#load.next() < 0.1 ? { delay: between(this.#load, 1, 500) / 1000 } : {};
    const more = { priority: between(this.#load, 0, 9), ...later };
    if (dice < 0.35) return { task_type: "plain", input_params: { ms: ms * 5 }, ...more };
    if (dice < 0.55) return { task_type: "steps", input_params: { ms, fails: between(this.#load, 0, 2) }, ...more };
    if (dice < 0.7) return { task_type: "checkpoints", input_params: { ms }, ...more };
    if (dice < 0.85) return { task_type: "serial", concurrency_key: `k${between(this.#load, 0, 9)}`, ...more };
    return { task_type: "limited", ...more };
  }

  async #single(): Promise<void> {
    const spec = this.#spec();
    const key = `s${this.#sent++}`;
    // Until it is known what became of it: the key makes one task only.
    while (true) {
      const answer = await this.#call("POST", "/api/tasks/submit", spec, key);
      if (answer && answer.status < 300) return this.#accept(answer.body, spec);
      if (answer && answer.status !== 503) throw new Error(JSON.stringify(answer.body));
    }
  }

  async #batch(): Promise<void> {
    const tasks: Spec[] = Array.from(
      { length: between(this.#load, 1, 12) },
      (_, i) => ({ ...this.#spec(), ref: `r${i}` }),
    );
    if (this.#load.next() < 0.4) {
      const depends_on = tasks.slice(0, between(this.#load, 1, tasks.length)).map(({ ref }) => ref);
      tasks.push({ task_type: "child", depends_on }, { task_type: "child", depends_on: [...depends_on.slice(0, 1)] });
    }
    const answer = await this.#call("POST", "/api/tasks/batch", { tasks });
    if (!answer || answer.status === 503) return;
    if (answer.status !== 201) throw new Error(JSON.stringify(answer.body));
    answer.body.tasks.forEach((task: { id: string }, i: number) => this.#accept(task, tasks[i]));
  }

  #accept({ id }: { id: string }, { concurrency_key }: Spec): void {
    this.accepted.add(id);
    if (concurrency_key) this.keyOf.set(id, concurrency_key as string);
  }

  async #cancelOne(): Promise<void> {
    const ids = [...this.accepted];
    const id = ids[between(this.#load, 0, ids.length - 1)];
    if (!id) return;
    const answer = await this.#call("DELETE", `/api/tasks/${id}`);
    if (answer && ![200, 202, 409, 503].includes(answer.status)) throw new Error(JSON.stringify(answer.body));
  }

  /** Calls one of the servers; null if there is no answer. */
  async #call(
    method: string,
    path: string,
    body?: unknown,
    key?: string,
    // deno-lint-ignore no-explicit-any
  ): Promise<{ status: number; body: any } | null> {
    const serving = this.#servers.filter(({ origin }) => origin !== "");
    const server = serving[Math.floor(Math.random() * serving.length)];
    if (!server) {
      await pause(20);
      return null;
    }
    try {
      const answer = await fetch(server.origin + path, {
        method,
        headers: { ...body ? { "Content-Type": "application/json" } : {}, ...key ? { "Idempotency-Key": key } : {} },
        body: body ? JSON.stringify(body) : undefined,
        signal: AbortSignal.timeout(15_000),
      });
      return { status: answer.status, body: await answer.json() };
    } catch {
      // It was hurt in the middle of it. That is what this is about.
      await pause(20);
      return null;
    }
  }

  /** Holds the store and the traces against each other. Only while no server runs. */
  async verify(kv: Deno.Kv): Promise<string> {
    const { problems } = await checkStore(kv, Date.now());
    assertEquals(problems.map(({ key, detail }) => `${JSON.stringify(key)} ${detail}`), [], "the store is not clean");
    const states = new Map<string, TaskState>();
    for await (const { key } of kv.list({ prefix: ["task"] })) states.set(key[1] as string, null!);
    for (const state of await readTasks(kv, [...states.keys()])) states.set(state!.task.id, state!);
    for (const id of this.accepted) {
      ok(states.has(id), `task ${id} was accepted and is lost`);
      ok(isTerminal(statusOf(states.get(id)!)), `task ${id} has not ended`);
    }
    const repeated = this.#verifyTraces(states, await Deno.readTextFile(this.log));
    this.#verifyRate(states);
    const count = (status: string) => [...states.values()].filter(({ task }) => task.status === status).length;
    return `${states.size} tasks (${count("SUCCESS")} SUCCESS, ${count("FAILED")} FAILED, ${count("CANCELLED")} ` +
      `CANCELLED), ${this.blows} blows, ${repeated} unfinished steps done again, none that was finished`;
  }

  #verifyTraces(states: Map<string, TaskState>, text: string): number {
    const times = new Map<string, number>();
    const done = new Set<string>();
    /** Who has a concurrency key: the task and its process. */
    const inside = new Map<string, { id: string; pid: string }>();
    let repeated = 0;
    for (const line of text.trim().split("\n")) {
      const [kind, id, what] = line.split(" ");
      const step = `${id} ${what}`;
      const key = this.keyOf.get(id);
      if (kind === "do") {
        ok(!done.has(step), `a finished step was done again: ${line}`);
        times.set(step, (times.get(step) ?? 0) + 1);
        if (times.get(step)! > 1) repeated++;
      } else if (kind === "done") done.add(step);
      else if (kind === "enter" && key) {
        const other = inside.get(key);
        ok(!other || other.id === id, `${id} and ${other?.id} ran at once with the key ${key}`);
        inside.set(key, { id, pid: what });
      } else if (kind === "leave" && key) {
        if (inside.get(key)?.pid === what) inside.delete(key);
      } else if (kind === "end") {
        for (const [key, { pid }] of inside) if (pid === id) inside.delete(key);
      }
    }
    for (const { task } of states.values()) {
      const { id, task_type, status, attempts } = task;
      const names = { steps: ["a", "b", "c", "d"], checkpoints: ["0", "1", "2", "3", "4"] }[task_type] ?? ["only"];
      const interrupted = attempts.filter(({ outcome }) => outcome === "interrupted").length;
      for (const name of names) {
        const count = times.get(`${id} ${name}`) ?? 0;
        if (status === "SUCCESS") ok(count > 0, `task ${id} is SUCCESS without step ${name}`);
        ok(
          count <= 1 + interrupted,
          `step ${name} of task ${id} was done ${count} times, ${interrupted} interruptions`,
        );
      }
    }
    return repeated;
  }

  /** No second saw more starts than the limit of the type allows. */
  #verifyRate(states: Map<string, TaskState>): void {
    const starts = [...states.values()].filter(({ task }) => task.task_type === "limited")
      .flatMap(({ task }) => task.attempts.map(({ started_at }) => started_at)).sort((a, b) => a - b);
    for (let i = 200; i < starts.length; i++) {
      ok(starts[i] - starts[i - 200] >= 1_000, "more than 200 starts in a second");
    }
  }
}
