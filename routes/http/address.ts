/**
 * Where a request comes from, behind proxies that are trusted: their `X-Forwarded-For` and `X-Forwarded-Proto` are
 * believed, nobody else's.
 *
 * @module
 */

import type { Context } from "hono";
import ipaddr from "ipaddr.js";
import type { AppEnv, AppOptions } from "../env.ts";

/** A network: an address and the length of its prefix. */
export type Network = [ipaddr.IPv4 | ipaddr.IPv6, number];

/**
 * Reads an address or a network such as `10.0.0.0/8`.
 *
 * @throws {Error} If it is neither.
 */
export function parseNetwork(text: string): Network {
  if (text.includes("/")) return ipaddr.parseCIDR(text);
  const address = ipaddr.parse(text);
  return [address, address.kind() === "ipv4" ? 32 : 128];
}

/** Whether an address is in one of the networks. */
export function isTrusted(address: string, networks: readonly Network[]): boolean {
  if (!ipaddr.isValid(address)) return false;
  const parsed = ipaddr.process(address);
  return networks.some(([network, bits]) => network.kind() === parsed.kind() && parsed.match(network, bits));
}

type Options = Pick<AppOptions, "trustedProxies">;

/**
 * The address of the client: the last one in the chain that is no trusted proxy. Of IPv6 it is the network: whoever has
 * one has 2^64 addresses (RFC 4291, 2.5.4).
 */
export function addressOf(c: Context<AppEnv>, { trustedProxies = [] }: Options): string {
  let address = c.env?.address ?? "";
  const forwarded = (c.req.header("X-Forwarded-For") ?? "").split(",").map((part) => part.trim()).filter(Boolean);
  while (forwarded.length > 0 && isTrusted(address, trustedProxies)) {
    const before = forwarded.pop()!;
    if (!ipaddr.isValid(before)) break;
    address = before;
  }
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
