/**
 * Splits a file into blocks, one for each worker job.
 *
 * @module
 */

/** A part of a file. */
export interface Block {
  bytes: Uint8Array<ArrayBuffer>;
  /** Whether nothing comes after it. */
  last: boolean;
}

/** A stream in blocks of `size` bytes; the next one is read while the last one is worked on. */
export async function* blocksOf(stream: ReadableStream<Uint8Array>, size: number): AsyncGenerator<Block> {
  const reader = stream.getReader();
  let over: Uint8Array = new Uint8Array();
  let ended = false;
  const next = async (): Promise<Uint8Array<ArrayBuffer>> => {
    const bytes = new Uint8Array(size);
    let filled = 0;
    while (filled < size) {
      if (over.length === 0) {
        const { value, done } = await reader.read();
        ended = done;
        if (done) break;
        over = value;
      }
      const part = over.subarray(0, size - filled);
      bytes.set(part, filled);
      filled += part.length;
      over = over.subarray(part.length);
    }
    return filled === size ? bytes : bytes.slice(0, filled);
  };
  try {
    let bytes = await next();
    while (!ended) {
      const following = next();
      following.catch(() => {});
      yield { bytes, last: false };
      bytes = await following;
    }
    yield { bytes, last: true };
  } finally {
    reader.releaseLock();
  }
}

/** Concatenates two arrays. */
export function joined(a: Uint8Array<ArrayBuffer>, b: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  if (a.length === 0 && b.byteLength === b.buffer.byteLength) return b;
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
