/**
 * Where a request comes from: `X-Forwarded-For` and `X-Forwarded-Proto` are accepted from trusted proxies only. And the
 * address under which clients reach the service behind a proxy, `PUBLIC_URL`: the addresses in the page are relative, those
 * in headers get the path of the public URL in front.
 *
 * @module
 */

import type { Context } from "hono";
import ipaddr from "ipaddr.js";
import { RecentMap } from "../../queue/recent_map.ts";
import { isTrusted } from "../network.ts";
import type { AppEnv, AppOptions } from "../env.ts";

type Options = Pick<AppOptions, "trustedProxies">;

/**
 * The address of the client: the last one in the chain that is not a trusted proxy. For IPv6 it is the /64 network,
 * because a client has 2^64 addresses (RFC 4291, 2.5.4).
 */
export function addressOf(c: Context<AppEnv>, { trustedProxies = [] }: Options): string {
  let address = c.env?.address ?? "";
  if (trustedProxies.length === 0) return clientAt(address);
  const forwarded = (c.req.header("X-Forwarded-For") ?? "").split(",").map((part) => part.trim()).filter(Boolean);
  while (forwarded.length > 0 && isTrusted(address, trustedProxies)) {
    const before = forwarded.pop()!;
    if (!ipaddr.isValid(before)) break;
    address = before;
  }
  return clientAt(address);
}

/** What addresses that were seen lately count as. */
const clients = new RecentMap<string, string>(1_000);

function clientAt(address: string): string {
  const known = clients.get(address);
  if (known !== undefined) return known;
  const client = clientOf(address);
  clients.set(address, client);
  return client;
}

function clientOf(address: string): string {
  if (!ipaddr.isValid(address)) return address;
  const parsed = ipaddr.process(address);
  if (parsed.kind() === "ipv4") return parsed.toString();
  return `${ipaddr.IPv6.networkAddressFromCIDR(`${parsed}/64`)}/64`;
}

/** Whether the client's own connection is encrypted. */
export function isSecure(c: Context<AppEnv>, { trustedProxies = [] }: Options): boolean {
  if (new URL(c.req.url).protocol === "https:") return true;
  return isTrusted(c.env?.address ?? "", trustedProxies) &&
    c.req.header("X-Forwarded-Proto")?.split(",").pop()?.trim().toLowerCase() === "https";
}

/** A place in the application, `/login` or `./?task=…`, as a header names it. */
export function withBase(place: string, publicUrl: URL | undefined): string {
  return basePathOf(publicUrl) + place.replace(/^\./, "");
}

/** The path of the application's place without the base path, whether the proxy has removed that or not. */
export function withoutBase(path: string, publicUrl: URL | undefined): string {
  const base = basePathOf(publicUrl);
  if (base === "" || path !== base && !path.startsWith(`${base}/`)) return path;
  return path.slice(base.length) || "/";
}

/** The path of the public URL without its last slash. */
function basePathOf(publicUrl: URL | undefined): string {
  return publicUrl?.pathname.replace(/\/$/, "") ?? "";
}
