/**
 * Every key of the store, in one table, with what it holds and who may write it. No other code builds keys. A change to
 * the table is a new format of the store: see `commit/format.ts`.
 *
 * | key | holds | written by |
 * |---|---|---|
 * | `task, id` | the cold record | submit; the task owner at the end; a cancel or retry while it does not run |
 * | `result, id` | a result too large for the record | the task owner, with the record |
 * | `run, id` | the hot record | the task owner; the recoverer after the owner is fenced |
 * | `ready, type, shard, score, id` | a task that may start | each change of placement |
 * | `ready, type, shard` | the fence of these: a claim checks and rewrites it instead of each entry that it deletes | claims; whoever else changes or deletes such an entry |
 * | `scheduled, due, id` | a task that is not due yet | each change of placement |
 * | `blocked, id` | a task whose parents have not all succeeded | each change of placement |
 * | `key_waiting, type, key, score, id` | a task that waits for its concurrency key | each change of placement |
 * | `key_holders, type, key` | which tasks occupy a concurrency key | the effect worker |
 * | `child, parent, id` | that a task depends on another, and whether that has succeeded | submit, retry; the effect worker; removed when the task ends |
 * | `effect, dependents, id` | pending effect: tasks depend on the outcome of this one | its end, or a new dependent; the effect worker removes it |
 * | `effect, key, type, key` | pending effect: a concurrency key became free or wanted | a change of a task with the key; the effect worker removes it |
 * | `effect, callback, id` | pending effect: an ended task's callback is not made yet | its end; the effect worker removes it |
 * | `expiry, at, id` | when a task that has not been started is cancelled | submit; removed by its start or end |
 * | `retention, at, id` | when a task with a retention of its own is deleted | whoever ends it |
 * | `tombstone, id` | entries of a deleted task may be left | its delete; removed with the last entry |
 * | `unique, type, key` | the newest task with a unique key | submit; removed with the task |
 * | `retried_as, old, new` | that a task is an edited resubmission of another | submit; removed with the old task |
 * | `step, id, generation, name` | the result of a finished step | the task owner |
 * | `rate, type` | the last starts of a type with a rate limit | whoever claims |
 * | `pause, type` | that no task of the type is started | whoever pauses or resumes it |
 * | `schedule, id` | a cron schedule | whoever changes it; each tick |
 * | `tick, at, id` | when a schedule is due next | written with the schedule |
 * | `index, bucket, type, id` | the only secondary index; bucket is OPEN or a terminal status | with each change of status |
 * | `checkpoint, id` | what the next attempt resumes from | the task owner |
 * | `log, id, attempt, page` | a page of log lines | the task owner |
 * | `artifact, id, name` | metadata of a file of the task, and its blob | the task owner |
 * | `upload, id` | what an uploaded file is, and its blob | the upload; touched by each submit that names it |
 * | `upload_fence` | rewritten by each delete of an upload; checked by each write that refers to uploads | the janitor |
 * | `upload_ref, upload, task` | that a task needs the upload | submit; removed with the task |
 * | `suppressed, address` | that no mailing sends to the address | whoever adds it; whoever removes it |
 * | `mail_sent, server` | how many messages a mail server with limits was given this hour and day | whoever sends |
 * | `role, role` | which instance does the janitor's work, where several share a store | that instance; whoever takes the role |
 * | `ended_session, id` | a sign-in that was ended early | the sign-out; expires with the sign-in |
 * | `token, hash` | a token that was made at run time | whoever makes or revokes it |
 * | `token_name, name` | that a token has this name | with the token |
 * | `alert_rule, id` | a rule of alerts | whoever makes or deletes it |
 * | `alert_state, id` | whether a rule is met, as it was told last | the instance that looks at rules |
 * | `lost_instance, at, instance` | that an instance has died | the recoverer; expires after a day |
 * | `audit, at, id` | entries of the audit log | every instance, a few times a second; expires after 90 days |
 * | `blob, blob, n` | 60 KiB of a file | whoever writes the file |
 * | `blob_pending, blob` | that a file is being written | whoever writes the file; the janitor |
 * | `idempotency, scope, key` | which task a key has created | submit |
 * | `inbox, message` | which task a message of KV's queue has made; empty: it was refused | the inbox; expires after 30 days |
 * | `undelivered, message` | a message that did not become a task, and why | the inbox; KV itself, if it could not deliver it |
 * | `cancel_request, instance, id` | a cancel request to the task owner | any instance |
 * | `meta, format` | the format of the store | its first start; a migration |
 * | `meta, session_key` | what the cookies of people are signed with | the first instance that needs it |
 * | `meta, migration` | the right to migrate the store | whoever migrates it |
 * | `instance, instance` | heartbeat of a living instance | that instance; the recoverer deletes it |
 * | `lane, instance, n` | last operation and counters of a stream of commits: the fence | that instance; the recoverer folds it |
 * | `lane, "", 0` | the counters of all lanes that are gone | whoever folds a lane |
 * | `change, versionstamp` | which tasks a commit moved | every commit that moves a task |
 * | `series, minute, at, type, instance, n` | what happened to the tasks of a type in a minute, as counted by one lane | that lane, with its commits; the janitor deletes it |
 * | `series, hour, at, type` | the same of an hour, of all lanes | the janitor |
 * | `annotation, at, by` | an instance started, a type was paused or resumed | with that; the janitor deletes it |
 * | `change_floor` | newest change that was trimmed | the janitor |
 * | `probe, instance` | that the store can be written and read | the health check; expires after a minute |
 * | `wakeup` | written where instances share a store | every commit |
 *
 * @module
 */

