/** A KV that counts what is read from it and written to it. */

/** What was done: calls, and what they read or write. */
export interface Operations {
  /** Calls that read: get, getMany, and each batch of a list. */
  readCalls: number;
  /** Keys that were asked for and entries that were listed. */
  reads: number;
  /** Commits, and single sets, deletes and messages. */
  writeCalls: number;
  /** Sets, deletes and messages. */
  writes: number;
}

/** Wraps a KV; `operations` counts from 0 on. */
export function countingKv(real: Deno.Kv): { kv: Deno.Kv; operations: Operations } {
  const operations: Operations = { readCalls: 0, reads: 0, writeCalls: 0, writes: 0 };
  const atomic = (target: Deno.AtomicOperation): Deno.AtomicOperation =>
    new Proxy(target, {
      get(target, name) {
        const method = Reflect.get(target, name).bind(target);
        return (...args: unknown[]) => {
          if (["set", "delete", "enqueue"].includes(name as string)) operations.writes++;
          if (name !== "commit") {
            method(...args);
            return atomic(target);
          }
          operations.writeCalls++;
          return method(...args);
        };
      },
    });
  async function* counted<T>(entries: Deno.KvListIterator<T>, batchSize: number): AsyncGenerator<Deno.KvEntry<T>> {
    let count = 0;
    operations.readCalls++;
    for await (const entry of entries) {
      if (++count % batchSize === 0) operations.readCalls++;
      operations.reads++;
      yield entry;
    }
    // KV bills a list that finds nothing, too.
    if (count === 0) operations.reads++;
  }
  const kv = new Proxy(real, {
    get(target, name) {
      const value = Reflect.get(target, name);
      if (typeof value !== "function") return value;
      return (...args: unknown[]) => {
        if (name === "atomic") return atomic(target.atomic());
        if (name === "list") {
          const options = args[1] as Deno.KvListOptions | undefined;
          return counted(value.apply(target, args), options?.batchSize ?? Math.min(options?.limit ?? 100, 100));
        }
        if (name === "get" || name === "getMany") {
          operations.readCalls++;
          operations.reads += name === "get" ? 1 : (args[0] as unknown[]).length;
        }
        if (["set", "delete", "enqueue", "sum"].includes(name as string)) {
          operations.writeCalls++;
          operations.writes++;
        }
        return value.apply(target, args);
      };
    },
  });
  return { kv, operations };
}
