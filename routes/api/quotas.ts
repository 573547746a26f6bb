/**
 * Limits on what callers may put into the store: tasks per second, waiting tasks, unused uploads, the load of
 * schedules, and a minimum of free disk space. The defaults are far above what normal use needs; each is a setting.
 *
 * @module
 */

import { DEFAULT_QUOTAS, type QuotaLimits } from "../limits.ts";
import type { Context, MiddlewareHandler } from "hono";
// Older versions of Deno have no statfs: as a namespace it is only missed where it is called.
import * as fs from "node:fs/promises";
import { RecentMap } from "../../queue/recent_map.ts";
import { MAX_BATCH, UPLOAD_KEPT_HOURS } from "../../queue/task/limits.ts";
import type { OpenWork } from "../../queue/store/counts.ts";
import type { AppEnv, AppOptions } from "../env.ts";
import { Problem } from "../http/problem.ts";
import { isPacked } from "../http/request_headers.ts";

/** Paths whose POST stores something new. Stopping and removing must still work on a full disk. */
const GROWING =
  /^\/(api\/(tasks\/(submit|batch|[^/]+\/retry)|uploads|schedules(\/[^/]+\/trigger)?|undelivered\/[^/]+\/retry)|tasks(\/[^/]+\/retry)?|examples)\/?$/;
/** A caller may use this many seconds' worth of its rate in one burst. */
const BURST_S = 10;
/** How long values read from the store or its disk count as current. */
const FRESH_MS = 1_000;
/** Finding unused uploads means scanning all of them, so it is done less often. */
const UPLOADS_FRESH_MS = 10_000;
/** The most callers whose rate is remembered. */
const REMEMBERED = 10_000;

/** Reads a value again only some time after the last read has finished. */
class Fresh<T> {
  #at = Infinity;
  #value: Promise<T> | null = null;

  constructor(
    private readonly now: () => number,
    private readonly read: () => Promise<T>,
    private readonly freshMs = FRESH_MS,
  ) {}

  get(): Promise<T> {
    if (!this.#value || this.now() - this.#at > this.freshMs) {
      this.#at = Infinity;
      this.#value = this.read();
      this.#value.then(() => this.#at = this.now(), () => this.#value = null);
    }
    return this.#value;
  }
}

/** Enforces the limits of callers. */
export class Quotas {
  readonly #limits: QuotaLimits;
  readonly #options: AppOptions;
  /** How many tasks each caller may still submit, and as of when. */
  readonly #buckets = new RecentMap<string, { left: number; at: number }>(REMEMBERED);
  readonly #open: Fresh<OpenWork>;
  readonly #unused: Fresh<number>;
  readonly #free: Fresh<number>;
  /** Bytes of uploads in progress. */
  #reserved = 0;
  /** Bytes of uploads that have finished since the last scan. */
  #added = 0;

  constructor(options: AppOptions) {
    const { queue, clock, storePath, log } = options;
    this.#options = options;
    this.#limits = { ...DEFAULT_QUOTAS, ...options.quotas };
    const now = () => clock.monotonic();
    this.#open = new Fresh(now, () => queue.openWork());
    this.#unused = new Fresh(now, async () => {
      const before = this.#added;
      const bytes = await queue.uploads.unusedBytes();
      this.#added -= before;
      return bytes;
    }, UPLOADS_FRESH_MS);
    this.#free = new Fresh(now, async () => {
      if (storePath === undefined) return Infinity;
      try {
        const { bavail, bsize } = await fs.statfs(storePath);
        return Number(bavail) * Number(bsize);
      } catch (error) {
        // If it cannot be determined, the store itself reports when it is full.
        log.warn("The free space on the store's disk could not be determined.", { error });
        return Infinity;
      }
    });
  }

  /**
   * Deducts the tasks that a caller is about to submit from its allowance.
   *
   * @throws {Problem} 429 if there are too many per second, or if the caller has too many unfinished tasks.
   */
  async takeTasks(c: Context<AppEnv>, count: number): Promise<void> {
    const { tasksPerSecond, openTasks, openBytes } = this.#limits;
    const now = this.#options.clock.monotonic();
    const { name } = c.get("principal");
    // A full batch is allowed at any rate limit.
    const most = Math.max(MAX_BATCH, BURST_S * tasksPerSecond);
    const bucket = this.#buckets.get(name) ?? { left: most, at: now };
    const left = Math.min(most, bucket.left + (now - bucket.at) / 1000 * tasksPerSecond);
    if (left < count) {
      const detail = `A caller may submit at most ${tasksPerSecond.toLocaleString("en")} tasks per second.`;
      const wait = Math.ceil((count - left) / tasksPerSecond);
      throw new Problem(429, "too_many_tasks", detail, [], { "Retry-After": String(wait) });
    }
    this.#buckets.set(name, { left: left - count, at: now });
    const { tasks = 0, bytes = 0 } = (await this.#open.get())[name] ?? {};
    if (tasks + count <= openTasks && bytes <= openBytes) return;
    const detail = tasks + count > openTasks
      ? `A caller may have at most ${openTasks.toLocaleString("en")} unfinished tasks.`
      : `The parameters of a caller's unfinished tasks may take at most ${openBytes.toLocaleString("en")} bytes.`;
    throw new Problem(429, "too_many_open_tasks", detail, [], { "Retry-After": "60" });
  }

  /**
   * Reserves room for the uploads of a request: its Content-Length, or the maximum if it has none or is packed.
   *
   * @returns Call it with the number of bytes stored, once the request is answered, to release the room.
   * @throws {Problem} 507 if there are too many unused uploads.
   */
  async reserveUploads(c: Context<AppEnv>): Promise<(stored: number) => void> {
    const { unusedUploadBytes } = this.#limits;
    const told = c.req.header("Content-Length");
    const unknown = told === undefined || isPacked(c);
    const wanted = unknown ? this.#options.maxUploadTotalBytes : Number(told) || 0;
    if (await this.#unused.get() + this.#added + this.#reserved + wanted <= unusedUploadBytes) {
      this.#reserved += wanted;
      return (stored) => {
        this.#reserved -= wanted;
        this.#added += stored;
      };
    }
    const detail = `Unused uploads take ${unusedUploadBytes.toLocaleString("en")} bytes or more. ` +
      `Each is removed after ${UPLOAD_KEPT_HOURS} hours.`;
    throw new Problem(507, "too_many_uploads", detail);
  }

  /** How many starts per hour all schedules may have together. */
  get scheduledPerHour(): number {
    return this.#limits.scheduledPerHour;
  }

  /** Rejects immediately what a full disk would reject after a long wait. */
  assertRoom(): MiddlewareHandler<AppEnv> {
    return async (c, next) => {
      if (c.req.method === "POST" && GROWING.test(c.req.path)) {
        const { freeDiskBytes } = this.#limits;
        if (await this.#free.get() < freeDiskBytes) {
          const detail = `The store's disk has less than ${freeDiskBytes.toLocaleString("en")} bytes left.`;
          throw new Problem(507, "disk_full", detail);
        }
      }
      await next();
    };
  }
}
