/** The service as a process of its own, as `deno task start` runs it. */

const MAIN = new URL("../../../main.ts", import.meta.url).pathname;
const { tasks } = JSON.parse(await Deno.readTextFile(new URL("../../../deno.json", import.meta.url)));
/** The permissions that `deno task start` gives. */
export const START_PERMISSIONS: string[] = tasks.start.command.split(" ").filter((word: string) =>
  word.startsWith("--allow-")
);

/** A running service. */
export interface Server {
  /** Empty: it only works (ROLES=worker). */
  origin: string;
  process: Deno.ChildProcess;
  /** Everything it has written so far. */
  output(): string;
  /** Sends a signal and waits for the end. */
  end(signal: Deno.Signal): Promise<Deno.CommandStatus>;
  /** Resident memory in bytes. */
  memory(): Promise<number>;
}

/**
 * Starts the service on a port of its own and waits until it is ready.
 *
 * @param files How many files it may have open; 0: as many as this process.
 */
export async function startServer(env: Record<string, string>, flags: string[] = [], files = 0): Promise<Server> {
  const deno = [Deno.execPath(), "run", ...START_PERMISSIONS, ...flags, MAIN];
  const [command, ...args] = files > 0 ? ["sh", "-c", `ulimit -n ${files} && exec "$0" "$@"`, ...deno] : deno;
  const process = new Deno.Command(command, {
    args,
    env: { PORT: "0", ...env },
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let text = "";
  let wake: () => void = () => {};
  const read = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>) => {
    for await (const piece of stream.pipeThrough(new TextDecoderStream())) {
      text += piece;
      wake();
    }
  };
  const reading = Promise.all([read(process.stdout), read(process.stderr)]).then(() => wake());
  let ended = false;
  const status = process.status.then((status) => {
    ended = true;
    wake();
    return status;
  });
  while (!/is ready/.test(text)) {
    if (ended) throw new Error(`The service did not start: ${text}`);
    await new Promise<void>((resolve) => wake = resolve);
  }
  return {
    origin: /(?:ready|metrics) at (http:\/\/[^/]+)/.exec(text)?.[1] ?? "",
    process,
    output: () => text,
    async end(signal) {
      process.kill(signal);
      const result = await status;
      await reading;
      return result;
    },
    async memory() {
      const line = /VmRSS:\s+(\d+) kB/.exec(await Deno.readTextFile(`/proc/${process.pid}/status`));
      return Number(line![1]) * 1024;
    },
  };
}
