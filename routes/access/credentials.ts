/**
 * Who a request is from: by a token of the settings, a token that was made at run time, or the cookie of a sign-in.
 *
 * @module
 */

import type { Context } from "hono";
import { getCookie, getSignedCookie, setSignedCookie } from "hono/cookie";
import { timingSafeEqual } from "node:crypto";
import type { StoredToken } from "../../queue/access/tokens.ts";
import type { AppEnv, AppOptions, Credential, Principal } from "../env.ts";
import { addressOf, isSecure, withBase } from "../http/address.ts";
import type { AuthThrottle } from "../limits/auth_throttle.ts";
import { type Role, ROLES } from "../settings.ts";

/** Name of the cookie of a sign-in. */
export const SESSION_COOKIE = "millrace_session";
/** How long a sign-in lasts: 12 hours. */
const SESSION_S = 12 * 3_600;

/** Whether callers must say who they are. */
export function hasAuth({ tokens, oidc }: Pick<AppOptions, "tokens" | "oidc">): boolean {
  return tokens.length > 0 || oidc !== undefined;
}

function sameSecret(a: string, b: string): boolean {
  const encoder = new TextEncoder();
  const [left, right] = [encoder.encode(a), encoder.encode(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

function ofStored(token: StoredToken): Credential | undefined {
  const role = ROLES.find((role) => role === token.role);
  if (!role) return undefined;
  const { id, name, task_types, rate, expires_at } = token;
  const principal: Principal = { name, role, token_id: id };
  if (task_types) principal.task_types = task_types;
  if (rate !== null) principal.rate = rate;
  if (expires_at !== null) principal.expires_at = expires_at;
  return { name, principal, key: token.hash };
}

/**
 * The credential with this secret, or undefined.
 *
 * @throws {Problem} 429 after too many invalid ones.
 */
export async function checkToken(
  c: Context<AppEnv>,
  secret: string,
  options: AppOptions,
  guesses: AuthThrottle,
): Promise<Credential | undefined> {
  const address = addressOf(c, options);
  guesses.assertMayTry(address, secret);
  const token = options.tokens.find((token) => sameSecret(token.secret, secret));
  if (token) {
    guesses.right(address, secret);
    return { name: token.name, principal: { name: token.name, role: token.role }, key: token.secret };
  }
  // Counted before the store is asked: many guesses at the same time are as many guesses.
  const isKnown = guesses.isKnown(address, secret);
  if (!isKnown) guesses.wrong(address, secret);
  const stored = await options.queue.tokens.withSecret(secret);
  const found = stored ? ofStored(stored) : undefined;
  if (found) {
    if (!isKnown) guesses.forgive(address);
    guesses.right(address, secret);
  } else if (isKnown) guesses.wrong(address, secret);
  return found;
}

/** Signs a caller in: the cookie names them and is signed with the key of their credential. */
export async function signIn(
  c: Context<AppEnv>,
  { name, principal, key }: Credential,
  options: Pick<AppOptions, "clock" | "trustedProxies" | "publicUrl">,
): Promise<void> {
  const ends = Math.min(options.clock.now() + SESSION_S * 1000, principal.expires_at ?? Infinity);
  const value = `${name}:${ends}:${crypto.randomUUID()}`;
  await setSignedCookie(c, SESSION_COOKIE, value, key, {
    httpOnly: true,
    sameSite: "Strict",
    path: withBase("/", options.publicUrl),
    maxAge: SESSION_S,
    secure: options.publicUrl?.protocol === "https:" || isSecure(c, options),
  });
}

/** The credentials that a name can be of. */
async function named(name: string, { tokens, oidc, queue }: AppOptions): Promise<Credential[]> {
  const set = tokens.filter((token) => token.name === name)
    .map(({ name, role, secret }) => ({ name, principal: { name, role }, key: secret }));
  if (set.length > 0) return set;
  const person = oidc ? personOf(name, oidc.sessionKey) : undefined;
  if (person) return [person];
  const stored = await queue.tokens.named(name);
  const credential = stored ? ofStored(stored) : undefined;
  return credential ? [credential] : [];
}

/** The credential of a person whose identity provider has given them a role. */
export function personOf(name: string, key: string): Credential | undefined {
  const [, role, person] = /^oidc\/([a-z]+)\/(.+)$/.exec(name) ?? [];
  if (!person || !(ROLES as readonly string[]).includes(role)) return undefined;
  return { name, principal: { name: decodeURIComponent(person), role: role as Role }, key };
}

/** Who is signed in according to the request's cookie; undefined: nobody. */
export async function fromCookie(c: Context, options: AppOptions): Promise<Principal | undefined> {
  const raw = getCookie(c, SESSION_COOKIE);
  // What it says is believed once its signature fits.
  const name = /^(.*):\d+:[\w-]+\./.exec(raw ?? "")?.[1];
  if (name === undefined) return undefined;
  for (const { principal, key } of await named(name, options)) {
    const value = await getSignedCookie(c, key, SESSION_COOKIE);
    if (!value) continue;
    const match = /^(.*):(\d+):([\w-]+)$/.exec(value);
    const expires_at = Number(match?.[2]);
    const session = match?.[3];
    if (match?.[1] !== name || session === undefined || expires_at <= options.clock.now()) continue;
    if (!await options.queue.sessions.isEnded(session)) return { ...principal, session, expires_at };
  }
  return undefined;
}
