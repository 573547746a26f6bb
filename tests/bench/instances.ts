/**
 * Instances that share one KV Connect server: 1, 2 and 4 processes on one `denokv`, with tasks that do nothing and with
 * tasks that take 200 ms, and how many of their claims were refused because another instance came first. The server and
 * all instances share the cores of this machine.
 */

import { Queue } from "../../queue/queue.ts";
import { STORES } from "../support/kv/stores.ts";
import { batchOf, noop, perSecond, rate, sleepy, submitBatches, untilEnded } from "./measure.ts";

const NOOPS = 40_000;
/** Of tasks that take 200 ms, for each instance: its end, when there is less and less to claim, is a small part. */
const SLEEPS = 8_000;
const CHILD = new URL("instance_child.ts", import.meta.url).pathname;

interface Instance {
  /** Sends a line and gives the answer. */
  ask(): Promise<string>;
  process: Deno.ChildProcess;
}

async function instance(path: string): Promise<Instance> {
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", CHILD, path],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const [input, output] = [process.stdin.getWriter(), process.stdout.getReader()];
  const answer = async () => new TextDecoder().decode((await output.read()).value).trim();
  await answer();
  return {
    process,
    async ask() {
      await input.write(new TextEncoder().encode("\n"));
      return await answer();
    },
  };
}

/** Tasks a second of waiting tasks, from the start of the instances to the last end. */
async function measure(
  task_type: string,
  count: number,
  instances: number,
): Promise<{ speed: number; refused: number }> {
  const store = await STORES["over KV Connect"]!();
  const queue = new Queue({ kv: store.kv, definitions: [noop, sleepy], distributed: true, worker: false });
  await queue.start();
  try {
    await submitBatches(queue, count, batchOf(task_type));
    const all = await Promise.all(Array.from({ length: instances }, () => instance(store.path)));
    const speed = await rate(count, async () => {
      await Promise.all(all.map(({ ask }) => ask()));
      await untilEnded(queue, count, 20);
    });
    const claims = (await Promise.all(all.map(({ ask }) => ask()))).map((text) => JSON.parse(text));
    await Promise.all(all.map(({ process }) => process.status));
    const [committed, refused] = ["committed", "refused"].map((name) =>
      claims.reduce((sum, one) => sum + one[name], 0)
    );
    return { speed, refused: refused / (committed + refused) };
  } finally {
    await queue.stop();
    await store.close();
  }
}

async function submits(): Promise<number> {
  const store = await STORES["over KV Connect"]!();
  const queue = new Queue({ kv: store.kv, definitions: [noop, sleepy], distributed: true, worker: false });
  await queue.start();
  try {
    return await rate(NOOPS, () => submitBatches(queue, NOOPS));
  } finally {
    await queue.stop();
    await store.close();
  }
}

if (!STORES["over KV Connect"]) {
  console.log("Left out: denokv is not installed (cargo install denokv).");
  Deno.exit(0);
}
console.log(`Deno ${Deno.version.deno}, ${navigator.hardwareConcurrency} cores, one denokv on the same machine\n`);
console.log(`submits in batches of 200                 ${perSecond(await submits())}`);
for (const [name, type] of [["no-op", "noop"], ["200 ms", "sleepy"]]) {
  for (const instances of [1, 2, 4]) {
    const count = type === "noop" ? NOOPS : instances * SLEEPS;
    const { speed, refused } = await measure(type, count, instances);
    const most = type === "sleepy" ? `, of ${(instances * 500).toLocaleString("en")} /s that 100 slots each allow` : "";
    console.log(
      `${name.padEnd(6)} ${instances} ${instances === 1 ? "instance " : "instances"}                       ` +
        `${perSecond(speed)}   ${(100 * refused).toFixed(1)} % of the claims refused${most}`,
    );
  }
}
Deno.exit(0);
