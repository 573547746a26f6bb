/**
 * Limits on what callers may put into the store: tasks per second, waiting tasks, unused uploads, the load of
 * schedules, and a minimum of free disk space. The defaults are far above what normal use needs; each is a setting.
 *
 * @module
 */

import { diskOf } from "../../queue/tools/store_file.ts";
import { Allowances } from "./allowances.ts";
import { DEFAULT_QUOTAS, type QuotaLimits } from "./defaults.ts";
import type { Context, MiddlewareHandler } from "hono";
import type { ScheduleLimits } from "../../queue/actions/schedules.ts";
import { MAX_BATCH, UPLOAD_KEPT_HOURS } from "../../queue/task/limits.ts";
import type { OpenWork } from "../../queue/store/counts.ts";
import type { AppEnv, AppOptions } from "../env.ts";
import { Problem } from "../http/problem.ts";
import { isPacked } from "../http/request_headers.ts";

/** Paths whose POST stores something new. Stopping and removing must still work on a full disk. */
const GROWING =
  /^\/(api\/(tasks\/(submit|batch|[^/]+\/retry)|uploads|schedules(\/[^/]+\/(trigger|backfill))?|undelivered\/[^/]+\/retry)|tasks(\/[^/]+\/retry)?|examples)\/?$/;
/** A caller may use this many seconds' worth of its rate in one burst. */
const BURST_S = 10;
/** How long values read from the store or its disk count as current. */
const FRESH_MS = 1_000;
/** Finding unused uploads means scanning all of them, so it is done less often. */
const UPLOADS_FRESH_MS = 10_000;

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
  readonly #tasks: Allowances;
  /** Of the types that have a limit. */
  readonly #types: Map<string, Allowances>;
  /** Requests with uploads that are under way, by caller. */
  readonly #uploading = new Map<string, number>();
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
    const { tasksPerSecond, tasksPerMinute } = this.#limits;
    // A full batch is allowed at any rate limit.
    this.#tasks = new Allowances(clock, tasksPerSecond, Math.max(MAX_BATCH, BURST_S * tasksPerSecond));
    this.#types = new Map(
      Object.entries(tasksPerMinute).map(([type, count]) => [type, new Allowances(clock, count / 60, count)]),
    );
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
        return (await diskOf(storePath)).free;
      } catch (error) {
        // If it cannot be determined, the store itself reports when it is full.
        log.warn("The free space on the store's disk could not be determined.", { error });
        return Infinity;
      }
    });
  }

  /**
   * Deducts the tasks that a caller is about to submit from its allowance, and from those of their types.
   *
   * @param types The type of each; null: it is not known.
   * @throws {Problem} 429 if there are too many per second, too many a minute of a type, or too many unfinished ones.
   */
  async takeTasks(c: Context<AppEnv>, types: readonly (string | null)[]): Promise<void> {
    const count = types.length;
    const { tasksPerSecond, openTasks, openBytes } = this.#limits;
    const { name } = c.get("principal");
    const ofTypes = [...this.#types].map(([type, allowances]) => ({
      type,
      allowances,
      length: types.filter((one) => one === type).length,
    }));
    for (const { type, length, allowances } of ofTypes) {
      if (allowances.left("") >= length) continue;
      if (length > allowances.burst) {
        const detail = `At most ${
          allowances.burst.toLocaleString("en")
        } tasks of ${type} a minute: send fewer at once.`;
        throw new Problem(422, "invalid_input", detail);
      }
      const detail = `At most ${allowances.burst.toLocaleString("en")} tasks of ${type} may be submitted a minute.`;
      throw allowances.refusal("", length, "too_many_of_type", detail);
    }
    if (!this.#tasks.take(name, count)) {
      const detail = `A caller may submit at most ${tasksPerSecond.toLocaleString("en")} tasks per second.`;
      throw this.#tasks.refusal(name, count, "too_many_tasks", detail);
    }
    for (const { length, allowances } of ofTypes) allowances.take("", length);
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
   * @throws {Problem} 429 if the caller has too many under way, 507 if there are too many unused uploads.
   */
  async reserveUploads(c: Context<AppEnv>): Promise<(stored: number) => void> {
    const { unusedUploadBytes, uploadsAtOnce } = this.#limits;
    const { name } = c.get("principal");
    const uploading = this.#uploading.get(name) ?? 0;
    if (uploading >= uploadsAtOnce) {
      const detail = `A caller may have at most ${uploadsAtOnce} requests with uploads under way.`;
      throw new Problem(429, "too_many_uploads_at_once", detail, [], { "Retry-After": "5" });
    }
    const told = c.req.header("Content-Length");
    const unknown = told === undefined || isPacked(c);
    const wanted = unknown ? this.#options.maxUploadTotalBytes : Number(told) || 0;
    this.#uploading.set(name, uploading + 1);
    const end = () => {
      const left = this.#uploading.get(name)! - 1;
      if (left > 0) this.#uploading.set(name, left);
      else this.#uploading.delete(name);
    };
    const unused = await this.#unused.get().catch((error) => {
      end();
      throw error;
    });
    if (unused + this.#added + this.#reserved + wanted <= unusedUploadBytes) {
      this.#reserved += wanted;
      return (stored) => {
        this.#reserved -= wanted;
        this.#added += stored;
        end();
      };
    }
    end();
    const detail = `With these, unused uploads would take over ${unusedUploadBytes.toLocaleString("en")} bytes. ` +
      `Each is removed after ${UPLOAD_KEPT_HOURS} hours.`;
    throw new Problem(507, "too_many_uploads", detail);
  }

  /** How many schedules there may be, and how many starts an hour of all of them together. */
  get scheduleLimits(): ScheduleLimits {
    const { schedules: most, scheduledPerHour: perHour } = this.#limits;
    return { most, perHour };
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
