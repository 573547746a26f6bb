/**
 * Schedules: tasks that are submitted repeatedly, by cron expression and time zone. A tick advances the schedule and
 * creates its task in one atomic that checks the schedule, so each tick creates exactly one task, however many
 * instances run.
 *
 * @module
 */

import type { Core } from "../core.ts";
import { ConflictError, foundOrNull, NotFoundError, QueueError } from "../task/errors.ts";
import { isId, newId } from "../task/ids.ts";
import { keys } from "../store/keys.ts";
import { claimIdempotencyKey, fingerprint, type IdempotencyKey } from "../submit/deduplication.ts";
import type { Submitter } from "../submit/submit.ts";
import type { Uploads } from "../submit/uploads.ts";
import type { Json, TaskState } from "../task/record.ts";
import { type Changeset, emptyChangeset, merge } from "../store/changeset.ts";
import { MAX_BATCH } from "../task/limits.ts";
import { assertLoad, assertTimes, nextAfter, refuse, timesBetween } from "./cron.ts";
import {
  type Admit,
  decodeSchedule,
  MAX_LATENESS_MS,
  putSchedule,
  type Schedule,
  type ScheduleInput,
  type ScheduleLimits,
  withTask,
} from "./schedule_record.ts";

export {
  type Admit,
  MISSED_POLICIES,
  type MissedPolicy,
  type Schedule,
  type ScheduleInput,
  type ScheduleLimits,
} from "./schedule_record.ts";

type Entry = Deno.KvEntryMaybe<unknown>;

/** Stores and ticks schedules. */
export class Schedules {
  /** @ignore */
  constructor(private readonly core: Core, private readonly submitter: Submitter, private readonly uploads: Uploads) {}

  /**
   * Creates a schedule.
   *
   * @param by Who asks.
   * @param limits How many there may be, and how often they may start. Default: no limit.
   *
   * @returns The schedule, and whether it is new (false: the idempotency key was used before).
   * @throws {InvalidInputError} If something is wrong with it. Nothing is stored.
   */
  async create(
    input: ScheduleInput,
    by: string,
    { idempotency, limits = {} }: { idempotency?: IdempotencyKey; limits?: ScheduleLimits } = {},
  ): Promise<{ schedule: Schedule; created: boolean }> {
    const wanted = await this.#check(input);
    const now = this.core.clock.now();
    const schedule: Schedule = {
      ...wanted,
      id: newId(now),
      paused: false,
      next_at: nextAfter(wanted, now),
      last_at: null,
      last_task_id: null,
      last_error: null,
      recent_tasks: [],
      missed_at: null,
      created_at: now,
      created_by: by,
    };
    const made = async (changeset: Changeset): Promise<Schedule | null> => {
      if (!idempotency) return null;
      const body = idempotency.body ?? fingerprint(input);
      const of = [schedule.id];
      const known = await claimIdempotencyKey(
        this.core.kv,
        this.core.clock,
        changeset,
        idempotency,
        body,
        of,
        keys.schedule,
      );
      return known && await this.get(known[0]);
    };
    // A repeated request is answered even if the limits are reached by now.
    const before = await made(emptyChangeset());
    if (before) return { schedule: before, created: false };
    const others = await this.list();
    const { most = Infinity, perHour = Infinity } = limits;
    if (others.length >= most) refuse("", `At most ${most.toLocaleString("en")} schedules are allowed.`);
    assertLoad([...others, schedule], perHour, "/cron");
    while (true) {
      const changeset = emptyChangeset(`schedule:${schedule.id}`);
      putSchedule(changeset, null, schedule);
      const known = await made(changeset);
      if (known) return { schedule: known, created: false };
      await this.#refer(changeset, schedule);
      if (!await this.core.committer.commitUnlessConflict(changeset)) continue;
      this.core.notifier.due(schedule.next_at!);
      return { schedule, created: true };
    }
  }

