/**
 * Who may call what: tokens and roles, the login's cookie, and the checks on Origin and Host.
 *
 * @module
 */

import { timingSafeEqual } from "node:crypto";
import type { Context, MiddlewareHandler } from "hono";
import { getSignedCookie, setSignedCookie } from "hono/cookie";
import type { Caller, Permission } from "../../queue/task/api_types.ts";
import type { AppEnv, AppOptions, Principal } from "../env.ts";
import { addressOf, isSecure, withBase } from "./address.ts";
import type { AuthThrottle } from "../limits/auth_throttle.ts";
import { Problem } from "./problem.ts";
import { isLoopback, type Role, ROLES, type Token } from "../settings.ts";

/** Name of the cookie of a sign-in. */
export const SESSION_COOKIE = "millrace_session";
/** How long a sign-in lasts: 12 hours. */
const SESSION_S = 12 * 3_600;
const SAFE_METHODS = new Set(["GET", "HEAD", "OPTIONS"]);
/** Paths that a caller without a token may see. */
const OPEN_PATHS = /^\/(login$|static\/|(api\/health|livez|readyz)\/?$)/;

function sameSecret(a: string, b: string): boolean {
  const encoder = new TextEncoder();
  const [left, right] = [encoder.encode(a), encoder.encode(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

function findToken(tokens: Token[], secret: string): Token | undefined {
  return tokens.find((token) => sameSecret(token.secret, secret));
}

/**
 * The token with this secret, or undefined.
 *
 * @throws {Problem} 429 after too many invalid ones.
 */
export function checkToken(
  c: Context<AppEnv>,
  secret: string,
  options: AppOptions,
  guesses: AuthThrottle,
): Token | undefined {
  const address = addressOf(c, options);
  guesses.assertMayTry(address, secret);
  const token = findToken(options.tokens, secret);
  if (token) guesses.right(address, secret);
  else guesses.wrong(address, secret);
  return token;
}

/** Signs a caller in: the cookie names the token and is signed with its secret, so it expires with the token. */
export async function signIn(
  c: Context<AppEnv>,
  token: Token,
  options: Pick<AppOptions, "clock" | "trustedProxies" | "publicUrl">,
): Promise<void> {
  const value = `${token.name}:${options.clock.now() + SESSION_S * 1000}:${crypto.randomUUID()}`;
  await setSignedCookie(c, SESSION_COOKIE, value, token.secret, {
    httpOnly: true,
    sameSite: "Strict",
    path: withBase("/", options.publicUrl),
    maxAge: SESSION_S,
    secure: options.publicUrl?.protocol === "https:" || isSecure(c, options),
  });
}

/** Who is signed in according to the request's cookie; undefined: nobody. */
export async function fromCookie(c: Context, { tokens, clock, queue }: AppOptions): Promise<Principal | undefined> {
  for (const { name, role, secret } of tokens) {
    const value = await getSignedCookie(c, secret, SESSION_COOKIE);
    if (!value) continue;
    const match = /^(.*):(\d+):([\w-]+)$/.exec(value);
    const expires_at = Number(match?.[2]);
    const session = match?.[3];
    if (match?.[1] !== name || session === undefined || expires_at <= clock.now()) continue;
    if (!await queue.sessions.isEnded(session)) return { name, role, session, expires_at };
  }
  return undefined;
}

/** Refuses foreign hosts and origins, and callers without a token if tokens are set; then the caller is known. */
export function guard(options: AppOptions, guesses: AuthThrottle): MiddlewareHandler<AppEnv> {
  const { tokens } = options;
  return async (c, next) => {
    assertHost(c, options);
    assertOrigin(c, options);
    if (tokens.length === 0) {
      c.set("principal", { name: "local", role: "admin" });
      return await next();
    }
    const bearer = /^Bearer (.+)$/i.exec(c.req.header("Authorization") ?? "")?.[1];
    const token = bearer ? checkToken(c, bearer, options, guesses) : undefined;
    const principal = token ? { name: token.name, role: token.role } : await fromCookie(c, options);
    if (principal) {
      c.set("principal", principal);
      return await next();
    }
    if (OPEN_PATHS.test(c.req.path)) return await next();
    if (c.req.method === "GET" && c.req.header("Accept")?.includes("text/html")) {
      return c.redirect(withBase("/login", options.publicUrl), 303);
    }
    throw new Problem(401, "unauthorized", "Send a token: Authorization: Bearer …", [], {
      "WWW-Authenticate": 'Bearer realm="millrace"',
    });
  };
}

/** Refuses callers below a role. */
export function requireRole(role: Role): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    if (!mayActAs(c.get("principal"), role)) {
      throw new Problem(403, "forbidden", `This requires the ${role} role; yours is ${c.get("principal").role}.`);
    }
    await next();
  };
}

/** Whether someone has a role or one above it. */
export function mayActAs(principal: Principal, role: Role): boolean {
  return ROLES.indexOf(principal.role) >= ROLES.indexOf(role);
}

/** Each permission, and the lowest role that has it. */
const PERMISSIONS: Record<Permission, Role> = {
  view: "viewer",
  submit: "operator",
  cancel: "operator",
  retry: "operator",
  pause: "operator",
  schedule: "operator",
  delete: "admin",
};

/** The caller, and what they may do. */
export function callerOf(principal: Principal): Caller {
  const { name, role } = principal;
  const all = Object.keys(PERMISSIONS) as Permission[];
  return { name, role, permissions: all.filter((permission) => mayActAs(principal, PERMISSIONS[permission])) };
}

function hostName(host: string): string {
  return host.replace(/:\d+$/, "");
}

/**
 * Without tokens, only local host names and that of the public URL are accepted: a foreign name that resolves here means
 * DNS rebinding.
 */
function assertHost(c: Context<AppEnv>, { tokens, host, publicUrl }: AppOptions): void {
  if (tokens.length > 0 || !isLoopback(host)) return;
  const asked = c.req.header("Host") ?? new URL(c.req.url).host;
  if (isLoopback(hostName(asked)) || asked === publicUrl?.host) return;
  throw new Problem(421, "misdirected", "This service answers only to localhost unless API_TOKENS is set.");
}

/** Rejects cross-site requests that change something or open the socket. */
function assertOrigin(c: Context<AppEnv>, { publicUrl }: AppOptions): void {
  const guarded = !SAFE_METHODS.has(c.req.method) || c.req.path === "/ws";
  if (guarded && !isSameOrigin(c, publicUrl)) {
    throw new Problem(403, "foreign_origin", "Requests from another origin are rejected.");
  }
}

function isSameOrigin(c: Context, publicUrl: URL | undefined): boolean {
  const site = c.req.header("Sec-Fetch-Site");
  if (site && site !== "same-origin" && site !== "none") return false;
  const origin = c.req.header("Origin");
  // Programs send no Origin. Browsers always send it for sockets and for requests that change something.
  if (!origin) return true;
  // A proxy may have changed the Host.
  if (origin === publicUrl?.origin) return true;
  return URL.canParse(origin) && new URL(origin).host === (c.req.header("Host") ?? new URL(c.req.url).host);
}
