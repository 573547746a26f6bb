/**
 * Sign-ins that were ended before they expired. A sign-in itself is a signed cookie and is not stored.
 *
 * @module
 */

import { randomBytes } from "node:crypto";
import type { Core } from "../core.ts";
import { decode, encode } from "../store/codec.ts";
import { keys } from "../store/keys.ts";
import { RecentMap } from "../recent_map.ts";
import { emptyChangeset } from "../store/changeset.ts";

/** Ended sign-ins that are cached. */
const REMEMBERED = 1_000;

/** Knows which sign-ins were ended. */
export class Sessions {
  readonly #ended = new RecentMap<string, true>(REMEMBERED);

  /** @ignore */
  constructor(private readonly core: Core) {}

  /** The key that cookies of people are signed with: all instances have the same, which is made by the first. */
  async key(): Promise<string> {
    const key = keys.sessionKey();
    while (true) {
      const entry = await this.core.kv.get(key);
      if (entry.value) return decode<string>(entry.value);
      const changeset = emptyChangeset("session_key");
      changeset.checks.push({ key, versionstamp: null });
      changeset.puts.push({ key, value: encode(randomBytes(32).toString("hex")) });
      await this.core.committer.commitUnlessConflict(changeset);
    }
  }

  /** Ends a sign-in for good. `expiresAt` is when it would have expired, in milliseconds since the epoch. */
  async end(id: string, expiresAt: number): Promise<void> {
    const expireIn = Math.max(1, expiresAt - this.core.clock.now());
    const changeset = emptyChangeset(`session:${id}`);
    changeset.puts.push({ key: keys.endedSession(id), value: encode(0), expireIn });
    await this.core.committer.commit(changeset);
    this.#ended.set(id, true);
  }

  /** Whether a sign-in was ended, here or by another instance. */
  async isEnded(id: string): Promise<boolean> {
    return this.#ended.has(id) || (await this.core.kv.get(keys.endedSession(id))).value !== null;
  }
}
