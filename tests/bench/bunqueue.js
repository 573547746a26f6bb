/**
 * bunqueue under the load of peers.ts, run by Bun: no-op jobs with `durable` on, from the first add to the last end.
 * Arguments: the file of its store, the folder of its package. Prints one JSON object.
 */

const { Queue, Worker } = await import("bunqueue/client");

const [dataPath, library] = process.argv.slice(2);
const tasks = 10_000;
const shared = { embedded: true, dataPath };
const queue = new Queue("noop", shared);
const worker = new Worker("noop", () => Promise.resolve(null), { ...shared, concurrency: 512 });
let ended = 0;
worker.on("completed", () => ended++);

async function rate(count, add) {
  const wanted = ended + count;
  const begin = performance.now();
  await add(count);
  while (ended < wanted) await new Promise((resolve) => setTimeout(resolve, 2));
  return count / ((performance.now() - begin) / 1000);
}

async function single(count) {
  let left = count;
  await Promise.all(Array.from({ length: 100 }, async () => {
    while (left-- > 0) await queue.add("noop", {}, { durable: true });
  }));
}

async function bulk(count) {
  for (let left = count; left > 0; left -= 200) {
    await queue.addBulk(Array.from({ length: 200 }, () => ({ name: "noop", data: {}, opts: { durable: true } })));
  }
}

await rate(tasks / 4, single);
const found = { single: await rate(tasks, single), bulk: await rate(tasks, bulk) };
// A pragma belongs to a connection, and its own cannot be asked: what its schema sets is said.
const schema = await Bun.file(`${library}/dist/infrastructure/persistence/schema.js`).text();
found.pragma = /PRAGMA synchronous = (\w+)/.exec(schema)?.[1] ?? "not set";
console.log(JSON.stringify(found));
process.exit(0);
