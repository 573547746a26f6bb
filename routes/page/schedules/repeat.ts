/**
 * How often a schedule runs, as a person chooses it, and as a cron expression.
 *
 * @module
 */

import cronstrue from "cronstrue";

/** What there is to choose. */
export const REPEATS = {
  hourly: "Every hour",
  daily: "Every day",
  weekdays: "Every weekday (Monday to Friday)",
  weekly: "Every week",
  monthly: "Every month",
  cron: "Cron expression",
} as const;

/** One of {@linkcode REPEATS}. */
export type Repeat = keyof typeof REPEATS;

/** Days of the week, from Sunday, as cron counts them. */
export const WEEKDAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/** What is chosen; only the fields that the repeat needs count. */
export interface Chosen {
  repeat: Repeat;
  /** `07:30`; of an hourly one only the minutes count. */
  time: string;
  /** 0 (Sunday) to 6. */
  weekday: string;
  /** 1 to 31. */
  day: string;
  cron: string;
}

/** What a new schedule begins with. */
export const DAILY: Chosen = { repeat: "daily", time: "06:00", weekday: "1", day: "1", cron: "0 6 * * *" };

/** What a cron expression chooses. Whatever has no choice of its own is an expression. */
export function choiceOf(cron: string): Chosen {
  const chosen = { ...DAILY, cron };
  const [, minute, hour, day, weekday] = /^(\d{1,2}) (\d{1,2}|\*) (\d{1,2}|\*) \* (1-5|[0-6]|\*)$/.exec(cron) ?? [];
  if (minute === undefined) return { ...chosen, repeat: "cron" };
  const pad = (text: string) => text.padStart(2, "0");
  const time = `${hour === "*" ? "00" : pad(hour)}:${pad(minute)}`;
  if (hour === "*") return { ...chosen, time, repeat: day === "*" && weekday === "*" ? "hourly" : "cron" };
  if (day !== "*") return { ...chosen, time, day, repeat: weekday === "*" ? "monthly" : "cron" };
  if (weekday === "*") return { ...chosen, time, repeat: "daily" };
  return weekday === "1-5" ? { ...chosen, time, repeat: "weekdays" } : { ...chosen, time, weekday, repeat: "weekly" };
}

/** The cron expression of what is chosen; the time and the days are checked when the expression is. */
export function cronOf({ repeat, time, weekday, day, cron }: Chosen): string {
  const [hour = "", minute = ""] = time.split(":").map((part) => part.replace(/^0(?=\d)/, ""));
  switch (repeat) {
    case "hourly":
      return `${minute} * * * *`;
    case "daily":
      return `${minute} ${hour} * * *`;
    case "weekdays":
      return `${minute} ${hour} * * 1-5`;
    case "weekly":
      return `${minute} ${hour} * * ${weekday}`;
    case "monthly":
      return `${minute} ${hour} ${day} * *`;
    case "cron":
      return cron.trim();
  }
}

/** A cron expression in words: "At 07:30, Monday through Friday". */
export function cronWords(cron: string): string {
  try {
    return cronstrue.toString(cron, { use24HourTimeFormat: true, verbose: false });
  } catch {
    // What croner takes and cronstrue does not know has no words.
    return "";
  }
}
