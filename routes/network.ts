/**
 * Networks of IP addresses.
 *
 * @module
 */

import ipaddr from "ipaddr.js";

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
