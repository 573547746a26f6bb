/**
 * The audit log: who has done what, when, from where, and with what outcome. Entries are gathered for a moment and written
 * as one page; the same action of the same caller with the same outcome is one entry that counts, so that ten thousand
 * submits a second do not make ten thousand entries.
 *
 * @module
 */

import type { Core } from "../core.ts";
import { emptyChangeset } from "../store/changeset.ts";
import { decode, encode } from "../store/codec.ts";
import { keys } from "../store/keys.ts";
import { newId } from "../task/ids.ts";

/** How long entries are kept: 90 days. */
export const AUDIT_KEPT_MS = 90 * 86_400_000;
/** How long entries are gathered, in milliseconds. */
const GATHER_MS = 250;
/** Targets and entries that are gathered at most. */
const GATHERED = 2_000;
/** Bytes of a page: a value has 64 KiB. */
const PAGE_BYTES = 50_000;
/** Targets that an entry names: what is more is another entry. */
const NAMED = 200;
/** Pages that a list reads at most; then it says where to go on. */
const MAX_PAGES = 5_000;
const MINUTE_MS = 60_000;

/** Something that someone has done. */
export interface AuditAction {
  /** Who: the name of a token, or of a person. */
  by: string;
  /** With which role; empty: nobody was signed in. */
  role: string;
  /** From which address. */
  from: string;
  /** What, such as `submit`, `cancel` or `token.create`. */
  action: string;
  /** The status of the answer. */
  status: number;
  /** The code of the problem; null: it was done. */
  problem: string | null;
}

/** An entry of the log. */
export interface AuditEntry extends AuditAction {
  /** When it happened first. Milliseconds since the epoch. */
  at: number;
  /** How often it happened within a moment. */
  count: number;
  /** On what: ids or names, at most 200. */
  targets: string[];
}

/** Which entries are read. */
export interface AuditFilter {
  /** What this caller has done. */
  by?: string;
  /** Only this action. */
  action?: string;
  /** Milliseconds since the epoch. */
  since?: number;
  /** Milliseconds since the epoch. */
  until?: number;
}

/** Entries in pages that fit into a value. */
function pagesOf(entries: AuditEntry[]): AuditEntry[][] {
  const pages: AuditEntry[][] = [];
  let bytes = Infinity;
  for (const entry of entries) {
    const size = encode(entry).length;
    if (bytes + size > PAGE_BYTES) {
      pages.push([]);
      bytes = 0;
    }
    pages.at(-1)!.push(entry);
    bytes += size + 1;
  }
  return pages;
}

/** Keeps the audit log. */
export class AuditLog {
  #gathered = new Map<string, AuditEntry>();
  /** Entries that name as many targets as they may. */
  #full: AuditEntry[] = [];
  #size = 0;
  #cancelTimer: (() => void) | null = null;
  #writing: Promise<void> = Promise.resolve();

  /** @ignore */
  constructor(private readonly core: Core) {}

  /** Adds an entry; it is written within a quarter of a second. */
  add(action: AuditAction, targets: string[]): void {
    const key = `${action.action} ${action.status} ${action.problem} ${action.role} ${action.from} ${action.by}`;
    let entry = this.#gathered.get(key);
    if (!entry || entry.targets.length + targets.length > NAMED) {
      if (entry) this.#full.push(entry);
      entry = { ...action, at: this.core.clock.now(), count: 0, targets: [] };
      this.#gathered.set(key, entry);
    }
    entry.count++;
    entry.targets.push(...targets);
    this.#size += 1 + targets.length;
    if (this.#size >= GATHERED) void this.flush();
    else this.#cancelTimer ??= this.core.clock.after(GATHER_MS, () => void this.flush());
  }

  /** Writes what was gathered. Never rejects: what could not be written is logged. */
  flush(): Promise<void> {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    const entries = [...this.#full, ...this.#gathered.values()];
    this.#gathered = new Map();
    this.#full = [];
    this.#size = 0;
    if (entries.length > 0) {
      const changeset = emptyChangeset();
      for (const page of pagesOf(entries)) {
        const at = Math.max(...page.map(({ at }) => at));
        changeset.puts.push({ key: keys.auditPage(at, newId(at)), value: encode(page), expireIn: AUDIT_KEPT_MS });
      }
      const written = this.core.committer.commit(changeset).then(() => {}, (error) => {
        this.core.log.error("Entries of the audit log could not be written.", { error, entries });
      });
      this.#writing = Promise.all([this.#writing, written]).then(() => {});
    }
    return this.#writing;
  }

  /**
   * Reads entries, newest first.
   *
   * @param limit About how many entries.
   * @param before Begin before this page: `next` of the page before.
   * @returns The entries of whole pages, so there may be some more than `limit`, or fewer if there are few among many;
   * `next` leads on, null: there are no more.
   */
  async read(
    filter: AuditFilter,
    limit: number,
    before?: string,
  ): Promise<{ entries: AuditEntry[]; next: string | null }> {
    const entries: AuditEntry[] = [];
    let pages = 0;
    for await (const page of this.pages(filter, before)) {
      entries.push(...page.entries);
      if (entries.length >= limit || ++pages >= MAX_PAGES) return { entries, next: page.next };
    }
    return { entries, next: null };
  }

  /** All entries of a filter, newest first, a page of the store at a time; `next` leads on from there. */
  async *pages(
    { by, action, since = 0, until = Infinity }: AuditFilter,
    before?: string,
  ): AsyncGenerator<{ entries: AuditEntry[]; next: string }> {
    const prefix = keys.audit();
    const oldest = Math.max(since, this.core.clock.now() - AUDIT_KEPT_MS);
    const [at, id] = before?.split("-") ?? [];
    // A page is at the time of its newest entry: older ones may be in pages that are a little younger.
    const newest = Math.min(until + MINUTE_MS, Number.MAX_SAFE_INTEGER);
    const end = before === undefined ? [...prefix, newest] : keys.auditPage(Number(at), id);
    for await (const { key, value } of this.core.kv.list({ start: [...prefix, oldest], end }, { reverse: true })) {
      const fitting = decode<AuditEntry[]>(value).filter((entry) =>
        (by === undefined || entry.by === by) && (action === undefined || entry.action === action) &&
        entry.at >= since &&
        entry.at < until
      );
      yield { entries: fitting.toSorted((a, b) => b.at - a.at), next: `${key[1] as number}-${key[2] as string}` };
    }
  }
}
