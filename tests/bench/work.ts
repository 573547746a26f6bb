/**
 * What real work costs: a large CSV, many photos and a large mailing on the real service, and how quick it answers
 * meanwhile.
 *
 * `deno task bench:work` takes a CSV of 200 MB; `--long` one of 1 GB.
 */

import { CsvParseStream } from "@std/csv";
import { deflateSync } from "node:zlib";
import nodemailer from "nodemailer";
import { encode } from "../../queue/handlers/image/encode.ts";
import { Random } from "../../queue/handlers/random.ts";
import type { Task } from "../../queue/task/summary.ts";
import { pngHeader } from "../support/images/files.ts";
import { pngChunk } from "../../queue/handlers/image/png_chunks.ts";
import { type Server, startServer } from "../support/http/server.ts";
import { quantiles } from "./measure.ts";
import { HEIGHT, photo, rate, WIDTH } from "./images/photo.ts";

const LONG = Deno.args.includes("--long");
const CSV_BYTES = LONG ? 1_000_000_000 : 200_000_000;
/** The clock ticks of /proc/PID/stat in a second (sysconf _SC_CLK_TCK, 100 on every Linux). */
const TICKS = 100;

const directory = await Deno.makeTempDir();
const say = (what: string, value: string) => console.log(`${what.padEnd(58)} ${value}`);
const mb = (bytes: number) => (bytes / 1e6).toFixed(0);

