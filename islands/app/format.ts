/**
 * Values as people read them. English, and the same on the server and in the browser.
 *
 * @module
 */

/** 1,234.5 — at most three digits after the point. */
export function number(value: number): string {
  return value.toLocaleString("en-US", { maximumFractionDigits: 3 });
}

/** "1 task", "1,204 tasks". */
export function count(value: number, one: string, many = `${one}s`): string {
  return `${number(value)} ${value === 1 ? one : many}`;
}

/** 12 kB, 3.4 MB. */
export function bytes(size: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  let value = size;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value >= 10 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** 4 ms, 0.4 s, 12 s, 3 m 20 s, 2 h 5 m. Never negative: two clocks may differ. */
export function duration(ms: number): string {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 0.1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} m ${whole % 60} s`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} m`;
  return `${Math.round(minutes / 1440)} days`;
}

/** "just now", "3 m ago", "in 1 h 59 m": rounded, never down to a time that is not over yet. */
export function relative(ms: number, now: number): string {
  const away = now - ms;
  const seconds = Math.abs(away) / 1000;
  if (seconds < 2) return "just now";
  const whole = Math.round(seconds / 60) * 60_000;
  const short = seconds < 59.5 ? `${Math.round(seconds)} s` : duration(whole).replace(/ 0 [ms]$/, "");
  return away > 0 ? `${short} ago` : `in ${short}`;
}

/** How times are shown. */
export type TimeFormat = "relative" | "local" | "utc";

/** `zone` is an IANA time zone, for local times. */
export interface TimeStyle {
  format: TimeFormat;
  zone: string;
}

const formatters = new Map<string, Intl.DateTimeFormat>();

function formatter(zone: string, withDate: boolean): Intl.DateTimeFormat {
  const key = `${zone} ${withDate}`;
  let found = formatters.get(key);
  if (!found) {
    found = new Intl.DateTimeFormat("en-GB", {
      timeZone: zone,
      hourCycle: "h23",
      hour: "2-digit",
      minute: "2-digit",
      second: "2-digit",
      ...withDate ? { day: "numeric", month: "short", year: "numeric" } : {},
    });
    formatters.set(key, found);
  }
  return found;
}

/** 25 Nov 2026, 14:03:22 — in the zone of the style; UTC says so. */
export function absolute(ms: number, { format, zone }: TimeStyle): string {
  return format === "utc" ? `${formatter("UTC", true).format(ms)} UTC` : formatter(zone, true).format(ms);
}

/** 14:03:22, without its day. */
export function clockTime(ms: number, { format, zone }: TimeStyle): string {
  return formatter(format === "utc" ? "UTC" : zone, false).format(ms);
}

/** A time as the reader wants it. */
export function time(ms: number, now: number, style: TimeStyle): string {
  if (style.format === "relative") return relative(ms, now);
  const sameDay = absolute(ms, style).slice(0, 11) === absolute(now, style).slice(0, 11);
  return sameDay ? clockTime(ms, style) + (style.format === "utc" ? " UTC" : "") : absolute(ms, style);
}

/** The last six characters of an id: enough to tell two apart. */
export function shortId(id: string): string {
  return id.slice(-6).toLowerCase();
}

/** `num_rows` as "num rows". */
export function words(name: string): string {
  return name.replaceAll("_", " ");
}
