/**
 * One instance of several on a KV Connect server. It starts to work when it reads a line, and ends at the next one, after
 * it has told how many of its claims were committed and refused.
 */

import { Queue } from "../../queue/queue.ts";
import { noop, sleepy } from "./measure.ts";

const kv = await Deno.openKv(Deno.args[0]);
const queue = new Queue({ kv, definitions: [noop, sleepy], distributed: true });
const lines = Deno.stdin.readable.getReader();
console.log("ready");
await lines.read();
await queue.start();
console.log("started");
await lines.read();
await queue.stop();
console.log(JSON.stringify(queue.claimStats));
kv.close();
Deno.exit(0);
