/** A KV whose holder can be killed: from then on nothing that it calls is done, and nothing is ever answered. */

export function mortal(real: Deno.Kv): { kv: Deno.Kv; kill(): void } {
  let dead = false;
  const never = new Promise<never>(() => {});
  const wrap = <T extends object>(target: T): T =>
    new Proxy(target, {
      get(target, name) {
        const value = Reflect.get(target, name);
        if (typeof value !== "function") return value;
        return (...args: unknown[]) => {
          if (name === "list") return iterate(value.apply(target, args));
          if (name === "atomic") return wrap(value.apply(target, args));
          if (dead) return never;
          const result = value.apply(target, args);
          // Calls of an atomic give the atomic itself.
          if (result === target) return wrap(target);
          return result instanceof Promise ? result.then((answer) => dead ? never : answer) : result;
        };
      },
    });
  async function* iterate<T>(entries: AsyncIterable<T>): AsyncGenerator<T> {
    if (dead) await never;
    for await (const entry of entries) {
      if (dead) await never;
      yield entry;
    }
  }
  return { kv: wrap(real), kill: () => dead = true };
}
