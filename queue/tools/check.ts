/**
 * Checks every invariant of a store: that each task has exactly one placement and one index entry, that nothing waits
 * for what will never happen, that counters equal a full count, that nothing is left without its owner. The store must
 * not change meanwhile: check one that no server uses, or a copy.
 *
 * @module
 */

import type { CheckpointRecord, StoredFile } from "../store/reads.ts";
import { CHECKED_KINDS, Findings, READABLE, type StoreProblem } from "./findings.ts";
import { decode } from "../store/codec.ts";
import { addChanges, readTally, type Tally } from "../store/counts.ts";
import { isFence, keys, placementKey, sameKey } from "../store/keys.ts";
import type { Schedule } from "../actions/schedules.ts";
import {
  isTerminal,
  type Placement,
  type RunRecord,
  statusOf,
  type TaskRecord,
  type TaskState,
} from "../task/record.ts";
import { interrupt, occupies, placementAt } from "../task/transitions.ts";
import { emptyChangeset, entriesOf, indexValue, readySince } from "../store/changeset.ts";
import { decodeTask, recordIn } from "../store/task_codec.ts";

/** What a check has found. */
export interface StoreReport {
  tasks: number;
  entries: number;
  problems: StoreProblem[];
  /** The full count, for correcting the counters. */
  tally: Tally;
}

/** Checks a store. `now` is the wall-clock time in milliseconds, for tasks that need a new placement. */
export async function checkStore(kv: Deno.Kv, now: number): Promise<StoreReport> {
  return await new StoreCheck(kv, now).run();
}

type Entry = Deno.KvEntry<unknown>;

class StoreCheck {
  readonly #kv: Deno.Kv;
  readonly #now: number;
  readonly #findings: Findings;
  readonly #states = new Map<string, TaskState>();
  readonly #instances = new Set<string>();
  readonly #effects = new Set<string>();
  /** Owned entries that were seen, as text; a required entry that is not in here is missing. */
  readonly #seen = new Set<string>();
  readonly #removed = new Set<string>();
  readonly #schedules = new Map<string, Schedule>();
  readonly #uploads = new Set<string>();
  readonly #keyHolders = new Map<string, string[]>();
  readonly #unmet = new Map<string, number>();
  /** For each blob that someone owns, how many chunks it has. */
  readonly #blobs = new Map<string, { chunks: number; owner: Deno.KvKey }>();

  constructor(kv: Deno.Kv, now: number) {
    this.#kv = kv;
    this.#findings = new Findings(kv);
    this.#now = now;
  }

