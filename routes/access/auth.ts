/**
 * Who may call what: tokens and roles, the login's cookie, and the checks on Origin and Host.
 *
 * @module
 */

import type { Context, MiddlewareHandler } from "hono";
import type { Caller, Permission } from "../../queue/task/api_types.ts";
import type { AppEnv, AppOptions, Principal } from "../env.ts";
import { withBase } from "../http/address.ts";
import type { AuthThrottle } from "../limits/auth_throttle.ts";
import type { RequestLimits } from "../limits/request_limits.ts";
import { Problem } from "../http/problem.ts";
import { isLoopback, type Role, ROLES } from "../settings.ts";
import { checkToken, fromCookie, hasAuth } from "./credentials.ts";

const SAFE_METHODS = new Set(["GET", "HEAD", "OPTIONS"]);
/** Paths that a caller without a token may see. */
const OPEN_PATHS = /^\/(login(\/\w+)?$|static\/|(api\/health|livez|readyz)\/?$)/;

/** Refuses foreign hosts and origins, and callers without a token if tokens are set; then the caller is known. */
export function guard(
  options: AppOptions,
  guesses: AuthThrottle,
  requests: RequestLimits,
): MiddlewareHandler<AppEnv> {
  const isOpen = !hasAuth(options);
  return async (c, next) => {
    requests.assertAddress(c);
    assertHost(c, options);
    assertOrigin(c, options);
    if (isOpen) {
      c.set("principal", { name: "local", role: "admin" });
      return await next();
    }
    const bearer = /^Bearer (.+)$/i.exec(c.req.header("Authorization") ?? "")?.[1];
    const found = bearer ? await checkToken(c, bearer, options, guesses) : undefined;
    const principal = found?.principal ?? await fromCookie(c, options);
    if (principal) {
      c.set("principal", principal);
      requests.assertToken(principal);
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

/**
 * Refuses a token that may not submit and change tasks of a type.
 *
 * @throws {Problem} 403.
 */
export function assertType(c: Context<AppEnv>, ...types: string[]): void {
  const allowed = c.get("principal").task_types;
  const wrong = allowed && types.find((type) => !allowed.includes(type));
  if (wrong === undefined) return;
  throw new Problem(
    403,
    "forbidden",
    `This token is for tasks of ${allowed!.join(", ")}, not of ${wrong.slice(0, 64)}.`,
  );
}

/** Refuses a token that is for some types only where a message may submit any. */
export function requireAllTypes(): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    if (c.get("principal").task_types) {
      throw new Problem(403, "forbidden", "This token is for some types of tasks only.");
    }
    await next();
  };
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
function assertHost(c: Context<AppEnv>, options: AppOptions): void {
  const { host, publicUrl } = options;
  if (hasAuth(options) || !isLoopback(host)) return;
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
