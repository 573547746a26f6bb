/**
 * What all instances know about mail: to whom nothing may be sent, and how much each server was given.
 *
 * @module
 */

import type { Core } from "../core.ts";
import { emptyChangeset } from "../store/changeset.ts";
import { decode, encode } from "../store/codec.ts";
import { keys } from "../store/keys.ts";
import { getAll } from "../store/kv.ts";

/** An address to which no mailing sends. */
export interface Suppression {
  /** In lower case. */
  address: string;
  /** Why; empty if nobody said. */
  reason: string;
  /** Milliseconds since the epoch. */
  added_at: number;
  /** Who added it; null: code in the same process. */
  added_by: string | null;
}

/** How many messages a server was given in the current hour and day (UTC). */
interface Sent {
  hour: number;
  in_hour: number;
  day: number;
  in_day: number;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Addresses are kept as they are compared. */
function canonical(address: string): string {
  return address.trim().toLowerCase();
}

/** The suppression list, and what servers have sent. */
export class MailLedger {
  /** @ignore */
  constructor(private readonly core: Core) {}

  /** Adds addresses to the suppression list; one that is on it stays as it is. Returns how many are new. */
  async suppress(addresses: string[], reason: string, by: string | null): Promise<number> {
    const wanted = [...new Set(addresses.map(canonical))];
    const entries = await getAll(this.core.kv, wanted.map(keys.suppressed));
    const fresh = wanted.filter((_, i) => entries[i].value === null);
    const changeset = emptyChangeset("suppressed");
    for (const address of fresh) {
      const value: Suppression = { address, reason, added_at: this.core.clock.now(), added_by: by };
      changeset.puts.push({ key: keys.suppressed(address), value: encode(value) });
    }
    if (fresh.length > 0) await this.core.committer.commit(changeset);
    return fresh.length;
  }

  /** Takes an address off the suppression list. Returns whether it was on it. */
  async unsuppress(address: string): Promise<boolean> {
    const key = keys.suppressed(canonical(address));
    if ((await this.core.kv.get(key)).value === null) return false;
    await this.core.committer.commit({ ...emptyChangeset("suppressed"), deletes: [key] });
    return true;
  }

  /** The suppression list, by address, from after `after` on. */
  async suppressions(limit: number, after = ""): Promise<{ suppressions: Suppression[]; next: string | null }> {
    const prefix = keys.allSuppressed();
    const start = [...prefix, `${canonical(after)}\u0000`];
    const selector = after === "" ? { prefix } : { start, end: [...prefix, "\u{10ffff}"] };
    const found: Suppression[] = [];
    for await (const { value } of this.core.kv.list<Uint8Array<ArrayBuffer>>(selector, { limit: limit + 1 })) {
      found.push(decode<Suppression>(value));
    }
    const suppressions = found.slice(0, limit);
    return { suppressions, next: found.length > limit ? suppressions.at(-1)!.address : null };
  }

  /** Which of some addresses are on the suppression list. */
  async suppressed(addresses: string[]): Promise<boolean[]> {
    const entries = await getAll(this.core.kv, addresses.map((address) => keys.suppressed(canonical(address))));
    return entries.map(({ value }) => value !== null);
  }

  /**
   * Counts one more message by a server, if its limits by hour and day allow it.
   *
   * @returns 0, or how long to wait before it is asked again, in milliseconds.
   */
  async take(server: string, { perHour, perDay }: { perHour: number | null; perDay: number | null }): Promise<number> {
    const key = keys.mailSent(server);
    while (true) {
      const now = this.core.clock.now();
      const [hour, day] = [Math.floor(now / HOUR_MS), Math.floor(now / DAY_MS)];
      const entry = await this.core.kv.get<Uint8Array<ArrayBuffer>>(key);
      const before = entry.value ? decode<Sent>(entry.value) : null;
      const sent: Sent = {
        hour,
        in_hour: before?.hour === hour ? before.in_hour : 0,
        day,
        in_day: before?.day === day ? before.in_day : 0,
      };
      if (perDay !== null && sent.in_day >= perDay) return (day + 1) * DAY_MS - now;
      if (perHour !== null && sent.in_hour >= perHour) return (hour + 1) * HOUR_MS - now;
      const changeset = emptyChangeset(`mail:${server}`);
      changeset.checks.push({ key, versionstamp: entry.versionstamp });
      changeset.puts.push({ key, value: encode({ ...sent, in_hour: sent.in_hour + 1, in_day: sent.in_day + 1 }) });
      if (await this.core.committer.commitUnlessConflict(changeset)) return 0;
    }
  }
}
