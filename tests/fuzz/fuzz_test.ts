/**
 * Random damage to pictures, HTTP, WebSockets and JSON, against the service as `deno task start` runs it: it does not
 * crash, answers no 500, stays small, and `/api/health` answers.
 *
 * `deno task test:fuzz` runs the short form, `--long` the long one; `--seed=N` repeats a run.
 */

import { Buffer } from "node:buffer";
import { gzipSync } from "node:zlib";
import { encode } from "../../queue/handlers/image/encode.ts";
import { OUTPUT_FORMATS } from "../../queue/handlers/image/formats.ts";
import { open } from "../../queue/handlers/image/vips.ts";
import { Random } from "../../queue/handlers/random.ts";
import { LONG, pause, SEED } from "../fault/harness.ts";
import { assertEquals, ok } from "../support/assert.ts";
import { withDirectory } from "../support/directory.ts";
import { HAS_MAGICK, made } from "../support/images/magick.ts";
import { paint } from "../support/images/run.ts";
import { dial, dialWebSocket, frame, readUntil, writeAll } from "../support/http/raw_socket.ts";
import { type Server, startServer } from "../support/http/server.ts";
import { altered, damaged, oneOf, randomJson, upTo } from "./damage.ts";

const TIMES = LONG ? 20 : 1;
/** What the service may take at its peak. Bytes. */
const MOST_MEMORY = 700e6;
/** How long an answer to nonsense is waited for before the connection is closed from here. Milliseconds. */
const PATIENCE_MS = 300;

/** Runs a service, hurts it, and looks how it is. */
function fuzz(name: string, hurt: (server: Server, random: Random) => Promise<void>): void {
  Deno.test(`random ${name}: no crash, no 500, bounded memory, health answers`, async () => {
    console.log(`random ${name}: seed ${SEED}`);
    await withDirectory(async (directory) => {
      const server = await startServer({ KV_PATH: `${directory}/store.db`, NO_COLOR: "1" });
      try {
        await hurt(server, new Random(SEED));
        const health = await fetch(`${server.origin}/api/health`);
        assertEquals([health.status, (await health.json()).status], [200, "healthy"]);
        if (Deno.build.os === "linux") {
          const status = await Deno.readTextFile(`/proc/${server.process.pid}/status`);
          const peak = Number(/VmHWM:\s+(\d+) kB/.exec(status)![1]) * 1024;
          ok(peak < MOST_MEMORY, `${peak} bytes`);
        }
        const faults = server.output().split("\n").filter((line) => / (ERROR|error) /.test(line));
        assertEquals(faults, []);
      } catch (error) {
        console.error(`repeat with --seed=${SEED}\n${server.output().slice(-3_000)}`);
        throw error;
      } finally {
        await server.end("SIGTERM");
      }
    });
  });
}

/** Pictures of all kinds. */
async function pictures(): Promise<Uint8Array[]> {
  const picture = paint(90, 70, (x, y) => [x * 2, y * 3, x ^ y, x < 40 ? 255 : 128]);
  const png = await encode(picture, "png", 90);
  const all = await Promise.all(OUTPUT_FORMATS.map((format) => encode(picture, format, 90)));
  all.push(new Uint8Array(await open(png).tiff({ compression: "lzw", tile: true }).toBuffer()));
  const frames = Buffer.concat([picture.data, picture.data]);
  for (const format of ["gif", "webp"] as const) {
    all.push(await encode({ ...picture, data: frames, animation: { delays: [90, 90], loop: 0 } }, format, 80));
  }
  if (!HAS_MAGICK) return all;
  const files: [string[], string][] = [
    [["-interlace", "plane"], "a.jpg"],
    [["-colorspace", "CMYK"], "a.jpg"],
    [["-compress", "zip", "-interlace", "plane"], "a.tif"],
    [["-threshold", "50%", "-compress", "group4"], "a.tif"],
    [["-compress", "jpeg", "-define", "tiff:tile-geometry=32x32"], "a.tif"],
    [[], "a.bmp"],
    [["-colors", "60", "-compress", "rle"], "BMP3:a.bmp"],
    [[], "a.heic"],
    [["-depth", "16"], "a.png"],
    [["-colors", "30"], "PNG8:a.png"],
  ];
  for (const [args, name] of files) all.push(await made(png, args, name));
  return all;
}

