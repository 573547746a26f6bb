/**
 * Rules of alerts: what is watched, and who is told.
 *
 * @module
 */

import * as z from "zod";
import { callbackUrl } from "../task/callback_url.ts";
import { TYPE_CHARS } from "../task/limits.ts";

/** The task type that delivers notices. */
export const ALERT_TYPE = "alert_delivery";

/** Who is told: by mail, or by a POST to a URL. */
export type Channel =
  | { kind: "mail"; to: string }
  | { kind: "webhook" | "slack" | "discord" | "ntfy"; url: string };

/** What is watched. Times are seconds; where a type may be named and is not, any type is meant. */
export type Condition =
  | { kind: "failures"; task_type?: string; count: number; share: number }
  | { kind: "oldest_waiting"; task_type?: string; older_than: number }
  | { kind: "nothing_ended"; task_type?: string }
  | { kind: "schedule_missed" }
  | { kind: "instance_died" }
  | { kind: "disk_nearly_full"; free_below: number };

/** What makes a rule. */
export interface RuleInput {
  /** What the notice calls it, at most 100 characters. */
  name: string;
  /** What is watched. */
  when: Condition;
  /** Seconds that are looked at, 60 to 86,400, a multiple of 60; a rule tells at most once within them. */
  window: number;
  /** Who is told, 1 to 10. */
  to: Channel[];
}

const taskType = z.string().min(1).max(TYPE_CHARS).optional().meta({ description: "Only this type. Default: any." });

/** Who is told, and how. */
export const channelSchema = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("mail"),
    to: z.email("This is not a mail address.").max(320),
  }),
  z.strictObject({
    kind: z.enum(["webhook", "slack", "discord", "ntfy"]).meta({
      description: "`webhook`: signed JSON (Standard Webhooks); the others: as these services take it.",
    }),
    url: callbackUrl,
  }).refine(({ kind, url }) => kind !== "ntfy" || /[^/]$/.test(new URL(url).pathname), {
    path: ["url"],
    message: "It ends with a topic, as in https://ntfy.sh/my-topic.",
  }),
]).meta({ id: "AlertChannel" }) satisfies z.ZodType<Channel>;

/** What a rule watches. */
export const conditionSchema = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("failures"),
    task_type: taskType,
    count: z.int().min(1).max(1_000_000).default(1).meta({
      description: "So many FAILED tasks of a type within the window.",
    }),
    share: z.number().min(0).max(1).default(0).meta({ description: "And so large a share of those that ended." }),
  }),
  z.strictObject({
    kind: z.literal("oldest_waiting"),
    task_type: taskType,
    older_than: z.number().min(1).max(30 * 86_400).meta({
      description: "Seconds that the oldest ready task has waited.",
    }),
  }),
  z.strictObject({ kind: z.literal("nothing_ended"), task_type: taskType }).meta({
    description: "Tasks of a type have waited for longer than the window, and none has ended within it.",
  }),
  z.strictObject({ kind: z.literal("schedule_missed") }),
  z.strictObject({ kind: z.literal("instance_died") }),
  z.strictObject({
    kind: z.literal("disk_nearly_full"),
    free_below: z.number().min(0).max(1).default(0.1).meta({ description: "A share of the store's disk." }),
  }),
]).meta({ id: "AlertCondition" }) satisfies z.ZodType<Condition>;

/** A rule as it is sent. */
export const ruleSchema = z.strictObject({
  name: z.string().regex(/^[^\p{Cc}]{1,100}$/u, "1 to 100 characters."),
  when: conditionSchema,
  window: z.int().min(60).max(86_400).multipleOf(60, "Whole minutes, in seconds.").default(900).meta({
    description: "Seconds that are looked at, a multiple of 60; a rule tells at most once within them.",
  }),
  to: z.array(channelSchema).min(1).max(10),
}) satisfies z.ZodType<RuleInput>;

/** A rule. */
export interface Rule extends RuleInput {
  /** A ULID, or `setting-` and a hash of one in the settings. */
  id: string;
  /** Who made it; null: the settings have it. */
  created_by: string | null;
}

/** Whether a rule is met, as it was told last. Times are milliseconds since the epoch. */
export interface RuleState {
  /** Whether it is met. */
  firing: boolean;
  /** Since when it is or is not. */
  since: number;
  /** What is wrong, or was. */
  detail: string;
  /** What it is about: types, schedules, instances. */
  about: string[];
  /** What of that was told. */
  told_about: string[];
  /** When it was last told that it is met. */
  told_at: number | null;
  /** Whether the present alarm was told. */
  told: boolean;
}

/** The state of a rule that was never looked at. */
export const CALM: RuleState = {
  firing: false,
  since: 0,
  detail: "",
  about: [],
  told_about: [],
  told_at: null,
  told: false,
};

/** A change that is told. */
export interface Notice {
  rule: string;
  /** Whether it is an alarm, that it is over, or a test. */
  kind: "alarm" | "recovery" | "test";
  detail: string;
}
