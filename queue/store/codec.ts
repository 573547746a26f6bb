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

/** Values share buffers of this size: one allocation for hundreds of small values is much less to collect. */
const BUFFER_BYTES = 64 * 1024;
/** Text of at most this length shares a buffer. */
const SHARED_CHARS = 4_096;
let buffer = new Uint8Array(BUFFER_BYTES);
let used = 0;
const scratch = new Uint8Array(3 * SHARED_CHARS);

/** Encodes a value for the store. */
export function encode(value: unknown): Uint8Array<ArrayBuffer> {
  const text = JSON.stringify(value);
  if (text.length > SHARED_CHARS) return encoder.encode(text);
  // UTF-8 takes at most three bytes for each UTF-16 unit.
  if (3 * text.length > BUFFER_BYTES - used) {
    buffer = new Uint8Array(BUFFER_BYTES);
    used = 0;
  }
  const start = used;
  used += encoder.encodeInto(text, buffer.subarray(start)).written;
  return buffer.subarray(start, used);
}

/** Decodes a stored value. */
export function decode<T>(bytes: unknown): T {
  return JSON.parse(decoder.decode(bytes as Uint8Array)) as T;
}

/** How many bytes a JSON value takes when it is stored. */
export function jsonSize(value: unknown): number {
  const text = JSON.stringify(value);
  if (text === undefined) return 0;
  if (text.length > SHARED_CHARS) return encoder.encode(text).length;
  return encoder.encodeInto(text, scratch).written;
}
