/**
 * Values as people read them. English, and the same on the server and in the browser.
 *
 * @module
 */

/** 1,234.5 — at most three digits after the point. */
export function number(value: number): string {
  return value.toLocaleString("en-US", { maximumFractionDigits: 3 });
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

/** 0.4 s, 12 s, 3 m 20 s, 2 h 5 m. Never negative: two clocks may differ. */
export function duration(ms: number): string {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} m ${Math.round(seconds % 60)} s`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} m`;
  return `${Math.floor(minutes / 1440)} days`;
}

/** "just now", "3 m 20 s ago", "in 5 s". */
export function relative(time: string, now: number): string {
  const ms = now - Date.parse(time);
  if (Math.abs(ms) < 2_000) return "just now";
  const short = duration(Math.abs(ms)).replace(/(\d+ [mh]) .*/, "$1").replace(/\.\d+/, "");
  return ms > 0 ? `${short} ago` : `in ${short}`;
}

/** The last six characters of an id: enough to tell two apart. */
export function shortId(id: string): string {
  return id.slice(-6).toLowerCase();
}

/** `num_rows` as "num rows". */
export function words(name: string): string {
  return name.replaceAll("_", " ");
}
