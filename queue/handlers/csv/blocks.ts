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

/** A stream of `total` bytes in blocks of `size`; the next one is read while the last one is worked on. */
export async function* blocksOf(
  stream: ReadableStream<Uint8Array>,
  total: number,
  size: number,
): AsyncGenerator<Block> {
  const reader = stream.getReader();
  let over: Uint8Array = new Uint8Array();
  let left = total;
  const next = async (): Promise<Block> => {
    const bytes = new Uint8Array(Math.min(size, left));
    for (let filled = 0; filled < bytes.length;) {
      if (over.length === 0) {
        const { value, done } = await reader.read();
        if (done) throw new Error("The file is shorter than its stated size.");
        over = value;
      }
      const part = over.subarray(0, bytes.length - filled);
      bytes.set(part, filled);
      filled += part.length;
      over = over.subarray(part.length);
    }
    left -= bytes.length;
    return { bytes, last: left === 0 };
  };
  try {
    let block = await next();
    while (!block.last) {
      const following = next();
      following.catch(() => {});
      yield block;
      block = await following;
    }
    yield block;
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
