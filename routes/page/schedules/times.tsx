/**
 * Times of a schedule as people check them: with their weekday and their zone.
 *
 * @module
 */

import type { JSX } from "preact";

/** Mon 30 Nov 2026, 07:30 Europe/Berlin. */
export function timeInZone(ms: number, timezone: string): string {
  const parts = Object.fromEntries(
    new Intl.DateTimeFormat("en-GB", {
      timeZone: timezone,
      weekday: "short",
      day: "numeric",
      month: "short",
      year: "numeric",
      hour: "2-digit",
      minute: "2-digit",
      hourCycle: "h23",
    }).formatToParts(ms).map(({ type, value }) => [type, value]),
  );
  return `${parts.weekday} ${parts.day} ${parts.month} ${parts.year}, ${parts.hour}:${parts.minute} ${timezone}`;
}

/** The next times, as a list. */
export function NextTimes({ times, timezone }: { times: number[]; timezone: string }): JSX.Element {
  return (
    <ol class="times">
      {times.map((at) => (
        <li key={at}>
          <time dateTime={new Date(at).toISOString()}>{timeInZone(at, timezone)}</time>
        </li>
      ))}
    </ol>
  );
}
