/** The stores that the queue runs on: in memory, on a file, and over KV Connect with a real `denokv` server. */

import { listeningEnds } from "../../../queue/watch/messages.ts";

/** An open store. */
export interface Store {
  kv: Deno.Kv;
  /** Whether instances share it: then it has the limits of KV Connect, the bell and sixteen lanes. */
  distributed: boolean;
  /** What another process opens it with. */
  path: string;
  close(): Promise<void>;
}

const TOKEN = "conformance-token";

async function findDenokv(): Promise<string | null> {
  for (const folder of [...(Deno.env.get("PATH") ?? "").split(":"), `${Deno.env.get("HOME")}/.cargo/bin`]) {
    const path = `${folder}/denokv`;
    if (folder && await Deno.stat(path).then(({ isFile }) => isFile, () => false)) return path;
  }
  return null;
}

/** Where denokv is, or null. */
export const DENOKV: string | null = await findDenokv();

async function onFile(): Promise<Store> {
  const directory = await Deno.makeTempDir();
  const path = `${directory}/store.db`;
  const kv = await Deno.openKv(path);
  return {
    kv,
    distributed: false,
    path,
    async close() {
      await closed(kv);
      await Deno.remove(directory, { recursive: true });
    },
  };
}

/** A KV Connect server on a port of its own. */
async function overConnect(): Promise<Store> {
  const directory = await Deno.makeTempDir();
  const process = new Deno.Command(DENOKV!, {
    args: ["--sqlite-path", `${directory}/store.db`, "serve", "--addr", "127.0.0.1:0", "--access-token", TOKEN],
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const reader = process.stderr.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!/Listening on (\S+)\n/.test(text)) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`denokv did not start: ${text}`);
    text += value;
  }
  // What it says from now on is of no concern, but must be read.
  const reading = (async () => {
    while (!(await reader.read()).done);
  })();
  const path = /Listening on (\S+)\n/.exec(text)![1];
  Deno.env.set("DENO_KV_ACCESS_TOKEN", TOKEN);
  const kv = await Deno.openKv(path);
  return {
    kv,
    distributed: true,
    path,
    async close() {
      await closed(kv);
      process.kill("SIGKILL");
      await process.status;
      await reading;
      await Deno.remove(directory, { recursive: true });
    },
  };
}

/** All of them, by name. The last is null where there is no denokv. */
export const STORES: Record<string, (() => Promise<Store>) | null> = {
  "in memory": async () => {
    const kv = await Deno.openKv(":memory:");
    return { kv, distributed: false, path: ":memory:", close: () => closed(kv) };
  },
  "in memory, shared": async () => {
    const kv = await Deno.openKv(":memory:");
    return { kv, distributed: true, path: ":memory:", close: () => closed(kv) };
  },
  "on a file": onFile,
  "over KV Connect": DENOKV ? overConnect : null,
};

/** Closes a handle, and waits until nothing listens to it any more. */
async function closed(kv: Deno.Kv): Promise<void> {
  kv.close();
  await listeningEnds(kv);
}
