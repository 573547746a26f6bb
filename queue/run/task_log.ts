/**
 * The log of a task: the lines of an attempt gather in memory and are written in pages, and are read back over all
 * attempts.
 *
 * @module
 */

import { LOG_PAGE } from "../task/limits.ts";
import { decode, encode } from "../store/codec.ts";
import { keys } from "../store/keys.ts";
import type { Changeset } from "../store/changeset.ts";

/** A log line: milliseconds since the epoch, level, text. */
export type StoredLogLine = [at: number, level: string, text: string];

/** A page of log lines; `first` is the number of its first line within the attempt. */
export interface LogPage {
  first: number;
  lines: StoredLogLine[];
}

/** The longest line, in characters; the rest of a longer one is cut off. */
const LINE_CHARS = 4_000;
/** A page is closed when its lines could take this many bytes; most take a fifth of their bound. */
const PAGE_BYTES = 48 * 1024;
/** The most log bytes in one write. */
const WRITE_BYTES = 384 * 1024;
/** The most bytes that an attempt may log. */
const ATTEMPT_BYTES = 10 * 1024 * 1024;

/** An upper bound of what a line takes when it is stored: UTF-8 and JSON escapes, and the rest of its record. */
function lineBytes(line: StoredLogLine): number {
  return 6 * line[2].length + 40;
}

/** Gathers the lines of one attempt. */
export class LogBuffer {
  #waiting: StoredLogLine[] = [];
  #waitingBytes = 0;
  #page = 0;
  #open: LogPage = { first: 0, lines: [] };
  #openBytes = 0;
  #bytes = 0;
  #truncated = false;

  constructor(private readonly id: string, private readonly attempt: number) {}

  /** Whether there are unwritten lines. */
  get dirty(): boolean {
    return this.#waiting.length > 0;
  }

  /** Whether more lines are buffered than one write should take. */
  get large(): boolean {
    return this.#waitingBytes > WRITE_BYTES;
  }

  /** Adds a line. */
  add(at: number, level: string, text: string): void {
    if (this.#truncated) return;
    const cut = text.length > LINE_CHARS ? `${text.slice(0, LINE_CHARS)}…` : text;
    this.#bytes += cut.length;
    this.#truncated = this.#bytes > ATTEMPT_BYTES;
    const line: StoredLogLine = this.#truncated
      ? [at, "warn", "truncated: this attempt has logged 10 MB"]
      : [at, level, cut];
    this.#waiting.push(line);
    this.#waitingBytes += lineBytes(line);
  }

  /** Adds to `changeset` the pages with the lines that waited, as many as one write should take. */
  drainInto(changeset: Changeset): void {
    let taken = 0;
    let i = 0;
    for (; i < this.#waiting.length && taken < WRITE_BYTES; i++) {
      const bytes = lineBytes(this.#waiting[i]);
      if (this.#openBytes + bytes > PAGE_BYTES && this.#open.lines.length > 0) this.#startPage(changeset);
      this.#open.lines.push(this.#waiting[i]);
      this.#openBytes += bytes;
      taken += bytes;
    }
    this.#waiting = this.#waiting.slice(i);
    this.#waitingBytes -= taken;
    if (taken > 0) this.#put(changeset);
  }

  #put(changeset: Changeset): void {
    changeset.puts.push({ key: keys.log(this.id, this.attempt, this.#page), value: encode(this.#open) });
  }

  #startPage(changeset: Changeset): void {
    this.#put(changeset);
    this.#page++;
    this.#open = { first: this.#open.first + this.#open.lines.length, lines: [] };
    this.#openBytes = 0;
  }
}

/** A read position in a log: this attempt was read up to, but not including, this line. */
export interface LogPosition {
  /** The attempt, from 1. */
  attempt: number;
  /** The line within the attempt, from 0. */
  line: number;
}

/** A line of a task's log and its position. `at` is milliseconds since the epoch. */
export type LogLine = LogPosition & { at: number; level: string; text: string };

/** Log lines, oldest first, and the next read position. */
export interface LogPart {
  /** The lines. */
  lines: LogLine[];
  /** Where to read on. */
  next: LogPosition;
}

/** Reads the logs of tasks. */
export class TaskLogs {
  /** @ignore */
  constructor(private readonly kv: Deno.Kv) {}

  /** Reads up to `limit` lines from a position on, over all attempts. */
  async read(
    id: string,
    from: LogPosition = { attempt: 0, line: 0 },
    limit = LOG_PAGE.default as number,
  ): Promise<LogPart> {
    const lines: LogLine[] = [];
    let next = from;
    const prefix = keys.logOf(id);
    const start = [...prefix, from.attempt];
    for await (const entry of this.kv.list({ prefix, start }, { batchSize: 20 })) {
      const attempt = entry.key[2] as number;
      const page = decode<LogPage>(entry.value);
      const skip = attempt === from.attempt ? Math.max(0, from.line - page.first) : 0;
      for (let i = skip; i < page.lines.length; i++) {
        if (lines.length === limit) return { lines, next };
        const [at, level, text] = page.lines[i];
        lines.push({ attempt, line: page.first + i, at, level, text });
        next = { attempt, line: page.first + i + 1 };
      }
    }
    return { lines, next };
  }

  /** Reads the newest `limit` lines, or the newest before a position if one is given. */
  async readTail(
    id: string,
    limit: number,
    before: LogPosition = { attempt: Infinity, line: Infinity },
  ): Promise<LogPart> {
    let from: LogPosition = { attempt: 0, line: 0 };
    let found = 0;
    const prefix = keys.logOf(id);
    // The whole of that attempt is in range; what comes after the position is skipped.
    for await (const entry of this.kv.list({ prefix }, { reverse: true, batchSize: 10 })) {
      const attempt = entry.key[2] as number;
      const page = decode<LogPage>(entry.value);
      const end = attempt < before.attempt ? Infinity : attempt > before.attempt ? 0 : before.line;
      const count = Math.max(0, Math.min(page.lines.length, end - page.first));
      if (count === 0) continue;
      found += count;
      from = { attempt, line: page.first + Math.max(0, found - limit) };
      if (found >= limit) break;
    }
    return await this.read(id, from, Math.min(limit, found));
  }
}
