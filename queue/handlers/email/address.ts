/**
 * Mail addresses: read, checked, and in the form that goes over the wire.
 *
 * @module
 */

import { domainToASCII } from "node:url";
import addressparser from "nodemailer/lib/addressparser";

/** Somebody's address. */
export interface Address {
  /** A name to show; empty if there is none. */
  name: string;
  /** The address, its domain in ASCII: `info@xn--mller-kva.example`. */
  address: string;
}

/** Characters of an address with its name. */
export const MAX_ADDRESS = 400;

/** An atom of a local part (RFC 5322, 3.2.3), with the letters of all languages (RFC 6532, 3.2). */
const ATOM = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~\\p{L}\\p{M}\\p{N}-]+";
const LOCAL = new RegExp(`^${ATOM}(?:\\.${ATOM})*$`, "u");
const LABEL = /^(?!-)[a-z0-9-]{1,63}(?<!-)$/;

/**
 * Reads `a@b.example` or `Name <a@b.example>`; null if it is neither. It holds nothing that could become a header or a
 * second address.
 */
export function parseAddress(text: string): Address | null {
  // deno-lint-ignore no-control-regex
  if (text.length > MAX_ADDRESS || /[\u0000-\u001f\u007f]/.test(text)) return null;
  const trimmed = text.trim();
  const bare = addressOf(trimmed);
  if (bare !== null) return { name: "", address: bare };
  const [found, ...others] = addressparser(trimmed, { flatten: true });
  if (!found?.address || others.length > 0 || !trimmed.endsWith(`<${found.address}>`)) return null;
  const address = addressOf(found.address);
  return address === null ? null : { name: found.name, address };
}

/** An address whose domain is in ASCII; null if it is none. Lengths are those of RFC 5321, 4.5.3.1. */
function addressOf(text: string): string | null {
  const at = text.lastIndexOf("@");
  const local = text.slice(0, Math.max(0, at));
  const domain = text.slice(at + 1);
  if (!LOCAL.test(local) || new TextEncoder().encode(local).length > 64) return null;
  if (!/^[\p{L}\p{M}\p{N}.。-]+$/u.test(domain)) return null;
  const ascii = domainToASCII(domain);
  const labels = ascii.split(".");
  if (labels.length < 2 || !labels.every((label) => LABEL.test(label)) || /^\d+$/.test(labels.at(-1)!)) return null;
  const address = `${local}@${ascii}`;
  return new TextEncoder().encode(address).length <= 254 ? address : null;
}

/** The address alone, its domain in ASCII; a text that is no address stays as it is. */
export function bareAddress(text: string): string {
  return parseAddress(text)?.address ?? text;
}

/** Whether only a server that supports SMTPUTF8 (RFC 6531) takes the address. */
export function needsUtf8(address: string): boolean {
  // deno-lint-ignore no-control-regex
  return /[^\u0000-\u007f]/.test(address);
}

/** What is the same for two addresses of one mailbox, as far as one can know: hardly any server tells case apart. */
export function mailboxOf(address: string): string {
  return address.toLowerCase();
}
