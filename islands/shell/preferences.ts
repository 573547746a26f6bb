/**
 * The user's preferences for how the page looks and what it announces: kept in a cookie, so that the server renders
 * them without a flash.
 *
 * @module
 */

import type { Preferences } from "../app/state.ts";

/** Name of the cookie. */
export const PREFERENCES_COOKIE = "millrace_page";

const THEMES = ["system", "light", "dark"] as const;
const DENSITIES = ["comfortable", "compact"] as const;
const TIMES = ["relative", "local", "utc"] as const;
const ANNOUNCEMENTS = ["all", "errors", "off"] as const;

function oneOf<T extends string>(value: string | null, all: readonly T[]): T {
  return all.find((one) => one === value) ?? all[0];
}

/** Parses a cookie's value; unknown values become the default. */
export function parsePreferences(text: string): Preferences {
  const query = new URLSearchParams(text);
  let zone = query.get("zone") ?? "UTC";
  try {
    new Intl.DateTimeFormat("en", { timeZone: zone });
  } catch {
    zone = "UTC";
  }
  return {
    theme: oneOf(query.get("theme"), THEMES),
    density: oneOf(query.get("density"), DENSITIES),
    time: { format: oneOf(query.get("time"), TIMES), zone },
    shortcuts: query.get("shortcuts") !== "off",
    announce: oneOf(query.get("announce"), ANNOUNCEMENTS),
  };
}

/** Keeps them for a year, in the browser only. */
export function savePreferences({ theme, density, time, shortcuts, announce }: Preferences): void {
  const value = new URLSearchParams({ theme, density, time: time.format, zone: time.zone, announce });
  if (!shortcuts) value.set("shortcuts", "off");
  document.cookie = `${PREFERENCES_COOKIE}=${
    encodeURIComponent(String(value))
  }; Path=/; Max-Age=31536000; SameSite=Strict`;
}
