/**
 * Values are stored as UTF-8 JSON in a byte array. KV's own serialization counts a string twice as long as soon as
 * it holds one character above U+00FF; with bytes, a value's size is known exactly before it is written.
 *
 * @module
 */

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The largest value that KV takes: 65,536 bytes, less what KV adds around a byte array. */
export const MAX_VALUE_BYTES = 65_500;

/** Encodes a value for the store. */
export function encode(value: unknown): Uint8Array<ArrayBuffer> {
  return encoder.encode(JSON.stringify(value));
}

/** Decodes a stored value. */
export function decode<T>(bytes: unknown): T {
  return JSON.parse(decoder.decode(bytes as Uint8Array)) as T;
}

/** How many bytes a JSON value takes when it is stored. */
export function jsonSize(value: unknown): number {
  const text = JSON.stringify(value);
  return text === undefined ? 0 : encoder.encode(text).length;
}
