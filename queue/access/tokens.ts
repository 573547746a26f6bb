/**
 * Tokens that are made while the service runs. A secret is shown once; what is stored is its SHA-256 hash. That is enough
 * for a secret of 256 random bits, which nobody can guess from its hash.
 *
 * @module
 */

import { createHash, randomBytes } from "node:crypto";
import type { Core } from "../core.ts";
import { emptyChangeset } from "../store/changeset.ts";
import { decode, encode } from "../store/codec.ts";
import { keys } from "../store/keys.ts";
import { InvalidInputError, NotFoundError } from "../task/errors.ts";
import { isId, newId } from "../task/ids.ts";

/** The most tokens that are kept. */
export const MAX_TOKENS = 1_000;
/** How long tokens that were read count as current, in milliseconds: another instance may have revoked one since. */
const FRESH_MS = 2_000;

/** What a token is made of. */
export interface TokenInput {
  /** Who it stands for: unique among all tokens. */
  name: string;
  /** A name of a role. */
  role: string;
  /** The only types that it may submit and change; null: all. */
  task_types: string[] | null;
  /** When it stops to be valid, milliseconds since the epoch; null: never. */
  expires_at: number | null;
  /** Requests per second; null: as the settings say. */
  rate: number | null;
}

/** A token, without its secret. */
export interface StoredToken extends TokenInput {
  /** A ULID. */
  id: string;
  /** The SHA-256 hash of its secret, hexadecimal. */
  hash: string;
  /** Milliseconds since the epoch. */
  created_at: number;
  /** Who made it. */
  created_by: string;
}

const hashOf = (secret: string) => createHash("sha256").update(secret).digest("hex");

/** Keeps tokens. */
export class AccessTokens {
  #known: { at: number; tokens: Promise<StoredToken[]> } | null = null;

  /** @ignore */
  constructor(private readonly core: Core) {}

  /**
   * Makes a token.
   *
   * @param by Who asks.
   * @param reserved Names that others have.
   * @returns The token and its secret, which cannot be read again.
   * @throws {InvalidInputError} If its name is taken, it has expired already, or there are too many.
   */
  async create(
    input: TokenInput,
    by: string,
    reserved: string[] = [],
  ): Promise<{ token: StoredToken; secret: string }> {
    const refuse = (pointer: string, detail: string) => new InvalidInputError([{ pointer, detail }]);
    const now = this.core.clock.now();
    if (input.expires_at !== null && input.expires_at <= now) throw refuse("/expires_at", "It must be in the future.");
    const secret = `mr_${randomBytes(32).toString("base64url")}`;
    const token: StoredToken = { ...input, id: newId(now), hash: hashOf(secret), created_at: now, created_by: by };
    const byName = keys.tokenName(input.name);
    while (true) {
      const known = await this.core.kv.get(byName);
      const all = await this.#read();
      const taken = all.some(({ name, expires_at }) => name === input.name && (expires_at ?? Infinity) > now);
      if (taken || reserved.includes(input.name)) throw refuse("/name", "Another token has this name.");
      if (all.length >= MAX_TOKENS) throw refuse("", `There are ${MAX_TOKENS} tokens already.`);
      const changeset = emptyChangeset(`token:${input.name}`);
      changeset.checks.push({ key: byName, versionstamp: known.versionstamp });
      changeset.puts.push({ key: keys.token(token.hash), value: encode(token) }, {
        key: byName,
        value: encode(token.id),
      });
      if (await this.core.committer.commitUnlessConflict(changeset)) break;
    }
    this.#known = null;
    return { token, secret };
  }

  /** All tokens, also those that have expired, oldest first. */
  async list(): Promise<StoredToken[]> {
    return (await this.#read()).toSorted((a, b) => a.id < b.id ? -1 : 1);
  }

  /**
   * Revokes a token: it is not valid any more, here at once, and on other instances within {@linkcode FRESH_MS}.
   *
   * @returns The token that was.
   * @throws {NotFoundError} If there is none.
   */
  async revoke(id: string): Promise<StoredToken> {
    const token = isId(id) ? (await this.#read()).find((token) => token.id === id) : undefined;
    if (!token) throw new NotFoundError(`Token ${id.slice(0, 64)}`);
    const changeset = emptyChangeset(`token:${token.name}`);
    changeset.deletes.push(keys.token(token.hash));
    // Once it has expired, another one may have its name.
    const byName = await this.core.kv.get(keys.tokenName(token.name));
    if (byName.value && decode<string>(byName.value) === token.id) changeset.deletes.push(byName.key);
    await this.core.committer.commit(changeset);
    this.#known = null;
    return token;
  }

  /** The token with a secret, if it is valid now. */
  async withSecret(secret: string): Promise<StoredToken | null> {
    // Looked up by the hash of what was sent: how long that takes tells nothing about a secret.
    const { value } = await this.core.kv.get(keys.token(hashOf(secret)));
    return value === null ? null : this.#valid(decode<StoredToken>(value));
  }

  /** The token with a name, if it is valid. It may have been revoked elsewhere within the last {@linkcode FRESH_MS}. */
  async named(name: string): Promise<StoredToken | null> {
    const token = (await this.#recent()).find((token) => token.name === name && this.#valid(token));
    return token ?? null;
  }

  #valid(token: StoredToken): StoredToken | null {
    return token.expires_at !== null && token.expires_at <= this.core.clock.now() ? null : token;
  }

  #recent(): Promise<StoredToken[]> {
    const now = this.core.clock.monotonic();
    if (!this.#known || now - this.#known.at >= FRESH_MS) {
      const tokens = this.#read();
      this.#known = { at: now, tokens };
      tokens.catch(() => this.#known = null);
    }
    return this.#known.tokens;
  }

  #read(): Promise<StoredToken[]> {
    return Array.fromAsync(this.core.kv.list({ prefix: keys.tokens() }), ({ value }) => decode<StoredToken>(value));
  }
}
