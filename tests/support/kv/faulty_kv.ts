/** A KV between the queue and the real one, whose commits go wrong in the ways that real ones do. */

export type Fault =
  /** The commit is applied, but the call fails. */
  | "applied, then error"
  /** The commit is sent twice; the caller hears of the second, which finds its check gone. */
  | "applied twice"
  /** The commit is applied, and its answer comes only when `release` is called. */
  | "applied, answered late"
  /** Nothing is applied: another connection held the file. */
  | "locked"
  /** Nothing is applied, and no answer comes until `release` is called. */
  | "silent";

export interface FaultyKv {
  kv: Deno.Kv;
  /** What happens to each commit from now on; null: nothing bad. */
  fault: (commit: number) => Fault | null;
  /** Commits that were made. */
  commits: number;
  /** Lets every silent commit go on. */
  release: () => void;
}

export function faulty(real: Deno.Kv): FaultyKv {
  let release: () => void = () => {};
  const released = new Promise<void>((resolve) => release = resolve);
  const state: FaultyKv = { kv: real, fault: () => null, commits: 0, release };

  const wrapAtomic = (atomic: Deno.AtomicOperation): Deno.AtomicOperation =>
    new Proxy(atomic, {
      get(target, name) {
        if (name !== "commit") {
          const method = Reflect.get(target, name).bind(target);
          return (...args: unknown[]) => {
            method(...args);
            return wrapAtomic(target);
          };
        }
        return async () => {
          const fault = state.fault(state.commits++);
          if (fault === "locked") throw new TypeError("database is locked");
          if (fault === "silent") await released;
          const result = await target.commit();
          if (fault === "applied, answered late") await released;
          if (fault === "applied, then error") throw new TypeError("connection reset");
          if (fault === "applied twice") return await target.commit();
          return result;
        };
      },
    });

  state.kv = new Proxy(real, {
    get(target, name) {
      if (name === "atomic") return () => wrapAtomic(target.atomic());
      const value = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return state;
}
