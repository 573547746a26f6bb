/**
 * How full the disk of a store is.
 *
 * @module
 */

// Older versions of Deno have no statfs: as a namespace it is only missed where it is called.
import * as fs from "node:fs/promises";

/** Free bytes and all bytes of the disk that a file is on. */
export async function diskOf(path: string): Promise<{ free: number; total: number }> {
  const { bavail, bsize, blocks } = await fs.statfs(path);
  return { free: Number(bavail) * Number(bsize), total: Number(blocks) * Number(bsize) };
}
