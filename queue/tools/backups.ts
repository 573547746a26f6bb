/**
 * Backups on a timer: copies of the store at one moment, in a folder of their own, of which the newest are kept.
 *
 * @module
 */

import * as fs from "node:fs/promises";
import type { Logger } from "../log.ts";
import { type Clock, repeat, type Repeating } from "../task/clock.ts";
import { copyWhole } from "./copy.ts";
import type { Copy } from "./copy_worker.ts";

/** Options of {@linkcode Backups}. */
export interface BackupOptions {
  /** The store's file. */
  path: string;
  /** Where the copies go; it is created if it does not exist. */
  directory: string;
  /** Time from one copy to the next, also over restarts. Milliseconds. */
  everyMs: number;
  /** How many copies are kept. */
  keep: number;
}

/** How often the age of the newest copy is looked at, and how soon a failed one is tried again. Milliseconds. */
const LOOK_MS = 600_000;
/** Names of copies: they sort by time. */
const NAME = /^millrace-\d{8}T\d{6}Z\.db$/;
const nameAt = (ms: number) => `millrace-${new Date(ms).toISOString().replace(/[-:]|\.\d+/g, "")}.db`;
const timeOf = (name: string) =>
  Date.parse(name.slice(9, -3).replace(/^(\d{4})(\d\d)(\d\dT\d\d)(\d\d)/, "$1-$2-$3:$4:"));

/** Makes backups on a timer. */
export class Backups {
  #job: Repeating | null = null;

  constructor(private readonly options: BackupOptions, private readonly clock: Clock, private readonly log: Logger) {}

  /**
   * Starts: a copy is made whenever the newest one is old enough.
   *
   * @throws {Error} If the folder cannot be created.
   */
  async start(): Promise<void> {
    await Deno.mkdir(this.options.directory, { recursive: true, mode: 0o700 });
    this.#job = repeat(this.clock, Math.min(this.options.everyMs, LOOK_MS), async () => {
      try {
        const newest = (await this.#copies()).at(-1);
        if (!newest || timeOf(newest) + this.options.everyMs <= this.clock.now()) await this.make();
      } catch (error) {
        this.log.error("A backup could not be made; will retry.", { error });
      }
    }, () => {});
  }

  /** Stops, and waits for a copy under way. */
  async stop(): Promise<void> {
    await this.#job?.stop();
  }

  /** Makes a copy now, then removes those that are too many. */
  async make(): Promise<void> {
    const { path, directory, keep } = this.options;
    const name = nameAt(this.clock.now());
    // A process that was killed has left it.
    const unfinished = `${directory}/unfinished`;
    await remove(unfinished);
    await assertRoom(path, directory);
    await copyWhole(path, `${directory}/${name}`, unfinished, copyInWorker);
    const { size } = await Deno.stat(`${directory}/${name}`);
    this.log.info("A backup was made.", { file: `${directory}/${name}`, bytes: size });
    for (const old of (await this.#copies()).slice(0, -keep)) await remove(`${directory}/${old}`);
  }

  /** The names of all copies, oldest first. */
  async #copies(): Promise<string[]> {
    const names: string[] = [];
    for await (const { name } of Deno.readDir(this.options.directory)) if (NAME.test(name)) names.push(name);
    return names.sort();
  }
}

/** @throws {Error} If the copy would fill the disk. */
async function assertRoom(path: string, directory: string): Promise<void> {
  // Older versions of Deno cannot tell.
  if (!("statfs" in fs)) return;
  const { bavail, bsize } = await fs.statfs(directory);
  const { size } = await Deno.stat(path);
  if (bavail * bsize < size) {
    throw new Error(`${directory} has no room for a copy of ${size.toLocaleString("en")} bytes.`);
  }
}

async function remove(path: string): Promise<void> {
  await Deno.remove(path).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
}

async function copyInWorker(from: string, to: string): Promise<void> {
  const worker = new Worker(new URL("./copy_worker.ts", import.meta.url), { type: "module" });
  try {
    const failure = await new Promise<string | null>((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = (event) => {
        event.preventDefault();
        reject(new Error(event.message));
      };
      worker.postMessage({ from, to } satisfies Copy);
    });
    if (failure !== null) throw new Error(failure);
  } finally {
    worker.terminate();
  }
}
