/**
 * How much callers may take, where the settings say nothing else.
 *
 * @module
 */

/** Bounds of a store. */
export interface QuotaLimits {
  /** Tasks a second of one caller, over ten seconds. Default 10,000. */
  tasksPerSecond: number;
  /** Tasks of one caller that have not ended. Default 5,000,000. */
  openTasks: number;
  /** Bytes of the parameters of these. Default 10 GB. */
  openBytes: number;
  /** Bytes of uploads that no task names. Default 20 GB. */
  unusedUploadBytes: number;
  /** Starts an hour of all schedules together. Default 36,000. */
  scheduledPerHour: number;
  /** Bytes of the store's disk that stay free. Default 200 MB. */
  freeDiskBytes: number;
}

/** The bounds where nothing else is said. */
export const DEFAULT_QUOTAS: QuotaLimits = {
  tasksPerSecond: 10_000,
  openTasks: 5_000_000,
  openBytes: 10_000_000_000,
  unusedUploadBytes: 20_000_000_000,
  scheduledPerHour: 36_000,
  freeDiskBytes: 200_000_000,
};

/** Streams of all callers together, where nothing else is said. */
export const MAX_STREAMS = 1_000;
/** Streams of one token, and of one address, where nothing else is said. */
export const MAX_STREAMS_PER_CALLER = 250;
