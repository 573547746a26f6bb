/** A KV whose queue delivers in the ways that a test wants, and that tells what was enqueued. */

type Deliver = (message: unknown) => Promise<void>;

/** Wraps a KV: `deliver` passes a message on to the listener, as often as it likes. */
export function messagesKv(
  real: Deno.Kv,
  deliver: (message: unknown, listener: Deliver) => Promise<unknown>,
  onEnqueue: (message: unknown, delay: number) => void = () => {},
): Deno.Kv {
  const atomic = (target: Deno.AtomicOperation): Deno.AtomicOperation =>
    new Proxy(target, {
      get(target, name) {
        const method = Reflect.get(target, name).bind(target);
        if (name === "commit") return method;
        return (...args: unknown[]) => {
          if (name === "enqueue") onEnqueue(args[0], (args[1] as { delay?: number })?.delay ?? 0);
          method(...args);
          return atomic(target);
        };
      },
    });
  return new Proxy(real, {
    get(target, name) {
      if (name === "atomic") return () => atomic(target.atomic());
      if (name === "listenQueue") {
        return (listener: Deliver) =>
          target.listenQueue(async (message) => {
            await deliver(message, listener);
          });
      }
      const value = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
