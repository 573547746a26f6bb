/** Serves a store whose types are paused, looks around as a page would, and prints the bytes of its heap. */

import { defineTask } from "../../queue/define.ts";
import { Queue } from "../../queue/queue.ts";
import * as z from "zod";

const kv = await Deno.openKv(Deno.args[0]);
const definitions = ["red", "green", "blue"].map((type) =>
  defineTask({ type, title: "", description: "", params: z.any(), run: () => Promise.resolve(null) })
);
const queue = new Queue({ kv, definitions, concurrency: { red: 1, green: 1, blue: 1 } });
for (const { type } of definitions) {
  await kv.set(["pause", type], new TextEncoder().encode('{"by":"","at":"","reason":""}'));
}
await queue.start();
for (let i = 0; i < 20; i++) {
  await queue.list({}, 50);
  await queue.counts();
  await queue.health();
}
(globalThis as unknown as { gc(): void }).gc();
console.log(Deno.memoryUsage().heapUsed);
Deno.exit(0);
