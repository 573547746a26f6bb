/** A task as it is right after its submit, at {@linkcode T}. */

import type { Placement, TaskState } from "../../queue/task/record.ts";

/** The time at which it was submitted, milliseconds since the epoch. */
export const T = 1_000_000;

export function pending(placement: Placement = { kind: "ready", score: T }): TaskState {
  return {
    run: null,
    task: {
      id: "01ARZ3NDEKTSV4RRFFQ69G5FAV",
      task_type: "t",
      title: "T",
      status: "PENDING",
      placement,
      progress: 0,
      message: "",
      input_params: {},
      result: null,
      error: null,
      attempt: 0,
      failures: 0,
      interruptions: 0,
      max_attempts: 3,
      timeout_ms: 1_000,
      priority: 0,
      tags: [],
      run_at: null,
      expires_at: null,
      created_at: T,
      started_at: null,
      completed_at: null,
      retention_ms: null,
      concurrency_key: null,
      unique_key: null,
      depends_on: [],
      has_dependents: false,
      generation: 0,
      schedule_id: null,
      scheduled_for: null,
      callback_url: null,
      retried_from: null,
      submitted_by: null,
      traceparent: null,
      params_bytes: 0,
      record_only: false,
      shard: 0,
      actions: [],
      attempts: [],
      uploads: [],
      version: 1,
    },
  };
}
