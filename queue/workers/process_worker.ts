/**
 * A pool worker that is a process of its own. It can be killed in the middle of a loop, its memory is its own and is
 * freed with it, and it may only read files and compute.
 *
 * Messages are framed by their length (four bytes, big endian) and serialized as V8 serializes structured clones.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { deserialize, serialize } from "node:v8";
import type { FromWorker, PoolWorker, ToWorker } from "./pool.ts";
import type { JobScope } from "./pool_worker.ts";

/**
 * What a process may do: read its code (which is cached, as the service was started with the same lock file), load the
 * native part of a codec, see an empty environment.
 */
const FLAGS = ["--no-prompt", "--cached-only", "--allow-read", "--allow-ffi", "--allow-env", "--allow-sys"];
/** Heap limit of a process in MB; exceeding it ends that process only. */
const HEAP_MB = 1_024;
/** What Deno itself uses of the data limit before a job begins: thread stacks and memory that V8 reserves. */
const BASE_BYTES = 640 * 1024 ** 2;

/** Environment variables that a process needs to find its code. None is a secret. */
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

const SHELL = "/bin/sh";

/** Whether there is a shell that can set a limit: not on Windows, and not in every container. */
function hasShell(): boolean {
  if (Deno.build.os === "windows") return false;
  try {
    return Deno.statSync(SHELL).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Whether processes can be started here. */
export function mayStartProcesses(): boolean {
  if (Deno.env.get("DENO_DEPLOY") === "true" || Deno.env.get("DENO_DEPLOYMENT_ID") !== undefined) return false;
  const commands = hasShell() ? [Deno.execPath(), SHELL] : [Deno.execPath()];
  return commands.every((command) => Deno.permissions.querySync({ name: "run", command }).state === "granted");
}

/** A process with the interface of a Web Worker. */
export class ProcessWorker implements PoolWorker {
  onmessage: PoolWorker["onmessage"] = null;
  onerror: PoolWorker["onerror"] = null;
  readonly #process: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #gone: Promise<void>;
  #ended = false;

  /**
   * @param module What it runs; it calls `serveJobs` with {@linkcode pipes}.
   * @param maxBytes The memory that its jobs may use, enforced by the system (RLIMIT_DATA of setrlimit(2), which
   * covers all private memory on Linux; on Windows there is no such limit).
   */
  constructor(module: URL, maxBytes: number) {
    const known = ENVIRONMENT.map((name) => [name, Deno.env.get(name)]).filter(([, value]) => value !== undefined);
    const deno = [Deno.execPath(), "run", ...FLAGS, `--v8-flags=--max-old-space-size=${HEAP_MB}`, module.href];
    const kilobytes = Math.floor((maxBytes + BASE_BYTES) / 1024);
    // The shell sets the limit and becomes the process.
    // If the service itself has a lower limit, that one applies; without a shell there is only V8's limit.
    const limited = `ulimit -S -d ${kilobytes} 2>/dev/null; exec "$0" "$@"`;
    const [command, ...args] = hasShell() ? [SHELL, "-c", limited, ...deno] : deno;
    this.#process = new Deno.Command(command, {
      args,
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

  /** Sends a message. Nothing can be transferred to another process: everything is copied. */
  postMessage(message: ToWorker): void {
    // If the process is gone, its end is reported by `#read`.
    this.#writer.write(framed(message)).catch(() => {});
  }

  /** Kills the process; resolves when it is gone. */
  terminate(): Promise<void> {
    if (!this.#ended) {
      try {
        this.#process.kill("SIGKILL");
      } catch {
        // It has ended by itself a moment ago.
      }
    }
    this.#ended = true;
    return this.#gone;
  }

  async #read(): Promise<void> {
    try {
      for await (const message of messagesOf(this.#process.stdout)) {
        this.onmessage?.(new MessageEvent("message", { data: message as FromWorker }));
      }
    } catch {
      // A stream that breaks off in the middle of a message has ended, too.
    }
    const { code, signal } = await this.#process.status;
    await this.#writer.abort().catch(() => {});
    if (this.#ended) return;
    this.#ended = true;
    const message = `The worker ended (${signal ?? `code ${code}`}): it may have run out of memory.`;
    this.onerror?.(new ErrorEvent("error", { message, cancelable: true }));
  }
}

/** The other side: what the process reads and writes. The process ends when its input is closed. */
export function pipes(): JobScope {
  // Output of a library must not get between the messages.
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
