/**
 * `deno task migrate`: brings a store of an older version to the format of this one, after a copy was made beside it. The
 * service does the same when it starts, without the copy. Not while a server runs.
 *
 * @module
 */

import { createLogger } from "../log.ts";
import { QUEUE_DEFAULTS } from "../options.ts";
import { assertFormat, FORMAT, migrate, readFormat } from "../store/commit/format.ts";
import { systemClock } from "../task/clock.ts";
import { StoreFormatError } from "../task/errors.ts";
import { copyStore, fail, intactStorePath } from "./copy.ts";
import { lockStore, OwnedError } from "./owner_lock.ts";

const path = await intactStorePath();
try {
  const lock = await lockStore(path);
  const kv = await Deno.openKv(path);
  const format = await readFormat(kv);
  if (format === null || format >= FORMAT) {
    assertFormat(format ?? FORMAT);
    console.log(`${path} is of format ${FORMAT}: there is nothing to migrate.`);
  } else {
    const backup = `${path}.format-${format}`;
    await copyStore(path, backup);
    console.log(`Copied ${path} to ${backup}.`);
    const clock = systemClock;
    const log = createLogger("info", "text", () => clock.now(), (line) => console.log(line));
    await migrate({ kv, clock, log, distributed: false, leaseMs: QUEUE_DEFAULTS.leaseMs });
  }
  kv.close();
  lock.release();
} catch (error) {
  const isKnown = [OwnedError, StoreFormatError, Deno.errors.AlreadyExists].some((kind) => error instanceof kind);
  if (!isKnown) throw error;
  fail((error as Error).message);
}
