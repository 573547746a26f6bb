/**
 * Whether the condition of a rule is met now, and what to say about it.
 *
 * @module
 */

import type { Core } from "../core.ts";
import { oldestReady } from "../background/health.ts";
import type { Schedule } from "../actions/schedules.ts";
import { keys } from "../store/keys.ts";
import type { PauseInfo } from "../task/api_types.ts";
import { endsSince } from "../watch/series.ts";
import { ALERT_TYPE, type Rule } from "./rule.ts";

/** Free bytes and all bytes of the store's disk; null: it is not on a disk. */
export type Disk = () => Promise<{ free: number; total: number } | null>;

/** What is looked at; each is read once for all rules. */
export interface Sources {
  core: Core;
  schedules(): Promise<Schedule[]>;
  pauses(): Promise<Map<string, PauseInfo>>;
  disk: Disk;
}

const minutes = (ms: number) => ms < 120_000 ? `${Math.round(ms / 1000)} s` : `${Math.round(ms / 60_000)} min`;
const percent = (share: number) => `${Math.round(100 * share)} %`;

/** Something that is wrong. */
export interface Finding {
  /** What it is about: a type, a schedule, an instance. */
  about: string;
  /** What is wrong, in words. */
  text: string;
}

/** Looks at the world once. */
export class Look {
  readonly #sources: Sources;
  readonly #now: number;
  readonly #read = new Map<string, Promise<unknown>>();

  constructor(sources: Sources) {
    this.#sources = sources;
    this.#now = sources.core.clock.now();
  }

  #once<T>(key: string, read: () => Promise<T>): Promise<T> {
    const known = this.#read.get(key) ?? read();
    this.#read.set(key, known);
    return known as Promise<T>;
  }

  /** What is wrong by a rule: what it is about, and a line that says it. Empty: nothing. */
  async wrong({ when, window }: Rule): Promise<Finding[]> {
    const { core, schedules, pauses, disk } = this.#sources;
    const ms = window * 1000;
    const ends = () => this.#once(`ends ${window}`, () => endsSince(core.kv, this.#now - ms, this.#now));
    const waits = () => this.#once("waits", () => oldestReady(core));
    const matters = (type: string) => {
      const wanted = "task_type" in when ? when.task_type : undefined;
      return (wanted === undefined || wanted === type) && type !== ALERT_TYPE && !core.registry.get(type)?.internal;
    };
    switch (when.kind) {
      case "failures":
        return [...await ends()].flatMap(([type, { failed, ended }]) => {
          if (!matters(type) || failed < when.count || failed < when.share * ended) return [];
          return [{ about: type, text: `${failed} of ${ended} ${type} failed within ${minutes(ms)}.` }];
        });
      case "oldest_waiting": {
        const paused = await this.#once("pauses", pauses);
        return Object.entries(await waits()).flatMap(([type, waited]) => {
          if (!matters(type) || paused.has(type) || waited <= when.older_than * 1000) return [];
          return [{ about: type, text: `The oldest ready ${type} has waited for ${minutes(waited)}.` }];
        });
      }
      case "nothing_ended": {
        const paused = await this.#once("pauses", pauses);
        const ended = await ends();
        return Object.entries(await waits()).flatMap(([type, waited]) => {
          if (!matters(type) || paused.has(type) || waited <= ms || (ended.get(type)?.ended ?? 0) > 0) return [];
          return [{ about: type, text: `No ${type} has ended for ${minutes(ms)}, and some wait.` }];
        });
      }
      case "schedule_missed":
        return (await this.#once("schedules", schedules))
          .filter(({ missed_at }) => missed_at !== null && missed_at > this.#now - ms)
          .map(({ id, name }) => ({ about: id, text: `Ticks of the schedule ${name} were missed.` }));
      case "instance_died": {
        const since = {
          start: [...keys.lostInstances(), this.#now - ms],
          end: [...keys.lostInstances(), this.#now + 1],
        };
        const lost = await this.#once(
          `lost ${window}`,
          () => Array.fromAsync(core.kv.list(since), ({ key }) => key[2] as string),
        );
        return lost.map((instance) => ({
          about: instance,
          text: `The instance ${instance} has died; its tasks were handed back.`,
        }));
      }
      case "disk_nearly_full": {
        const room = await this.#once("disk", disk);
        if (!room || room.free >= when.free_below * room.total) return [];
        return [{ about: "disk", text: `The store's disk has ${percent(room.free / room.total)} left.` }];
      }
    }
  }
}
