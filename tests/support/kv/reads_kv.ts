/** A KV whose reads fail now and then, as those of a store over a network do, or are counted. */

/** Wraps a KV: each read throws where `fails` says so. Writes are the real one's. */
export function failingReads(real: Deno.Kv, fails: () => boolean): Deno.Kv {
  const check = () => {
    if (fails()) throw new TypeError("the connection was reset on purpose");
  };
  return new Proxy(real, {
    get(target, name) {
      if (name === "list") {
        return (...args: Parameters<Deno.Kv["list"]>) => {
          const iterator = target.list(...args);
          return {
            get cursor() {
              return iterator.cursor;
            },
            // deno-lint-ignore require-await
            async next() {
              check();
              return iterator.next();
            },
            [Symbol.asyncIterator]() {
              return this;
            },
          };
        };
      }
      const value = Reflect.get(target, name);
      if (typeof value !== "function") return value;
      const method = value.bind(target);
      if (name !== "get" && name !== "getMany") return method;
      // deno-lint-ignore require-await
      return async (...args: unknown[]) => {
        check();
        return method(...args);
      };
    },
  });
}

/** Wraps a KV: tells of each `getMany` how many keys it reads. */
export function countingReads(real: Deno.Kv, onRead: (keys: number) => void): Deno.Kv {
  return new Proxy(real, {
    get(target, name) {
      const value = Reflect.get(target, name);
      if (typeof value !== "function") return value;
      return (...args: unknown[]) => {
        if (name === "getMany") onRead((args[0] as unknown[]).length);
        return value.apply(target, args);
      };
    },
  });
}
