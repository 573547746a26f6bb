/**
 * A worker of the pool that is a process of its own. It can be killed in the middle of a loop, what it takes of memory
 * is its own and gone with it, and it may do nothing but read files and compute.
 *
 * Messages are framed by their length (four bytes, big endian) and written as V8 does for structured clones.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { deserialize, serialize } from "node:v8";
import { type Clock, repeat, type Repeating } from "./clock.ts";
import type { FromWorker, PoolWorker, ToWorker } from "./pool.ts";
import type { JobScope } from "./pool_worker.ts";

/** What a process may do: read its code (which is there: the service has been started by the same lock file), load the native part of a codec, see an environment that is empty. */
const FLAGS = ["--no-prompt", "--cached-only", "--allow-read", "--allow-ffi", "--allow-env", "--allow-sys"];
/** The heap of a process in MB; what is beyond ends it, and nothing else. */
const HEAP_MB = 1_024;
/** How often the memory of a process with a job is looked at, in milliseconds. */
const LOOK_MS = 200;

/** What of the environment a process needs to find its code. No secret is among it. */
const ENVIRONMENT = [
  "PATH",
  "HOME",
  "DENO_DIR",
  "XDG_CACHE_HOME",
  "USERPROFILE",
  "LOCALAPPDATA",
  "SystemRoot",
  "TMPDIR",
];

/** Whether processes can be started here. */
export function mayStartProcesses(): boolean {
  if (Deno.env.get("DENO_DEPLOY") === "true" || Deno.env.get("DENO_DEPLOYMENT_ID") !== undefined) return false;
  return Deno.permissions.querySync({ name: "run", command: Deno.execPath() }).state === "granted";
}

/** A process that is spoken to like a Web Worker. */
export class ProcessWorker implements PoolWorker {
  onmessage: PoolWorker["onmessage"] = null;
  onerror: PoolWorker["onerror"] = null;
  readonly #process: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #gone: Promise<void>;
  readonly #maxBytes: number;
  readonly #clock: Clock;
  #look: Repeating | null = null;
  #why: string | null = null;
  #ended = false;

  /**
   * @param module What it runs; it calls `serveJobs` with {@linkcode pipes}.
   * @param maxBytes Of memory, all of it; with more it is killed (on Linux, where that can be told).
   */
  constructor(module: URL, maxBytes: number, clock: Clock) {
    this.#maxBytes = maxBytes;
    this.#clock = clock;
    const known = ENVIRONMENT.map((name) => [name, Deno.env.get(name)]).filter(([, value]) => value !== undefined);
    this.#process = new Deno.Command(Deno.execPath(), {
      args: ["run", ...FLAGS, `--v8-flags=--max-old-space-size=${HEAP_MB}`, module.href],
      clearEnv: true,
      env: Object.fromEntries(known),
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    this.#writer = this.#process.stdin.getWriter();
    this.#writer.closed.catch(() => {});
    this.#gone = this.#read();
  }

  /** The id of the process. */
  get pid(): number {
    return this.#process.pid;
  }

  /** Sends a message. Nothing can be handed over to another process: `transfer` is copied as all else. */
  postMessage(message: ToWorker): void {
    if (message.type === "job") this.#look ??= repeat(this.#clock, LOOK_MS, () => this.#lookAtMemory(), () => {});
    // A process that is gone is told of by its end.
    this.#writer.write(framed(message)).catch(() => {});
  }

  /** Kills the process; resolves when it is gone. */
  terminate(): Promise<void> {
    if (!this.#ended) this.#process.kill("SIGKILL");
    this.#ended = true;
    return this.#gone;
  }

  async #read(): Promise<void> {
    try {
      for await (const message of messagesOf(this.#process.stdout)) {
        if ((message as FromWorker).type !== "progress") this.#stopLooking();
        this.onmessage?.(new MessageEvent("message", { data: message as FromWorker }));
      }
    } catch {
      // What breaks off in the middle of a message has ended, too.
    }
    const { code, signal } = await this.#process.status;
    this.#stopLooking();
    await this.#writer.abort().catch(() => {});
    if (this.#ended) return;
    this.#ended = true;
    const message = this.#why ?? `The worker ended (${signal ?? `code ${code}`}): it may have run out of memory.`;
    this.onerror?.(new ErrorEvent("error", { message, cancelable: true }));
  }

  async #lookAtMemory(): Promise<void> {
    if (Deno.build.os !== "linux") return;
    const status = await Deno.readTextFile(`/proc/${this.#process.pid}/status`);
    const bytes = Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024;
    if (bytes <= this.#maxBytes || this.#ended) return;
    this.#why = `It took more than ${
      Math.round(this.#maxBytes / 1024 ** 2).toLocaleString("en")
    } MB of memory and was ended.`;
    this.#process.kill("SIGKILL");
  }

  #stopLooking(): void {
    void this.#look?.stop();
    this.#look = null;
  }
}

/** The other side: what the process reads and writes. It ends when nobody speaks to it any more. */
export function pipes(): JobScope {
  // Whatever a library has to say must not come between the messages.
  console.log = console.error;
  // Ctrl+C goes to all processes of a terminal: the service lets its jobs end first.
  Deno.addSignalListener("SIGINT", () => {});
  const output = Deno.stdout.writable.getWriter();
  const scope: JobScope = {
    onmessage: null,
    postMessage: (message) => void output.write(framed(message)),
  };
  (async () => {
    for await (const message of messagesOf(Deno.stdin.readable)) {
      scope.onmessage?.(new MessageEvent("message", { data: message as ToWorker }));
    }
  })().finally(() => Deno.exit());
  return scope;
}

function framed(message: unknown): Uint8Array {
  const body = serialize(message);
  const frame = Buffer.allocUnsafe(4 + body.length);
  frame.writeUInt32BE(body.length);
  body.copy(frame, 4);
  return frame;
}

async function* messagesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<unknown> {
  let chunks: Uint8Array[] = [];
  let size = 0;
  let wanted = -1;
  for await (const chunk of stream) {
    chunks.push(chunk);
    size += chunk.length;
    while (size >= (wanted < 0 ? 4 : wanted)) {
      const whole = Buffer.concat(chunks);
      const used = wanted < 0 ? 4 : wanted;
      const part = whole.subarray(0, used);
      if (wanted < 0) wanted = part.readUInt32BE();
      else {
        wanted = -1;
        yield deserialize(part);
      }
      chunks = [whole.subarray(used)];
      size -= used;
    }
  }
}
