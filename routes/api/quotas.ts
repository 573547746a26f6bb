/**
 * Bounds on what callers may put into the store: tasks a second, tasks that wait, uploads that no task names, the load
 * of schedules, and a floor of free disk. The defaults are far beyond what honest use needs; each is a setting.
 *
 * @module
 */

import { DEFAULT_QUOTAS, type QuotaLimits } from "../limits.ts";
import type { Context, MiddlewareHandler } from "hono";
import { statfs } from "node:fs/promises";
import { RecentMap } from "../../queue/recent_map.ts";
import { MAX_BATCH } from "../../queue/submit/new_task.ts";
import type { OpenWork } from "../../queue/store/counts.ts";
import type { AppEnv, AppOptions } from "../env.ts";
import { Problem } from "../http/problem.ts";

/** Addresses whose POST stores something new; what stops or removes something must go on on a full disk. */
const GROWING =
  /^\/(api\/(tasks\/(submit|batch|[^/]+\/retry)|uploads|schedules(\/[^/]+\/trigger)?)|tasks(\/[^/]+\/retry)?|examples)\/?$/;
/** Seconds of full rate that a caller may use at once. */
const BURST_S = 10;
/** How long what was read of the store or its disk counts as current. */
const FRESH_MS = 1_000;
/** All uploads are looked through for those that no task names: that is done less often. */
const UPLOADS_FRESH_MS = 10_000;
/** Callers whose rate is remembered. */
const REMEMBERED = 10_000;

/** Reads something again only when the last reading has ended some time ago. */
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

/** Keeps callers within their bounds. */
export class Quotas {
  readonly #limits: QuotaLimits;
  readonly #options: AppOptions;
  /** By caller, how many tasks it may still submit, and when that was so. */
  readonly #buckets = new RecentMap<string, { left: number; at: number }>(REMEMBERED);
  readonly #open: Fresh<OpenWork>;
  readonly #unused: Fresh<number>;
  readonly #free: Fresh<number>;
  /** Bytes of uploads that are under way. */
  #reserved = 0;
  /** Bytes of uploads that have ended since all were last looked through. */
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
        const { bavail, bsize } = await statfs(storePath);
        return Number(bavail) * Number(bsize);
      } catch (error) {
        // Where it cannot be told, the store says itself when it is full.
        log.warn("The free room on the store's disk is not known.", { error });
        return Infinity;
      }
    });
  }

  /**
   * Takes tasks that a caller is about to submit from what it may.
   *
   * @throws {Problem} 429 if they are too many a second, or it has too many that have not ended.
   */
  async takeTasks(c: Context<AppEnv>, count: number): Promise<void> {
    const { tasksPerSecond, openTasks, openBytes } = this.#limits;
    const now = this.#options.clock.monotonic();
    const { name } = c.get("principal");
    // A whole batch passes at any rate.
    const most = Math.max(MAX_BATCH, BURST_S * tasksPerSecond);
    const bucket = this.#buckets.get(name) ?? { left: most, at: now };
    const left = Math.min(most, bucket.left + (now - bucket.at) / 1000 * tasksPerSecond);
    if (left < count) {
      const detail = `A caller submits at most ${tasksPerSecond.toLocaleString("en")} tasks a second.`;
      const wait = Math.ceil((count - left) / tasksPerSecond);
      throw new Problem(429, "too_many_tasks", detail, [], { "Retry-After": String(wait) });
    }
    this.#buckets.set(name, { left: left - count, at: now });
    const { tasks = 0, bytes = 0 } = (await this.#open.get())[name] ?? {};
    if (tasks + count <= openTasks && bytes <= openBytes) return;
    const detail = tasks + count > openTasks
      ? `A caller has at most ${openTasks.toLocaleString("en")} tasks that have not ended.`
      : `The parameters of a caller's tasks that have not ended take at most ${openBytes.toLocaleString("en")} bytes.`;
    throw new Problem(429, "too_many_open_tasks", detail, [], { "Retry-After": "60" });
  }

  /**
   * Makes room for the uploads of a request: as long as it says that they are, or else as long as they may be.
   *
   * @returns What gives the room back once the request has been answered, told how many bytes it has stored.
   * @throws {Problem} 507 if there are too many uploads that no task names.
   */
  async reserveUploads(c: Context<AppEnv>): Promise<(stored: number) => void> {
    const { unusedUploadBytes } = this.#limits;
    const told = c.req.header("Content-Length");
    const wanted = told === undefined ? this.#options.maxUploadTotalBytes : Number(told) || 0;
    if (await this.#unused.get() + this.#added + this.#reserved + wanted <= unusedUploadBytes) {
      this.#reserved += wanted;
      return (stored) => {
        this.#reserved -= wanted;
        this.#added += stored;
      };
    }
    const detail = `Uploads that no task names take ${unusedUploadBytes.toLocaleString("en")} bytes or more. ` +
      "Each is removed after 24 hours.";
    throw new Problem(507, "too_many_uploads", detail);
  }

  /** How many starts an hour all schedules may have together. */
  get scheduledPerHour(): number {
    return this.#limits.scheduledPerHour;
  }

  /** Refuses at once what a full disk would refuse after a long wait. */
  assertRoom(): MiddlewareHandler<AppEnv> {
    return async (c, next) => {
      if (c.req.method === "POST" && GROWING.test(c.req.path)) {
        const { freeDiskBytes } = this.#limits;
        if (await this.#free.get() < freeDiskBytes) {
          const detail = `The disk of the store has less than ${freeDiskBytes.toLocaleString("en")} bytes left.`;
          throw new Problem(507, "disk_full", detail);
        }
      }
      await next();
    };
  }
}