  /**
   * Replaces what a schedule submits, and when. Its id, its history and whether it is paused stay.
   *
   * @param change Makes what it is to be of what it is; called again if someone else changes it meanwhile.
   * @param limits How many there may be, and how often they may start. Default: no limit.
   *
   * @throws {NotFoundError} If there is none.
   * @throws {InvalidInputError} If something is wrong with it. Nothing is stored.
   */
  async replace(
    id: string,
    change: (schedule: Schedule) => ScheduleInput,
    { perHour = Infinity }: ScheduleLimits = {},
  ): Promise<Schedule> {
    return (await this.#change(id, async (before) => {
      const wanted = await this.#check(change(before));
      const all = await this.list();
      assertLoad(all.map((one) => one.id === id ? { ...one, ...wanted } : one), perHour, "/cron");
      const isRetimed = before.cron !== wanted.cron || before.timezone !== wanted.timezone;
      const next_at = before.paused
        ? null
        : isRetimed || before.next_at === null
        ? nextAfter(wanted, this.core.clock.now())
        : before.next_at;
      return { ...before, ...wanted, next_at, last_error: null };
    }))!;
  }

  /** Keeps the uploads of a schedule as long as it exists. */
  #refer(changeset: Changeset, schedule: Schedule): Promise<void> {
    const input_params = schedule.submission.input_params as Json ?? {};
    return this.uploads.refer(changeset, [{ ...schedule, input_params }], () => "");
  }

  /** Checks what makes a schedule, and adds its defaults. */
  async #check(input: ScheduleInput): Promise<Required<ScheduleInput> & Pick<Schedule, "uploads">> {
    const { cron, timezone = "UTC", missed = "skip", submission, name = submission.task_type } = input;
    const { max_lateness_ms = MAX_LATENESS_MS } = input;
    assertTimes(cron, timezone);
    const { state } = await this.submitter.prepare(submission);
    if (nextAfter({ cron, timezone }, this.core.clock.now()) === null) {
      refuse("/cron", "This expression has no future time.");
    }
    return { name, cron, timezone, missed, max_lateness_ms, submission, uploads: state.task.uploads };
  }

  /**
   * The next times of a schedule that does not exist yet.
   *
   * @throws {InvalidInputError} If the expression or the time zone is invalid.
   */
  preview(cron: string, timezone: string, count: number): number[] {
    assertTimes(cron, timezone);
    return timesBetween({ cron, timezone }, this.core.clock.now() + 1, Infinity, count);
  }

  /** All schedules, oldest first. */
  async list(): Promise<Schedule[]> {
    const found: Schedule[] = [];
    for await (const entry of this.core.kv.list({ prefix: keys.schedules() }, { batchSize: 500 })) {
      found.push(decodeSchedule(entry.value));
    }
    return found;
  }

  /**
   * Reads a schedule.
   *
   * @throws {NotFoundError} If there is none.
   */
  async get(id: string): Promise<Schedule> {
    return decodeSchedule((await this.#read(id)).value);
  }

  /**
   * Pauses a schedule or resumes it from its next time. Missed ticks are not made up for.
   *
   * @throws {NotFoundError} If there is none.
   */
  async setPaused(id: string, paused: boolean, { perHour = Infinity }: ScheduleLimits = {}): Promise<Schedule> {
    if (!paused) {
      const all = await this.list();
      assertLoad(all.map((one) => one.id === id ? { ...one, paused } : one), perHour, "");
    }
    return (await this.#change(id, (schedule) => ({
      ...schedule,
      paused,
      next_at: paused ? null : schedule.next_at ?? nextAfter(schedule, this.core.clock.now()),
    })))!;
  }

  /**
   * Deletes a schedule. The tasks that it created stay.
   *
   * @throws {NotFoundError} If there is none.
   */
  async delete(id: string): Promise<void> {
    await this.#change(id, () => null);
  }

  /**
   * Submits its task now, in addition to its regular times.
   *
   * @param admit Refuses what is about to be submitted by throwing. Default: nothing is refused.
   * @returns The task, and whether it is new (false: there is one with its unique key).
   * @throws {NotFoundError} If there is none.
   * @throws {InvalidInputError} If its submission is not valid any more.
   */
  async trigger(
    id: string,
    by?: string,
    idempotency?: IdempotencyKey,
    admit?: Admit,
  ): Promise<{ id: string; created: TaskState | null }> {
    const { submission } = await this.get(id);
    await admit?.([submission.task_type]);
    const made = await this.submitter.submit({ ...submission, schedule_id: id, submitted_by: by }, idempotency);
    if (made.created) await this.#note(id, [made.id]);
    return made;
  }

  /**
   * Submits its task for each of its times in a window of the past, oldest first: all of them or none.
   *
   * @param from The first time, milliseconds since the epoch.
   * @param to The end, which does not belong to it.
   * @param admit Refuses what is about to be submitted by throwing. Default: nothing is refused.
   * @returns The tasks, and whether they are new (false: the idempotency key was used before).
   * @throws {NotFoundError} If there is no such schedule.
   * @throws {InvalidInputError} If the window is not in the past, or has no time or more than {@linkcode MAX_BATCH}.
   */
  async backfill(
    id: string,
    from: number,
    to: number,
    by?: string,
    idempotency?: IdempotencyKey,
    admit?: Admit,
  ): Promise<{ ids: string[]; created: TaskState[] | null }> {
    const schedule = await this.get(id);
    const times = this.#timesIn(schedule, from, to);
    const { submission } = schedule;
    await admit?.(times.map(() => submission.task_type));
    const submissions = times.map((at) => ({ ...submission, schedule_id: id, scheduled_for: at, submitted_by: by }));
    const made = await this.submitter.submitBatch(submissions, idempotency);
    if (made.created) await this.#note(id, made.ids);
    return made;
  }

  /** The times of a schedule in a window of the past. */
  #timesIn(schedule: Schedule, from: number, to: number): number[] {
    if (from >= to) refuse("/to", "It must be later than from.");
    if (to > this.core.clock.now()) refuse("/to", "It must be in the past.");
    if (schedule.submission.unique) refuse("", "Its tasks have a unique key, so that there can be only one of them.");
    const times = timesBetween(schedule, from, to, MAX_BATCH + 1);
    if (times.length > MAX_BATCH) refuse("/to", `The window has more than ${MAX_BATCH} times.`);
    if (times.length === 0) refuse("/to", "The window has no time of this schedule.");
    return times;
  }

  /** Remembers tasks that it has submitted when asked to. */
  async #note(id: string, tasks: string[]): Promise<void> {
    await foundOrNull(this.#change(id, (schedule) => withTask(schedule, ...tasks)));
  }

  /** Processes a `tick` entry that is due. */
  async tick(entry: Deno.KvEntry<unknown>): Promise<void> {
    const at = entry.key[1] as number;
    const id = entry.key[2] as string;
    const stored = await this.core.kv.get(keys.schedule(id));
    const schedule = stored.value ? decodeSchedule(stored.value) : null;
    if (schedule?.next_at !== at) return await this.core.committer.deleteIfUnchanged(entry);
    const now = this.core.clock.now();
    const next = nextAfter(schedule, at);
    const late = now - at > schedule.max_lateness_ms || next !== null && next <= now;
    const after: Schedule = { ...schedule, next_at: late ? nextAfter(schedule, now) : next };
    const changeset = emptyChangeset(`schedule:${id}`);
    if (late) {
      after.missed_at = now;
      this.core.log.warn("Ticks of a schedule were missed.", { schedule: id, since: at, policy: schedule.missed });
    }
    if (!late || schedule.missed === "once") {
      try {
        const made = await this.submitter.prepare({ ...schedule.submission, schedule_id: id, scheduled_for: at });
        if (made.duplicate) after.last_error = `Not submitted: task ${made.duplicate} has the same unique key.`;
        else {
          merge(changeset, made.changeset);
          const { id: task } = made.state.task;
          Object.assign(after, withTask(after, task), { last_at: now, last_task_id: task, last_error: null });
        }
      } catch (error) {
        if (!(error instanceof QueueError)) throw error;
        // The type may have been removed or changed: the schedule records the error and goes on.
        after.last_error = error.message.slice(0, 1_000);
        this.core.log.error("A schedule could not submit its task.", { schedule: id, error });
      }
    }
    putSchedule(changeset, schedule, after);
    changeset.checks.push({ key: stored.key, versionstamp: stored.versionstamp });
    if (await this.core.committer.commitUnlessConflict(changeset) && after.next_at !== null) {
      this.core.notifier.due(after.next_at);
    }
  }

  async #read(id: string): Promise<Entry> {
    const entry = isId(id) ? await this.core.kv.get(keys.schedule(id)) : null;
    if (!entry?.value) throw new NotFoundError(`Schedule ${id.slice(0, 64)}`);
    return entry;
  }

  async #change(
    id: string,
    next: (schedule: Schedule) => Schedule | null | Promise<Schedule | null>,
  ): Promise<Schedule | null> {
    while (true) {
      const entry = await this.#read(id);
      const before = decodeSchedule(entry.value);
      const after = await next(before);
      const changeset = emptyChangeset(`schedule:${id}`);
      changeset.checks.push({ key: entry.key, versionstamp: entry.versionstamp });
      putSchedule(changeset, before, after);
      if (after && after.uploads !== before.uploads) await this.#refer(changeset, after);
      try {
        await this.#commit(changeset, after);
        return after;
      } catch (error) {
        if (!(error instanceof ConflictError)) throw error;
      }
    }
  }

  async #commit(changeset: Changeset, schedule: Schedule | null): Promise<void> {
    await this.core.committer.commit(changeset);
    if (schedule?.next_at) this.core.notifier.due(schedule.next_at);
  }
}