fuzz("damage to pictures", async ({ origin }, random) => {
  const originals = await pictures();
  for (let batch = 0; batch < 10 * TIMES; batch++) {
    const upload_ids: string[] = [];
    for (let i = 0; i < 20; i++) {
      const body = new Uint8Array(damaged(originals[(batch * 20 + i) % originals.length], random));
      const answer = await fetch(`${origin}/api/uploads?name=${i}`, { method: "POST", body: body.length ? body : "x" });
      upload_ids.push((await answer.json()).upload_id);
    }
    const answer = await fetch(`${origin}/api/tasks/submit`, {
      method: "POST",
      headers: { "Content-Type": "application/json", Prefer: "wait=60" },
      body: JSON.stringify({
        task_type: "image_processing",
        input_params: { upload_ids, format: "auto", animation: oneOf(random, ["keep", "first"]), target_width: 100 },
      }),
    });
    const { id, status } = await answer.json();
    let ended = status;
    while (!["SUCCESS", "FAILED"].includes(ended)) {
      await pause(200);
      ended = (await (await fetch(`${origin}/api/tasks/${id}`)).json()).status;
    }
    const task = await (await fetch(`${origin}/api/tasks/${id}`)).json();
    assertEquals(task.attempts.length, 1, JSON.stringify(task.attempts));
    for (const image of task.result?.images ?? []) ok(image.ok || image.error.length > 10);
  }
});

/** What comes back within a moment, until it is enough or the server hangs up; then the connection is closed. */
async function whatComesBack(
  connection: Deno.TcpConn,
  isEnough: (bytes: Uint8Array) => boolean = () => false,
): Promise<string> {
  let closed = false;
  const close = () => {
    if (!closed) connection.close();
    closed = true;
  };
  const timer = setTimeout(close, PATIENCE_MS);
  const read = await readUntil(connection, isEnough);
  clearTimeout(timer);
  close();
  return new TextDecoder("latin1").decode(read);
}

/** The status of what the server answers to a request of any bytes; null: it hung up or said nothing. */
async function statusOf(origin: string, bytes: Uint8Array): Promise<number | null> {
  const connection = await dial(origin);
  await writeAll(connection, bytes);
  const answer = await whatComesBack(connection, (read) => read.length > 12);
  const status = /^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1];
  return status ? Number(status) : null;
}