import type { Placement, TaskRecord, TerminalStatus } from "../task/record.ts";

type Key = Deno.KvKey;

/** Which bucket of the index a task is in: OPEN while it has not ended. */
export type Bucket = "OPEN" | TerminalStatus;

/** Builders of every key and, where lists need them, of every prefix. */
export const keys = {
  task: (id: string): Key => ["task", id],
  result: (id: string): Key => ["result", id],
  run: (id: string): Key => ["run", id],
  runs: (): Key => ["run"],
  ready: (type: string, shard: number, score: number, id: string): Key => ["ready", type, shard, score, id],
  fence: (type: string, shard: number): Key => ["ready", type, shard],
  readyOf: (type: string): Key => ["ready", type],
  scheduled: (due: number, id: string): Key => ["scheduled", due, id],
  allScheduled: (): Key => ["scheduled"],
  blocked: (id: string): Key => ["blocked", id],
  keyWaiting: (type: string, key: string, score: number, id: string): Key => ["key_waiting", type, key, score, id],
  keyWaitingOf: (type: string, key: string): Key => ["key_waiting", type, key],
  keyHolders: (type: string, key: string): Key => ["key_holders", type, key],
  child: (parent: string, id: string): Key => ["child", parent, id],
  children: (): Key => ["child"],
  childrenOf: (parent: string): Key => ["child", parent],
  dependentsEffect: (id: string): Key => ["effect", "dependents", id],
  concurrencyKeyEffect: (type: string, key: string): Key => ["effect", "key", type, key],
  callbackEffect: (id: string): Key => ["effect", "callback", id],
  effects: (): Key => ["effect"],
  expiry: (at: number, id: string): Key => ["expiry", at, id],
  expiries: (): Key => ["expiry"],
  retentionDue: (at: number, id: string): Key => ["retention", at, id],
  retentionDues: (): Key => ["retention"],
  tombstone: (id: string): Key => ["tombstone", id],
  tombstones: (): Key => ["tombstone"],
  unique: (type: string, key: string): Key => ["unique", type, key],
  retriedAs: (old: string, id: string): Key => ["retried_as", old, id],
  allRetriedAs: (): Key => ["retried_as"],
  retriedAsOf: (old: string): Key => ["retried_as", old],
  step: (id: string, generation: number, name: string): Key => ["step", id, generation, name],
  stepsOf: (id: string, generation?: number): Key => generation === undefined ? ["step", id] : ["step", id, generation],
  rate: (type: string): Key => ["rate", type],
  pause: (type: string): Key => ["pause", type],
  pauses: (): Key => ["pause"],
  schedule: (id: string): Key => ["schedule", id],
  schedules: (): Key => ["schedule"],
  tick: (at: number, id: string): Key => ["tick", at, id],
  ticks: (): Key => ["tick"],
  index: (bucket: Bucket, type: string, id: string): Key => ["index", bucket, type, id],
  indexOf: (bucket: Bucket, type: string): Key => ["index", bucket, type],
  checkpoint: (id: string): Key => ["checkpoint", id],
  log: (id: string, attempt: number, page: number): Key => ["log", id, attempt, page],
  logOf: (id: string, attempt?: number): Key => attempt === undefined ? ["log", id] : ["log", id, attempt],
  artifact: (id: string, name: string): Key => ["artifact", id, name],
  artifactsOf: (id: string): Key => ["artifact", id],
  upload: (id: string): Key => ["upload", id],
  uploads: (): Key => ["upload"],
  uploadFence: (): Key => ["upload_fence"],
  uploadRef: (upload: string, id: string): Key => ["upload_ref", upload, id],
  uploadRefsOf: (upload: string): Key => ["upload_ref", upload],
  blob: (blob: string, n: number): Key => ["blob", blob, n],
  blobOf: (blob: string): Key => ["blob", blob],
  blobPending: (blob: string): Key => ["blob_pending", blob],
  allBlobPending: (): Key => ["blob_pending"],
  idempotency: (scope: string, key: string): Key => ["idempotency", scope, key],
  inbox: (message: string): Key => ["inbox", message],
  undelivered: (message: string): Key => ["undelivered", message],
  allUndelivered: (): Key => ["undelivered"],
  cancelRequest: (instance: string, id: string): Key => ["cancel_request", instance, id],
  cancelRequests: (): Key => ["cancel_request"],
  cancelRequestsOf: (instance: string): Key => ["cancel_request", instance],
  instance: (instance: string): Key => ["instance", instance],
  instances: (): Key => ["instance"],
  lane: (instance: string, n: number): Key => ["lane", instance, n],
  lanesOf: (instance: string): Key => ["lane", instance],
  lanes: (): Key => ["lane"],
  retiredCounts: (): Key => ["lane", "", 0],
  change: (versionstamp: string): Key => ["change", versionstamp],
  changes: (): Key => ["change"],
  minute: (at: number, type: string, instance: string, n: number): Key => ["series", "minute", at, type, instance, n],
  minutes: (): Key => ["series", "minute"],
  hour: (at: number, type: string): Key => ["series", "hour", at, type],
  hours: (): Key => ["series", "hour"],
  annotation: (at: number, by: string): Key => ["annotation", at, by],
  annotations: (): Key => ["annotation"],
  changeFloor: (): Key => ["change_floor"],
  wakeup: (): Key => ["wakeup"],
  suppressed: (address: string): Key => ["suppressed", address],
  allSuppressed: (): Key => ["suppressed"],
  mailSent: (server: string): Key => ["mail_sent", server],
  role: (role: string): Key => ["role", role],
  format: (): Key => ["meta", "format"],
  sessionKey: (): Key => ["meta", "session_key"],
  migration: (): Key => ["meta", "migration"],
  token: (hash: string): Key => ["token", hash],
  tokens: (): Key => ["token"],
  tokenName: (name: string): Key => ["token_name", name],
  alertRule: (id: string): Key => ["alert_rule", id],
  alertRules: (): Key => ["alert_rule"],
  alertState: (id: string): Key => ["alert_state", id],
  alertStates: (): Key => ["alert_state"],
  lostInstance: (at: number, instance: string): Key => ["lost_instance", at, instance],
  lostInstances: (): Key => ["lost_instance"],
  audit: (): Key => ["audit"],
  auditPage: (at: number, id: string): Key => ["audit", at, id],
  endedSession: (id: string): Key => ["ended_session", id],
  probe: (instance: string): Key => ["probe", instance],
};

/** The key of a waiting task's placement entry. */
export function placementKey(at: Placement, { id, task_type, concurrency_key, shard }: TaskRecord): Key {
  switch (at.kind) {
    case "ready":
      return keys.ready(task_type, shard, at.score, id);
    case "scheduled":
      return keys.scheduled(at.due, id);
    case "blocked":
      return keys.blocked(id);
    case "limited":
      return keys.keyWaiting(task_type, concurrency_key!, at.score, id);
  }
}

/** Whether a key below `ready` is that of a fence. */
export function isFence(key: Key): boolean {
  return key[0] === "ready" && key.length === 3;
}

/** Whether two keys are the same. */
export function sameKey(a: Key, b: Key): boolean {
  return a.length === b.length && a.every((part, i) => part === b[i]);
}
