/**
 * A role that one instance has at a time where several share a store. The instance that has it renews it. Another one
 * takes it if it was not renewed for a lease, by its own monotonic clock. This only saves work and guarantees nothing:
 * code that acts in the role must check its writes as if other instances had the role too.
 *
 * @module
 */

import type { Core } from "../core.ts";
import { decode, encode } from "../store/codec.ts";
import { keys } from "../store/keys.ts";
import { emptyChangeset } from "../store/changeset.ts";

/** A role is renewed every five minutes; an instance that has not renewed it for ten minutes loses it. */
const LEASE_MS = 600_000;

/** Holds a role, or waits for it. */
export class RoleLease {
  #seen: { versionstamp: string | null; since: number } = { versionstamp: null, since: 0 };
  #renewedAt = -Infinity;
  #asking: Promise<boolean> | null = null;

  constructor(private readonly core: Core, private readonly role: string) {}

  /** Whether this instance has the role. Renews it, or takes it if no other instance has it. */
  isMine(): Promise<boolean> {
    // The sole owner of the store has all roles.
    if (!this.core.distributed) return Promise.resolve(true);
    // Several jobs ask at once: they share one renewal.
    return this.#asking ??= this.#renew().finally(() => this.#asking = null);
  }

  async #renew(): Promise<boolean> {
    const now = this.core.clock.monotonic();
    const { key, value, versionstamp } = await this.core.kv.get(keys.role(this.role));
    const holder = value ? decode<string>(value) : null;
    if (versionstamp !== this.#seen.versionstamp) this.#seen = { versionstamp, since: now };
    const mine = holder === this.core.committer.instance;
    if (mine && now - this.#renewedAt < LEASE_MS / 2) return true;
    if (!mine && holder !== null && now - this.#seen.since < LEASE_MS) {
      // An instance that has ended has no heartbeat.
      if ((await this.core.kv.get(keys.instance(holder))).value) return false;
    }
    const changeset = emptyChangeset(`role:${this.role}`);
    changeset.checks.push({ key, versionstamp });
    changeset.puts.push({ key, value: encode(this.core.committer.instance) });
    if (!await this.core.committer.commitUnlessConflict(changeset)) return false;
    this.#renewedAt = now;
    return true;
  }
}
