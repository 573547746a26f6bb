/**
 * The one listener of KV's own queue. A KV handle can have only one: two would split the messages, and none can be
 * ended but with the handle. So each handle has one for good, which hands what comes to the queue that is started on
 * it, and holds messages back while none is.
 *
 * What KV does: a message whose handler throws comes again, six times in all, and is then put under its
 * `keysIfUndelivered`. One that is handled for over 5 s, or whose process has ended, comes again later. One that KV
 * cannot decode ends all listening: then it starts anew.
 *
 * @module
 */

import type { Logger } from "../log.ts";
import { WAKEUP } from "../store/commit/lane.ts";
import { type Clock, delay } from "../task/clock.ts";

/** Who receives the messages. */
export interface Receiver {
  clock: Clock;
  log: Logger;
  /** There was a wake-up. */
  wake(): void;
  /**
   * Deals with another message: once it resolves, KV forgets the message. It rejects only if its queue is stopped: then the
   * next receiver gets the message.
   */
  receive(message: unknown): Promise<void>;
}

/** After listening has failed, it starts anew after this time. Milliseconds. */
const RESTART_MS = 1_000;

class Listener {
  #receiver: Receiver | null = null;
  #waiting: (() => void)[] = [];
  /** What the receivers are dealing with. */
  readonly #receiving = new Set<Promise<void>>();

  /** Resolves when listening has ended, since the handle was closed. */
  readonly ended: Promise<void>;

  constructor(private readonly kv: Deno.Kv, first: Receiver) {
    this.ended = this.#listen(first);
  }

  attach(receiver: Receiver): () => Promise<void> {
    this.#receiver = receiver;
    for (const go of this.#waiting.splice(0)) go();
    return async () => {
      if (this.#receiver === receiver) this.#receiver = null;
      await Promise.allSettled(this.#receiving);
    };
  }

  /** Listens until the handle is closed. */
  async #listen({ clock, log }: Receiver): Promise<void> {
    while (true) {
      try {
        return await this.kv.listenQueue((message) => this.#deliver(message));
      } catch (error) {
        // Both say that the handle is closed.
        if (error instanceof Deno.errors.BadResource || /already closed/.test(String(error))) return;
        log.error("A message of KV's queue could not be read; listening again.", { error });
        await delay(clock, RESTART_MS);
      }
    }
  }

  /** Hands a message to the receiver, or to the next one if there is none or its queue is stopped meanwhile. */
  async #deliver(message: unknown): Promise<void> {
    // A start looks at everything.
    if (message === WAKEUP) return this.#receiver?.wake();
    let refused: Receiver | null = null;
    while (true) {
      const receiver = this.#receiver;
      if (receiver === refused) await new Promise<void>((resolve) => this.#waiting.push(resolve));
      else {
        const receiving = receiver!.receive(message);
        this.#receiving.add(receiving);
        try {
          return await receiving;
        } catch (error) {
          refused = this.#receiver === receiver ? receiver : null;
          receiver!.log.info("A message waits for the next start.", { error });
        } finally {
          this.#receiving.delete(receiving);
        }
      }
    }
  }
}

const listeners = new WeakMap<Deno.Kv, Listener>();

/** Resolves when nothing listens to a KV handle any more: after it was closed, or at once if nothing ever did. */
export async function listeningEnds(kv: Deno.Kv): Promise<void> {
  await listeners.get(kv)?.ended;
}

/**
 * Receives the messages of a KV handle from now on.
 *
 * @returns A function that ends it, and resolves once what was received has been dealt with.
 */
export function receiveMessages(kv: Deno.Kv, receiver: Receiver): () => Promise<void> {
  let listener = listeners.get(kv);
  if (!listener) {
    listener = new Listener(kv, receiver);
    listeners.set(kv, listener);
  }
  return listener.attach(receiver);
}
