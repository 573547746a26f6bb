/**
 * Default limits for callers, unless the settings override them.
 *
 * @module
 */

import { FREE_FAILURES } from "./auth_throttle.ts";

/** Limits of a store. */
export interface QuotaLimits {
  /** Requests per second of one address, and of one token, averaged over ten seconds. Default 10,000. */
  requestsPerSecond: number;
  /** Wrong tokens from an address, or of one kind, before each further one must wait. Default 5. */
  signInFailures: number;
  /** Tasks per second of one caller, averaged over ten seconds. Default 10,000. */
  tasksPerSecond: number;
  /** Submits a minute by type; a type that is not named has no limit. Default: none. */
  tasksPerMinute: Record<string, number>;
  /** Unfinished tasks of one caller. Default 5,000,000. */
  openTasks: number;
  /** Bytes of the parameters of these. Default 10 GB. */
  openBytes: number;
  /** Requests with uploads that one caller may have under way. Default 50. */
  uploadsAtOnce: number;
  /** Bytes of unused uploads. Default 20 GB. */
  unusedUploadBytes: number;
  /** Schedules in all. Default 1,000. */
  schedules: number;
  /** Starts per hour of all schedules together. Default 36,000. */
  scheduledPerHour: number;
  /** Bytes kept free on the store's disk. Default 200 MB. */
  freeDiskBytes: number;
}

/** The default limits. */
export const DEFAULT_QUOTAS: QuotaLimits = {
  requestsPerSecond: 10_000,
  signInFailures: FREE_FAILURES,
  tasksPerSecond: 10_000,
  tasksPerMinute: {},
  openTasks: 5_000_000,
  openBytes: 10_000_000_000,
  uploadsAtOnce: 50,
  unusedUploadBytes: 20_000_000_000,
  schedules: 1_000,
  scheduledPerHour: 36_000,
  freeDiskBytes: 200_000_000,
};

/** Connections at once, by default. */
export const MAX_CONNECTIONS = 2_000;
/** Streams of all callers together, by default. */
export const MAX_STREAMS = 1_000;
/** Streams of one token, and of one address, by default. */
export const MAX_STREAMS_PER_CALLER = 250;