  async run(): Promise<StoreReport> {
    await this.#findings.each(["instance"], ({ key }) => this.#instances.add(key[1] as string));
    await this.#findings.each(keys.tombstones(), ({ key }) => this.#removed.add(key[1] as string));
    await this.#findings.each(keys.effects(), ({ key }) => this.#effects.add(text(key)));
    await this.#findings.each(["task"], ({ key, value }) => {
      // The large parts are not needed here.
      const task: TaskRecord = { ...decodeTask(value), input_params: null, result: null };
      this.#states.set(key[1] as string, { task, run: null });
    });
    await this.#findings.each(["run"], (entry) => this.#checkRun(entry));
    for (const kind of ["ready", "scheduled", "blocked", "key_waiting"]) {
      await this.#findings.each([kind], (entry) => this.#checkPlacement(entry));
    }
    await this.#findings.each(["index"], (entry) => this.#checkIndex(entry));
    await this.#findings.each(
      ["key_holders"],
      ({ key, value }) => this.#keyHolders.set(text(key.slice(1)), decode<string[]>(value)),
    );
    await this.#findings.each(["child"], (entry) => this.#checkChild(entry));
    await this.#findings.each(["expiry"], (entry) => {
      const state = this.#state(entry, 2);
      if (state && !owns(state, entry.key)) this.#findings.remove(entry, "does not expire");
    });
    await this.#findings.each(keys.retentionDues(), (entry) => {
      const state = this.#state(entry, 2);
      if (state && !owns(state, entry.key)) this.#findings.remove(entry, "is not deleted at this time");
    });
    await this.#findings.each(
      ["schedule"],
      ({ key, value }) => this.#schedules.set(key[1] as string, decode<Schedule>(value)),
    );
    await this.#findings.each(["tick"], (entry) => {
      this.#seen.add(text(entry.key));
      const schedule = this.#schedules.get(entry.key[2] as string);
      if (schedule?.next_at !== entry.key[1]) this.#findings.remove(entry, "names a schedule that is not due then");
    });
    await this.#findings.each(["unique"], (entry) => {
      const task = this.#states.get(decode<string>(entry.value))?.task;
      const [, type, key] = entry.key;
      if (task?.task_type !== type || task?.unique_key !== key) {
        this.#findings.remove(entry, "names a task without this key");
      }
    });
    await this.#checkFiles();
    await this.#findings.each(["step"], (entry) => this.#state(entry, 1));
    await this.#findings.each(["log"], (entry) => this.#state(entry, 1));
    await this.#findings.each(["result"], (entry) => this.#state(entry, 1));
    await this.#findings.each(keys.cancelRequests(), (entry) => {
      if (!this.#instances.has(entry.key[1] as string)) this.#findings.remove(entry, "is for an instance that is gone");
    });
    await this.#findings.each(["lane"], ({ key }) => {
      const instance = key[1] as string;
      if (instance !== "" && !this.#instances.has(instance)) {
        this.#findings.report(key, "is of an instance that is gone");
      }
    });
    await this.#findings.each(keys.tombstones(), (entry) => {
      if (this.#states.has(entry.key[1] as string)) this.#findings.remove(entry, "is of a task that still exists");
    });
    await this.#findings.each(["retried_as"], (entry) => {
      if (!this.#states.has(entry.key[1] as string)) this.#findings.remove(entry, "is of a task that does not exist");
    });
    await this.#findings.each(["idempotency"], ({ key, value }) => {
      const { ids, body, expires_at } = decode<{ ids?: unknown; body?: unknown; expires_at?: unknown }>(value);
      const isWhole = Array.isArray(ids) && typeof body === "string" && typeof expires_at === "number";
      if (!isWhole) this.#findings.report(key, "does not say what it created");
    });
    for (const kind of READABLE) await this.#findings.each([kind], ({ value }) => void decode<unknown>(value));
    await this.#checkKinds();
    this.#checkTasks();
    const tally = await this.#checkCounts();
    return { tasks: this.#states.size, entries: this.#findings.entries, problems: this.#findings.problems, tally };
  }

  /** Reports kinds of entries that are not checked. */
  async #checkKinds(): Promise<void> {
    let from = "";
    while (true) {
      let kind: string | null = null;
      for await (const { key } of this.#kv.list({ start: [from], end: ["\uffff"] }, { limit: 1 })) {
        kind = key[0] as string;
        if (!CHECKED_KINDS.has(kind)) this.#findings.report([kind], "is an unknown kind of entry");
      }
      if (kind === null) return;
      from = `${kind}\u0000`;
    }
  }

  /** The task that an entry belongs to; if it does not exist, the entry is reported. */
  #state(entry: Entry, part: number): TaskState | null {
    this.#seen.add(text(entry.key));
    const id = entry.key[part] as string;
    const state = this.#states.get(id) ?? null;
    if (!state && !this.#removed.has(id)) this.#findings.remove(entry, "is of a task that does not exist");
    return state;
  }

  #checkRun(entry: Entry): void {
    const state = this.#state(entry, 1);
    if (!state) return;
    state.run = decode<RunRecord>(entry.value);
    if (isTerminal(state.task.status)) this.#findings.remove(entry, `is of a task that is ${state.task.status}`);
    else if (!this.#instances.has(state.run.instance)) {
      const detail = "is run by an instance that is gone";
      this.#findings.move(entry.key, detail, state.task.id, (state) => interrupt(state, this.#now));
    }
  }

  #checkPlacement(entry: Entry): void {
    if (isFence(entry.key)) return;
    const state = this.#state(entry, entry.key.length - 1);
    if (!state) return;
    const { task, run } = state;
    const placement = run ? null : task.placement;
    if (!placement || text(placementKey(placement, task)) !== text(entry.key)) {
      return this.#findings.remove(entry, run ? "is of a task that is running" : "is not the placement of its task");
    }
    const record = placement.kind === "ready" ? recordIn(entry.value) : null;
    if (record && record.version !== task.version) {
      this.#findings.put(entry.key, "holds an older record of its task", readySince(task));
    }
  }

  #checkIndex(entry: Entry): void {
    const state = this.#state(entry, 3);
    if (!state) return;
    if (text(indexKey(state)) !== text(entry.key)) {
      this.#findings.remove(entry, `is of a task that is ${statusOf(state)}`);
    }
  }

  #checkChild(entry: Entry): void {
    const state = this.#state(entry, 2);
    if (!state) return;
    const parent = entry.key[1] as string;
    if (isTerminal(statusOf(state)) || !state.task.depends_on.includes(parent)) {
      return this.#findings.remove(entry, "is of a task that does not depend on it");
    }
    // Once a task is no longer blocked, its other dependencies do not matter.
    if (decode<number>(entry.value) !== 0 || state.run || state.task.placement?.kind !== "blocked") return;
    this.#unmet.set(state.task.id, (this.#unmet.get(state.task.id) ?? 0) + 1);
    const known = this.#states.get(parent);
    const hasEffect = this.#effects.has(text(keys.dependentsEffect(parent)));
    const willTell = known && !isTerminal(statusOf(known)) && known.task.has_dependents;
    if (!hasEffect && !willTell) {
      this.#findings.put(keys.dependentsEffect(parent), `is missing: task ${state.task.id} waits for this one`, 0);
    }
  }

  /** What each task must have. */
  #checkTasks(): void {
    for (const [id, state] of this.#states) {
      const { task, run } = state;
      const { task_type, concurrency_key } = task;
      const need = (key: Deno.KvKey, what: string, value: unknown = 0) => {
        if (!this.#seen.has(text(key))) this.#findings.put(key, `is missing: ${what} of task ${id}`, value);
      };
      const ended = isTerminal(task.status);
      need(indexKey(state), "the index entry", indexValue(state));
      if (!ended && !run) this.#checkPlace(state, need);
      for (const key of entriesOf(state)) need(key, `the entry under ${key[0] as string}`);
      for (const upload of task.uploads) need(keys.uploadRef(upload, id), "the reference to an upload");
      if (concurrency_key !== null && !ended) this.#checkConcurrencyKey(state, concurrency_key, task_type);
    }
    for (const [id, { next_at }] of this.#schedules) {
      if (next_at === null || this.#seen.has(text(keys.tick(next_at, id)))) continue;
      this.#findings.put(keys.tick(next_at, id), `is missing: the next time of schedule ${id}`, 0);
    }
    for (const [name, holders] of this.#keyHolders) {
      const [type, key] = JSON.parse(name) as [string, string];
      if (new Set(holders).size < holders.length) {
        this.#findings.put(keys.keyHolders(type, key), "lists a task twice", [...new Set(holders)]);
      }
      const free = holders.some((id) => !this.#states.has(id) || !occupies(this.#states.get(id)!));
      if (free) this.#expectKeyEffect(type, key, "a task that no longer needs the key still holds it");
    }
  }

  #checkPlace({ task }: TaskState, need: (key: Deno.KvKey, what: string, value: unknown) => void): void {
    const { id, placement } = task;
    const place = (at: Placement) => ({ task }: TaskState) => ({
      task: { ...task, placement: at, version: task.version + 1 },
      run: null,
    });
    if (!placement) {
      return this.#findings.move(keys.task(id), "has no placement", id, place(placementAt(this.#now, task, this.#now)));
    }
    need(placementKey(placement, task), "the placement", readySince(task));
    if (placement.kind !== "blocked") return;
    const unmet = this.#unmet.get(id) ?? 0;
    if (placement.unmet === unmet) return;
    const at: Placement = unmet > 0 ? { kind: "blocked", unmet } : placementAt(this.#now, task, this.#now);
    this.#findings.move(
      keys.task(id),
      `counts ${placement.unmet} unmet dependencies; there are ${unmet}`,
      id,
      place(at),
    );
  }

  #checkConcurrencyKey(state: TaskState, key: string, type: string): void {
    const holders = this.#keyHolders.get(text([type, key])) ?? [];
    if (occupies(state)) {
      if (holders.includes(state.task.id)) return;
      const at = keys.keyHolders(type, key);
      this.#findings.put(at, `does not name task ${state.task.id}, which holds the key`, [...holders, state.task.id]);
    } else if (state.task.placement?.kind === "limited" && holders.length === 0) {
      this.#expectKeyEffect(type, key, `task ${state.task.id} waits for a key that no task holds`);
    }
  }

  #expectKeyEffect(type: string, key: string, why: string): void {
    const effect = keys.concurrencyKeyEffect(type, key);
    if (!this.#effects.has(text(effect))) this.#findings.put(effect, `is missing: ${why}`, 0);
  }

  async #checkFiles(): Promise<void> {
    const own = (owner: Deno.KvKey, { blob, chunks }: { blob: string; chunks: number }) => {
      this.#blobs.set(blob, { chunks, owner });
    };
    await this.#findings.each(["upload"], ({ key, value }) => {
      this.#uploads.add(key[1] as string);
      own(key, decode<StoredFile>(value));
    });
    await this.#findings.each(["upload_ref"], (entry) => {
      this.#seen.add(text(entry.key));
      const [, upload, owner] = entry.key as string[];
      if (!this.#states.has(owner) && !this.#schedules.has(owner)) {
        this.#findings.remove(entry, "is of an owner that does not exist");
      } else if (!this.#uploads.has(upload)) this.#findings.report(entry.key, "names an upload that does not exist");
    });
    await this.#findings.each(["artifact"], (entry) => {
      this.#state(entry, 1);
      own(entry.key, decode<StoredFile>(entry.value));
    });
    await this.#findings.each(["checkpoint"], (entry) => {
      this.#state(entry, 1);
      const { blob } = decode<CheckpointRecord>(entry.value);
      if (blob) own(entry.key, blob);
    });
    const pending = new Set<string>();
    await this.#findings.each(["blob_pending"], ({ key }) => pending.add(key[1] as string));
    const chunks = new Map<string, number>();
    await this.#findings.each(
      ["blob"],
      ({ key }) => chunks.set(key[1] as string, (chunks.get(key[1] as string) ?? 0) + 1),
    );
    for (const [blob, found] of chunks) {
      const known = this.#blobs.get(blob);
      if (known && pending.has(blob)) {
        const key = keys.blobPending(blob);
        this.#findings.report(
          key,
          "marks as pending a file that has an owner",
          () => Promise.resolve({ ...emptyChangeset(), deletes: [key] }),
        );
      }
      if (known ? known.chunks === found : pending.has(blob)) continue;
      if (known) this.#findings.report(known.owner, `has ${found} of the ${known.chunks} parts of its file`);
      // The janitor deletes files with this entry.
      else this.#findings.put(keys.blobPending(blob), "is missing: nobody owns this file", { at: 0 });
    }
    for (const [blob, { chunks: expected, owner }] of this.#blobs) {
      if (expected > 0 && !chunks.has(blob)) this.#findings.report(owner, "has none of the parts of its file");
    }
  }

  async #checkCounts(): Promise<Tally> {
    const full = addChanges({ counts: {} }, [...this.#states.values()].map((after) => ({ before: null, after })));
    const kept = await readTally(this.#kv);
    const compare = (is: Table, says: Table, tell: (row: string, column: string) => string) => {
      for (const row of new Set([...Object.keys(is), ...Object.keys(says)])) {
        for (const column of new Set([...Object.keys(is[row] ?? {}), ...Object.keys(says[row] ?? {})])) {
          const [there, counted] = [is[row]?.[column] ?? 0, says[row]?.[column] ?? 0];
          if (there !== counted) {
            this.#findings.report(keys.lanes(), `count ${counted} ${tell(row, column)}; there are ${there}`);
          }
        }
      }
    };
    compare(full.counts, kept.counts, (type, status) => `${type} tasks as ${status}`);
    compare(full.open, kept.open, (caller, of) => `${of} of ${caller} as open`);
    return full;
  }
}

type Table = Record<string, Record<string, number | undefined>>;

const text = (key: Deno.KvKey): string => JSON.stringify(key);

function indexKey(state: TaskState): Deno.KvKey {
  const { id, task_type } = state.task;
  const status = statusOf(state);
  return keys.index(isTerminal(status) ? status : "OPEN", task_type, id);
}

function owns(state: TaskState, key: Deno.KvKey): boolean {
  return entriesOf(state).some((entry) => sameKey(entry, key));
}