fuzz("bytes for HTTP", async ({ origin }, random) => {
  const { host } = new URL(origin);
  const body = JSON.stringify({ task_type: "image_processing", input_params: { num_images: 1 }, delay: 3_600 });
  const form = '--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\na,b\r\n--x--\r\n';
  const post = (path: string, type: string, content: string) =>
    `POST ${path} HTTP/1.1\r\nHost: ${host}\r\nContent-Type: ${type}\r\nContent-Length: ${content.length}\r\n\r\n${content}`;
  const requests = [
    post("/api/tasks/submit", "application/json", body),
    post("/api/tasks/batch", "application/json", `{"tasks":[${body},${body}]}`),
    post("/api/uploads", "multipart/form-data; boundary=x", form),
    post("/tasks", "multipart/form-data; boundary=x", form),
    post("/login", "application/x-www-form-urlencoded", "token=a&back=%2F"),
    `POST /api/tasks/submit HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`,
    `GET /api/tasks/?status=FAILED&q=error:x&limit=5&created_from=2030-01-01T00:00:00Z HTTP/1.1\r\nHost: ${host}\r\nAccept: */*\r\n\r\n`,
    `GET /?task=01J0000000000000000000000Z&q=type:a&tab=logs HTTP/1.1\r\nHost: ${host}\r\nCookie: a=b\r\nLast-Event-ID: 1/2/3/4\r\n\r\n`,
    `GET /api/series?range=1h&task_type=a HTTP/1.1\r\nHost: ${host}\r\nRange: bytes=0-1\r\n\r\n`,
    `GET /static/../main.ts HTTP/1.1\r\nHost: ${host}\r\nIf-None-Match: "x"\r\n\r\n`,
    `GET /ws HTTP/1.1\r\nHost: ${host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
  ].map((text) => Buffer.from(text));
  const seen = new Map<number | null, number>();
  for (let i = 0; i < 400 * TIMES; i += 20) {
    const some = Array.from({ length: 20 }, (_, k) => damaged(requests[(i + k) % requests.length], random));
    for (const [k, status] of (await Promise.all(some.map((bytes) => statusOf(origin, bytes)))).entries()) {
      seen.set(status, (seen.get(status) ?? 0) + 1);
      ok(status === null || status < 500, `${status} to ${JSON.stringify(some[k].toString("latin1"))}`);
    }
  }
  ok(seen.get(400), JSON.stringify([...seen]));
});

fuzz("frames for WebSockets", async ({ origin }, random) => {
  const messages = [
    { type: "subscribe", sub: "a", task_types: ["noop"], statuses: ["FAILED"], since: "0" },
    { type: "subscribe", sub: "b", id: "01J0000000000000000000000Z", after: "1:2" },
    { type: "unsubscribe", sub: "a" },
    { type: "ping" },
  ];
  for (let i = 0; i < 100 * TIMES; i += 10) {
    await Promise.all(Array.from({ length: 10 }, async () => {
      const connection = await dialWebSocket(origin);
      for (let n = 0; n < 5; n++) {
        const text = Buffer.from(JSON.stringify(altered(oneOf(random, messages), random)));
        const payload = random.next() < 0.3 ? damaged(text, random) : text;
        const bytes = frame(random.next() < 0.8 ? 1 : upTo(random, 16), payload, random.next() > 0.1);
        if (!await writeAll(connection, random.next() < 0.2 ? damaged(bytes, random) : bytes)) break;
      }
      await whatComesBack(connection);
    }));
  }
});

fuzz("JSON", async ({ origin }, random) => {
  const task = {
    task_type: "image_processing",
    input_params: { num_images: 1, sizes: ["200x200"], format: "auto", watermark_text: "a" },
    priority: 5,
    tags: ["a"],
    delay: 3_600,
    unique: { key: "a", period: 60 },
    retention: 60,
  };
  const webhook = {
    task_type: "webhook_delivery",
    input_params: { url: "http://example.com/", body: { a: [1] } },
    delay: 9_000,
  };
  const bodies: [path: string, body: unknown][] = [
    ["/api/tasks/submit", task],
    ["/api/tasks/submit", webhook],
    ["/api/tasks/batch", { tasks: [{ ...task, ref: "a" }, { ...webhook, depends_on: ["a"] }] }],
    ["/api/tasks/bulk", { action: "cancel", filter: { status: "PENDING", q: "x" }, as_of: "0" }],
    ["/api/schedules", { cron: "0 2 * * *", timezone: "Europe/Zurich", name: "a", ...webhook, delay: undefined }],
    ["/api/suppressions", { addresses: ["a@example.com"], reason: "x" }],
    ["/api/task-types/image_processing/pause", { reason: "x" }],
    ["/api/tasks/01J0000000000000000000000Z/retry", { from: "start" }],
  ];
  // A gzip bomb each time, and numbers that no serializer writes.
  const bomb = gzipSync(new Uint8Array(60_000_000));
  for (let i = 0; i < 40; i++) {
    const answer = await fetch(`${origin}/api/tasks/submit`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "Content-Encoding": "gzip" },
      body: new Uint8Array(random.next() < 0.8 ? bomb : damaged(bomb, random)),
    });
    await answer.body?.cancel();
    ok([400, 413].includes(answer.status), `${answer.status} to a bomb`);
  }
  const numbers = ["1e400", "-0", "9".repeat(40), "1E+2", "0.10", "1e-400", "12345678901234567890"];
  const made: string[] = [];
  for (let i = 0; i < 600 * TIMES; i += 20) {
    await Promise.all(Array.from({ length: 20 }, async (_, k) => {
      const [path, body] = bodies[(i + k) % bodies.length];
      const sent = random.next() < 0.1 ? randomJson(random) : altered(body, random);
      const text = (JSON.stringify(sent) ?? "null").replace(
        /\b\d+\b/,
        (n) => random.next() < 0.1 ? oneOf(random, numbers) : n,
      );
      const answer = await fetch(`${origin}${path}`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: random.next() < 0.1 ? new Uint8Array(damaged(Buffer.from(text), random)) : text,
      });
      const { id } = await answer.json();
      ok(answer.status < 500, `${answer.status} to ${path} ${text.slice(0, 2_000)}`);
      if (answer.status === 201 && typeof id === "string") made.push(id);
    }));
  }
  ok(made.length > 5);
  // Whatever was accepted is drawn.
  for (const id of made.slice(0, 40)) {
    for (const tab of ["input", "output", "logs"]) {
      const page = await fetch(`${origin}/?task=${id}&tab=${tab}`, { headers: { Accept: "text/html" } });
      assertEquals(page.status, 200);
      await page.body?.cancel();
    }
  }
});
