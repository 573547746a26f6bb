/**
 * `deno task check-store [--fix]`: checks every invariant of the store. While a server is running it checks a copy and
 * repairs nothing. Exits with 0 if the store is clean, 1 if not, 2 if it could not be checked.
 *
 * @module
 */

import { assertFormat, FORMAT, readFormat } from "../store/commit/format.ts";
import { systemClock } from "../task/clock.ts";
import { checkStore, type StoreReport } from "./check.ts";
import { copyStore, fail, intactStorePath } from "./copy.ts";
import { lockStore, OwnedError } from "./owner_lock.ts";
import { repairStore } from "./repair.ts";

/** Problems that are printed one by one. */
const PRINTED = 50;

async function withStore<T>(path: string, work: (kv: Deno.Kv) => Promise<T>): Promise<T> {
  const kv = await Deno.openKv(path);
  try {
    return await work(kv);
  } finally {
    kv.close();
  }
}

/** A store of another format is full of entries that this version does not know. */
async function check(kv: Deno.Kv): Promise<StoreReport> {
  const format = await readFormat(kv);
  if (format !== null && format < FORMAT) {
    fail(`The store is of format ${format}, this version's is ${FORMAT}: start the service, or run deno task migrate.`);
  }
  assertFormat(format ?? FORMAT);
  return await checkStore(kv, systemClock.now());
}

async function checkCopy(path: string): Promise<StoreReport> {
  const directory = await Deno.makeTempDir({ prefix: "millrace-check-" });
  try {
    await copyStore(path, `${directory}/copy.db`);
    return await withStore(`${directory}/copy.db`, check);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function print({ tasks, entries, problems }: StoreReport): void {
  console.log(`${tasks.toLocaleString("en")} tasks, ${entries.toLocaleString("en")} entries checked.`);
  for (const { key, detail } of problems.slice(0, PRINTED)) console.log(`${JSON.stringify(key)} ${detail}`);
  if (problems.length > PRINTED) console.log(`… and ${(problems.length - PRINTED).toLocaleString("en")} more`);
  console.log(problems.length === 0 ? "The store is clean." : `${problems.length.toLocaleString("en")} problems.`);
}

if (Deno.args.includes("--help")) {
  console.log("Usage: KV_PATH=FILE deno task check-store [--fix]");
  Deno.exit(0);
}
const fix = Deno.args.includes("--fix");
const unknown = Deno.args.find((argument) => argument !== "--fix");
if (unknown !== undefined) fail(`"${unknown}" is not an option. Usage: deno task check-store [--fix]`);
const path = await intactStorePath();

let lock: { release(): void } | null = null;
try {
  lock = await lockStore(path);
} catch (error) {
  if (!(error instanceof OwnedError)) throw error;
  if (fix) fail("A server uses this store: stop it first. Nothing was changed.");
  console.log("A server uses this store: a copy is checked.");
}
const unreadable = (error: unknown): never => fail(`${path} cannot be read as a store: ${(error as Error).message}`);
let report: StoreReport;
if (lock) {
  report = await withStore(path, check).catch(unreadable);
  print(report);
  if (fix && report.problems.length > 0) {
    report = await withStore(path, repairStore);
    console.log("After the repair:");
    print(report);
  }
  lock.release();
} else {
  report = await checkCopy(path).catch(unreadable);
  print(report);
}
Deno.exit(report.problems.length === 0 ? 0 : 1);
