/**
 * What Deno Deploy does with a program, as far as one machine can: no queues, no path, no flags but what deno.json says,
 * a KV Connect server. An instance is started only when a request comes, or shortly before a minute is full, when its
 * cron is due; after 20 seconds it gets SIGINT, and SIGKILL 5 seconds later. A new one takes over from the SIGINT on.
 */

import { systemClock } from "../../queue/task/clock.ts";
import type { Store } from "../support/kv/stores.ts";

/** How long an instance lives before it is asked to stop, and then before it is killed. Milliseconds. */
const LIFE_MS = 20_000;
const GRACE_MS = 5_000;
/** How long before a full minute an instance is started for its cron. Milliseconds. */
const EARLY_MS = 3_000;

interface Instance {
  process: Deno.ChildProcess;
  port: Promise<number>;
  ended: Promise<Deno.CommandStatus>;
  /** Cancels what is to happen to it. */
  cancels: (() => void)[];
}

/** An app on the emulated platform. */
export class Platform {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  #current: Instance | null = null;
  readonly #living = new Set<Instance>();
  readonly #connections = new Set<Promise<void>>();
  #closed = false;
  #cancelCron: () => void = () => {};
  /** All that the instances have written. */
  output = "";
  /** Instances that were started, by what for. */
  readonly starts = { request: 0, cron: 0 };
  /** Instances that were still alive when they were killed. */
  killed = 0;

  /** @param deno The executables that the instances run on, in turn. */
  constructor(
    private readonly store: Store,
    private readonly deno: string[],
    private readonly env: Record<string, string>,
  ) {
    void this.#accept();
    this.#armCron();
  }

  /** Where the app is reached. */
  get origin(): string {
    return `http://127.0.0.1:${(this.#listener.addr as Deno.NetAddr).port}`;
  }

  /** Instances that live. */
  get alive(): number {
    return this.#living.size;
  }

  /** Ends everything: instances are asked to stop, and killed if they do not. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelCron();
    this.#listener.close();
    await Promise.all([...this.#living].map((instance) => {
      this.#stop(instance);
      return instance.ended;
    }));
    await Promise.all(this.#connections);
  }

  /** Resolves once no instance lives. */
  async asleep(): Promise<void> {
    while (this.#living.size > 0) await Promise.all([...this.#living].map(({ ended }) => ended));
  }

  #armCron(): void {
    const wait = 60_000 - (Date.now() + EARLY_MS) % 60_000;
    this.#cancelCron = systemClock.after(wait, () => {
      if (!this.#current) this.#start("cron");
      this.#armCron();
    });
  }

  #start(reason: "request" | "cron"): Instance {
    const deno = this.deno[(this.starts.request + this.starts.cron) % this.deno.length];
    this.starts[reason]++;
    const process = new Deno.Command(deno, {
      // There, all is allowed, but what is written to the disk does not outlive the instance, and nothing can be run.
      args: ["run", "-A", "--deny-write", "--deny-run", new URL("../../main.ts", import.meta.url).pathname],
      clearEnv: true,
      env: {
        PATH: Deno.env.get("PATH") ?? "",
        HOME: Deno.env.get("HOME") ?? "",
        DENO_DIR: Deno.env.get("DENO_DIR") ?? "",
        NO_COLOR: "1",
        DENO_DEPLOY: "true",
        DENO_TIMELINE: "production",
        DENO_DEPLOYMENT_ID: "emulated",
        DENO_KV_DEFAULT_PATH: this.store.path,
        DENO_KV_ACCESS_TOKEN: Deno.env.get("DENO_KV_ACCESS_TOKEN")!,
        DENO_KV_REQUIRES_DISTRIBUTED_DATABASE: "error",
        HOST: "127.0.0.1",
        PORT: "0",
        ...this.env,
      },
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const ready = Promise.withResolvers<number>();
    ready.promise.catch(() => {});
    let text = "";
    const read = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>) => {
      for await (const piece of stream.pipeThrough(new TextDecoderStream())) {
        text += piece;
        this.output += piece;
        const port = /ready at http:\/\/[^/]*:(\d+)\//.exec(text);
        if (port) ready.resolve(Number(port[1]));
      }
    };
    const reading = Promise.all([read(process.stdout), read(process.stderr)]);
    const ended = process.status.then(async (status) => {
      this.#living.delete(instance);
      await reading;
      ready.reject(new Error(`The instance ended: ${text.slice(-2_000)}`));
      for (const cancel of instance.cancels) cancel();
      if (this.#current === instance) this.#current = null;
      return status;
    });
    const instance: Instance = { process, port: ready.promise, ended, cancels: [] };
    instance.cancels.push(systemClock.after(LIFE_MS, () => this.#stop(instance)));
    this.#living.add(instance);
    this.#current = instance;
    return instance;
  }

  /** Kills the newest instance without a warning, as when its machine breaks. */
  crash(): void {
    this.#current?.process.kill("SIGKILL");
    this.#current = null;
  }

  #stop(instance: Instance): void {
    if (this.#current === instance) this.#current = null;
    if (!this.#living.has(instance)) return;
    instance.process.kill("SIGINT");
    instance.cancels.push(systemClock.after(GRACE_MS, () => {
      this.killed++;
      instance.process.kill("SIGKILL");
    }));
  }

  async #accept(): Promise<void> {
    for await (const connection of this.#listener) {
      const served = this.#serve(connection).catch(() => {}).finally(() => this.#connections.delete(served));
      this.#connections.add(served);
    }
  }

  /** Passes a connection to an instance, which is started for it if none lives. */
  async #serve(connection: Deno.TcpConn): Promise<void> {
    using client = connection;
    if (this.#closed) return;
    const { port } = this.#current ?? this.#start("request");
    using upstream = await Deno.connect({ hostname: "127.0.0.1", port: await port });
    const pass = (from: Deno.TcpConn, to: Deno.TcpConn) =>
      from.readable.pipeTo(to.writable).catch(() => {}).finally(() => {
        // One end is gone: so is the other.
        try {
          to.close();
        } catch { /* closed already */ }
      });
    await Promise.all([pass(client, upstream), pass(upstream, client)]).catch(() => {});
  }
}
