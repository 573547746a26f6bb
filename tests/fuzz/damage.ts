/** Random damage: to bytes, to requests, and JSON out of nothing. */

import { Buffer } from "node:buffer";
import type { Random } from "../../queue/handlers/random.ts";

/** A whole number from 0 to `below - 1`. */
export function upTo(random: Random, below: number): number {
  return Math.floor(random.next() * below);
}

/** One of a list. */
export function oneOf<T>(random: Random, list: readonly T[]): T {
  return list[upTo(random, list.length)];
}

function randomBytes(random: Random, count: number): Buffer {
  return Buffer.from(Array.from({ length: count }, () => upTo(random, 256)));
}

const WAYS: ((bytes: Buffer, random: Random) => Buffer)[] = [
  // Some bytes are others.
  (bytes, random) => {
    for (let i = 1 + upTo(random, 8); i > 0; i--) bytes[upTo(random, bytes.length)] = upTo(random, 256);
    return bytes;
  },
  // Numbers of a header are extreme.
  (bytes, random) => {
    const at = upTo(random, Math.min(400, bytes.length));
    bytes.fill(oneOf(random, [0, 0x7f, 0x80, 0xff]), at, Math.min(bytes.length, at + 1 + upTo(random, 4)));
    return bytes;
  },
  (bytes, random) => bytes.subarray(0, upTo(random, bytes.length)),
  (bytes, random) => {
    const at = upTo(random, bytes.length);
    return Buffer.concat([bytes.subarray(0, at), randomBytes(random, 1 + upTo(random, 64)), bytes.subarray(at)]);
  },
  (bytes, random) => {
    const at = upTo(random, bytes.length);
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + upTo(random, 64))]);
  },
  // A part comes twice.
  (bytes, random) => {
    const [from, to] = [upTo(random, bytes.length), upTo(random, bytes.length)].sort((a, b) => a - b);
    return Buffer.concat([bytes.subarray(0, to), bytes.subarray(from)]);
  },
  (_, random) => randomBytes(random, upTo(random, 600)),
];

/** A damaged copy. */
export function damaged(bytes: Uint8Array, random: Random): Buffer {
  const copy = Buffer.from(bytes);
  return copy.length === 0 ? copy : oneOf(random, WAYS)(copy, random);
}

const STRANGE = [
  null,
  true,
  "",
  "a",
  "\u0000",
  "\ud800",
  "x".repeat(5_000),
  "9".repeat(30),
  0,
  -1,
  1.5,
  1e300,
  -0,
  2 ** 53,
  "2030-13-45T99:99:99Z",
  "__proto__",
  "01J0000000000000000000000Z",
  "../../etc/passwd",
  "<script>",
];

/** A random JSON value, nested up to so many levels. */
export function randomJson(random: Random, levels = 5): unknown {
  const kind = random.next();
  if (levels === 0 || kind < 0.5) return oneOf(random, STRANGE);
  if (kind < 0.75) return Array.from({ length: upTo(random, 5) }, () => randomJson(random, levels - 1));
  return Object.fromEntries(
    Array.from({ length: upTo(random, 5) }, () => [String(oneOf(random, STRANGE)), randomJson(random, levels - 1)]),
  );
}

/** A value in which some parts are others. */
export function altered(value: unknown, random: Random): unknown {
  if (random.next() < 0.12) return randomJson(random, 3);
  if (Array.isArray(value)) return value.map((item) => altered(item, random));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(() => random.next() > 0.05)
    .map(([name, item]) => [random.next() < 0.05 ? String(oneOf(random, STRANGE)) : name, altered(item, random)]);
  return Object.fromEntries(entries);
}