/** Seconds of processor time that a process has used. */
async function cpuSeconds({ process }: Server): Promise<number> {
  const stat = await Deno.readTextFile(`/proc/${process.pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

async function upload(origin: string, name: string, body: BodyInit): Promise<string> {
  const answer = await fetch(`${origin}/api/uploads?name=${name}`, { method: "POST", body });
  if (answer.status !== 201) throw new Error(await answer.text());
  return (await answer.json()).upload_id;
}

/** Deno's own client sends a stream ten times slower than curl does. */
async function uploadByCurl(origin: string, path: string): Promise<string> {
  const args = ["-sS", "--fail-with-body", "-X", "POST", "-T", path, `${origin}/api/uploads?name=orders.csv`];
  const { success, stdout } = await new Deno.Command("curl", { args }).output();
  const answer = new TextDecoder().decode(stdout);
  if (!success) throw new Error(answer);
  return JSON.parse(answer).upload_id;
}

/** Submits a task and waits for its end; `during` is told now and then. */
async function runTask(
  origin: string,
  task_type: string,
  input_params: unknown,
  during: () => Promise<void> = () => Promise.resolve(),
): Promise<Task> {
  const answer = await fetch(`${origin}/api/tasks/submit`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ task_type, input_params }),
  });
  if (answer.status !== 201) throw new Error(await answer.text());
  const { id } = await answer.json();
  while (true) {
    await during();
    const task: Task = await (await fetch(`${origin}/api/tasks/${id}`)).json();
    if (task.completed_at) return task;
  }
}

const secondsOf = (task: Task) => (Date.parse(task.completed_at!) - Date.parse(task.started_at!)) / 1000;

/** A made-up CSV of orders, streamed. */
function csvOf(bytes: number): ReadableStream<Uint8Array> {
  const random = new Random(1);
  let id = 0;
  let left = bytes;
  return new ReadableStream({
    pull(controller) {
      let text = id === 0 ? "order_id,date,product,region,quantity,unit_price,express,customer,note\n" : "";
      for (let i = 0; i < 2_000; i++) {
        const day = `2025-${String(1 + id % 12).padStart(2, "0")}-${String(1 + id % 28).padStart(2, "0")}`;
        const product = ["Kettle", '"Lamp, small"', "Desk"][id % 3];
        const price = (5 + random.next() * 495).toFixed(2);
        const customer = `person${Math.floor(random.next() * 1e6)}@example.com`;
        text += `${++id},${day},${product},${["North", "South", ""][id % 3]},${1 + id % 20},${price},${id % 5 === 0},` +
          `${customer},left with the neighbour on floor ${id % 9}\n`;
      }
      const chunk = new TextEncoder().encode(text);
      controller.enqueue(chunk);
      left -= chunk.length;
      if (left <= 0) controller.close();
    },
  }, { highWaterMark: 0 });
}

async function benchCsv(): Promise<void> {
  const path = `${directory}/csv.db`;
  const server = await startServer({ KV_PATH: path, MAX_UPLOAD_BYTES: "4000000000" });
  const file = `${directory}/orders.csv`;
  await Deno.writeFile(file, csvOf(CSV_BYTES));
  const size = (await Deno.stat(file)).size;
  const started = performance.now();
  const upload_id = await uploadByCurl(server.origin, file);
  say(`CSV of ${mb(size)} MB: upload by curl`, `${(size / 1e3 / (performance.now() - started)).toFixed(0)} MB/s`);
  await Deno.remove(file);
  // A small one first: the code is warm then.
  await runTask(server.origin, "csv_processing", {
    upload_id: await upload(server.origin, "w.csv", csvOf(20_000_000)),
  });
  const before = await cpuSeconds(server);
  const memory: number[] = [];
  const task = await runTask(server.origin, "csv_processing", { upload_id }, async () => {
    memory.push(await server.memory());
    await new Promise((resolve) => setTimeout(resolve, 100));
  });
  if (task.status !== "SUCCESS") throw new Error(JSON.stringify(task.error));
  const cpu = await cpuSeconds(server) - before;
  const speed = size / 1e6 / secondsOf(task);
  say("  statistics of nine columns, from start to end", `${speed.toFixed(0)} MB/s`);
  say("  per second of processor time, all threads", `${(size / 1e6 / cpu).toFixed(0)} MB/s`);
  const third = Math.floor(memory.length / 3);
  const most = (part: number[]) => mb(Math.max(...part));
  say(
    "  memory of the service, first, second and last third",
    [0, 1, 2].map((i) => `${most(memory.slice(i * third, (i + 1) * third))} MB`).join(", "),
  );
  await server.end("SIGTERM");

  const kv = await Deno.openKv(path);
  let read = 0;
  const readStart = performance.now();
  for await (const { value } of kv.list<Uint8Array>({ prefix: ["blob"] }, { batchSize: 16 })) {
    read += value.length;
    if (read >= size) break;
  }
  const raw = read / 1e3 / (performance.now() - readStart);
  kv.close();
  say(
    "  reading the file out of the store, and nothing else",
    `${raw.toFixed(0)} MB/s (${(raw / speed).toFixed(1)} times as fast)`,
  );

  const sample = 50_000_000;
  const parseStart = performance.now();
  let rows = 0;
  const text = csvOf(sample).pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>);
  for await (const _ of text.pipeThrough(new CsvParseStream())) rows++;
  const parser = sample / 1e3 / (performance.now() - parseStart);
  say(
    "  CsvParseStream alone (making its input up included)",
    `${parser.toFixed(0)} MB/s (${rows.toLocaleString("en")} rows)`,
  );
}

const MAILS = 20_000;

/** A mailing of the service, and the same messages by the pool of nodemailer alone, to one server. */
async function benchMail(): Promise<void> {
  console.log(`\n${MAILS.toLocaleString("en")} mails to an SMTP server on this machine, by 5 connections:`);
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", new URL("smtp_child.ts", import.meta.url).pathname],
    stdout: "piped",
  }).spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const url = `smtp://127.0.0.1:${Number((await lines.read()).value)}`;
  const people = Array.from({ length: MAILS }, (_, i) => ({ email: `person${i}@example.com`, name: `Person ${i}` }));
  const subject = (name: string) => `Dear ${name}`;
  const body = (name: string) => `Hello ${name},\n\n${"the shop has moved. ".repeat(20)}`;
  // A short mailing each time first: the code is warm then.
  const bare = async (to: typeof people) => {
    const pool = nodemailer.createTransport({ pool: true, url, maxConnections: 5, maxMessages: Infinity } as never);
    const start = performance.now();
    await Promise.all(to.map(({ email, name }, i) =>
      pool.sendMail({
        from: "Mill <mill@a.example>",
        to: { name, address: email },
        subject: subject(name),
        text: body(name),
        messageId: `<${i}@a.example>`,
      })
    ));
    pool.close();
    return to.length / (performance.now() - start) * 1000;
  };
  await bare(people.slice(0, 2_000));
  const alone = await bare(people);
  say("  nodemailer's pool alone", `${alone.toFixed(0)} mails/s`);

  const server = await startServer({ KV_PATH: `${directory}/mail.db`, SMTP_URL: url });
  const mailing = async (to: typeof people) => {
    const list = `email,name\n${to.map(({ email, name }) => `${email},${name}`).join("\n")}\n`;
    const params = { upload_id: await upload(server.origin, "list.csv", list), rate_per_second: 10_000 };
    const texts = { subject: subject("{{name}}"), body: body("{{name}}") };
    return await runTask(server.origin, "email_sending", { ...params, ...texts }, async () => {
      await new Promise((resolve) => setTimeout(resolve, 100));
    });
  };
  await mailing(people.slice(0, 2_000));
  const task = await mailing(people);
  if ((task.result as { sent?: number } | null)?.sent !== MAILS) throw new Error(JSON.stringify(task.error));
  const rate = MAILS / secondsOf(task);
  say(
    "  a mailing of the service, each outcome stored",
    `${rate.toFixed(0)} mails/s (${(rate / alone * 100).toFixed(0)} %)`,
  );
  await server.end("SIGTERM");
  child.kill();
  await lines.cancel();
  await child.status;
}

const COUNT = 20;

async function benchImages(): Promise<void> {
  // Without --allow-ffi, the Wasm build does the same work.
  for (const flags of [["--allow-ffi"], []]) {
    const args = ["run", "--no-prompt", "--allow-read", "--allow-env", "--allow-sys", ...flags];
    const script = new URL("./images/photos.ts", import.meta.url).pathname;
    const { success } = await new Deno.Command(Deno.execPath(), { args: [...args, script], stderr: "null" }).spawn()
      .status;
    if (!success) throw new Error("The photos could not be measured.");
  }
  const files = await Promise.all([0, 1, 2, 3].map((i) => encode(photo(WIDTH, HEIGHT, i), "jpeg", 90)));
  const all = Array.from({ length: COUNT }, (_, i) => files[i % files.length]);
  const server = await startServer({ KV_PATH: `${directory}/images.db` });
  const upload_ids = [];
  for (const [i, file] of all.entries()) upload_ids.push(await upload(server.origin, `${i}.jpg`, file));
  const pause = () => new Promise<void>((resolve) => setTimeout(resolve, 50));
  const params = { upload_ids, target_width: 800, target_height: 600, format: "jpeg" };
  console.log("\nThe same photos by the service:");
  const task = await runTask(server.origin, "image_processing", params, pause);
  say("  as one task, files read and kept", rate(COUNT, secondsOf(task) * 1000));
  const both = await Promise.all([0, 1].map(() => runTask(server.origin, "image_processing", params, pause)));
  say("  as two tasks at once", rate(2 * COUNT, Math.max(...both.map(secondsOf)) * 1000));
  await benchHealth(server, upload_ids);
  await server.end("SIGTERM");
}

/** What no image is, or none that should be decoded. */
async function nastyFiles(): Promise<[string, Uint8Array<ArrayBuffer>][]> {
  const jpeg = await encode(photo(2_000, 1_500, 9), "jpeg", 90);
  const bomb = [...pngHeader(5_000, 5_000), ...pngChunk("IDAT", deflateSync(new Uint8Array(400_000_000)))];
  return [
    ["header.png", pngHeader(30_000, 30_000)],
    ["bomb.png", new Uint8Array(bomb)],
    ["cut.jpg", jpeg.slice(0, jpeg.length / 2)],
    ["drawing.svg", new TextEncoder().encode("<svg xmlns='http://www.w3.org/2000/svg'/>")],
    ["text.png", new TextEncoder().encode("just a text")],
  ];
}

async function benchHealth(server: Server, photos: string[]): Promise<void> {
  const nasty: string[] = [];
  for (const [name, file] of await nastyFiles()) nasty.push(await upload(server.origin, name, file));
  const params = { upload_ids: [...nasty, ...photos.slice(0, 15)], format: "webp" };
  let busy = 2;
  const tasks = Promise.all([0, 1].map(() =>
    runTask(server.origin, "image_processing", params, async () => {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }).finally(() => busy--)
  ));
  const times: number[] = [];
  while (busy > 0) {
    const start = performance.now();
    const answer = await fetch(`${server.origin}/api/health`);
    await answer.body?.cancel();
    if (answer.status !== 200) throw new Error(`health answered ${answer.status}`);
    times.push(performance.now() - start);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const { p50, p99 } = quantiles(times);
  console.log(
    `\n/api/health while two tasks resize photos and meet ${nasty.length} bad files each (${times.length} calls):`,
  );
  say("  p50, p99 (to be under 50 ms)", `${p50.toFixed(1)} ms, ${p99.toFixed(1)} ms`);
  const [{ result }] = await tasks;
  for (const { error, name } of (result as unknown as { images: { error?: string; name: string }[] }).images) {
    if (error) say(`    ${name}`, error.slice(0, 90));
  }
}

/** What is measured: `csv`, `images`, `mail`; by default everything. */
const only = Deno.args.filter((arg) => !arg.startsWith("--"));
try {
  for (const [name, run] of Object.entries({ csv: benchCsv, images: benchImages, mail: benchMail })) {
    if (only.length === 0 || only.includes(name)) await run();
  }
} finally {
  await Deno.remove(directory, { recursive: true });
}
