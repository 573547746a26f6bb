/** What strangers put into files, lists, templates, logs and answers. */

import { createServer } from "node:net";
import { deflateSync } from "node:zlib";
import { systemClock } from "../../queue/task/clock.ts";
import { parseRecipients } from "../../queue/handlers/email/recipients.ts";
import { fieldsOf, fill, filledLength } from "../../queue/handlers/email/template.ts";
import { isPublic, post, systemResolver } from "../../queue/handlers/webhook/post.ts";
import { createLogger, logOf } from "../../queue/log.ts";
import { Searches } from "../../queue/store/searches.ts";
import type { Task } from "../../queue/task/summary.ts";
import { assertEquals, assertMatch, assertRejects, ok } from "../support/assert.ts";
import { atMostOncePerSecond } from "../../routes/app.ts";
import { withApp } from "../support/http/app.ts";
import { withDirectory } from "../support/directory.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { reaches } from "../support/queue.ts";
import { dial, writeAll } from "../support/http/raw_socket.ts";
import { START_PERMISSIONS, startServer } from "../support/http/server.ts";

Deno.test("a module of the log may have a level of its own, and every line of it says which it is", () => {
  const lines: string[] = [];
  const ids = () => ({ trace_id: "0af7651916cd43dd8448eb211c80319c" });
  const levels = { level: "warn" as const, levels: { run: "debug" as const } };
  const log = createLogger(levels, "json", () => 0, (line) => lines.push(line), ids);
  log.info("not written");
  logOf(log, "http").info("not written either");
  logOf(log, "run").debug("written", { task_id: "1" });
  logOf(log, "http").warn("written too");
  const common = { time: "1970-01-01T00:00:00.000Z", ...ids() };
  assertEquals(lines.map((line) => JSON.parse(line)), [
    { ...common, level: "debug", message: "written", module: "run", task_id: "1" },
    { ...common, level: "warn", message: "written too", module: "http" },
  ]);
});

Deno.test("a template of openings and spaces is read in one pass, and nothing is lost of it", () => {
  for (const text of [`{{${" ".repeat(9_990)}`, "{{ a".repeat(20_000), "{".repeat(50_000), "}}".repeat(20_000)]) {
    assertEquals(fieldsOf(text), []);
    assertEquals(fill(text, { a: "x" }), text);
  }
  assertEquals(fill("{{{ a }}} {{b}} {{ c d }} {{}} {{e", { a: "1", "c d": "2" }), "{1} {{b}} 2 {{}} {{e");
  assertEquals(fieldsOf("{{a}}{{ b }}{{a}}"), ["a", "b", "a"]);
});

Deno.test("the size of a filled message is known before it is made, and too large a one is skipped with its reason", async () => {
  assertEquals(filledLength("{{a}}-{{b}}-{{a}}", { a: "12345" }), 17);
  const long = (rows: string) => new TextEncoder().encode(rows);
  await assertRejects(
    parseRecipients(long(`email,a\na@example.com,${"x".repeat(200_000)}\n`)),
    /the value of a in row 1/,
  );
  const wide = Array.from({ length: 10 }, (_, i) => `c${i}`);
  const row = wide.map(() => "y".repeat(30_000)).join(",");
  await assertRejects(parseRecipients(long(`email,${wide.join(",")}\na@example.com,${row}\n`)), /row 1 has/);

  await withApp({}, async ({ call, submit, queue }) => {
    const list = `email,a\nana@example.com,${"x".repeat(30_000)}\nben@example.com,short\n`;
    const { upload_id } = await (await call("/api/uploads?name=list.csv", { method: "POST", body: list })).json();
    const task = await submit("email_sending", {
      upload_id,
      body: "{{a}}".repeat(2_000),
      delay_per_email: 0.5,
      rate_per_second: 1_000,
    });
    const { task: { result } } = await reaches(queue, task.id, "SUCCESS");
    const { sent, skipped, failures } = result as { sent: number; skipped: number; failures: { reason: string }[] };
    assertEquals([sent, skipped], [1, 1]);
    assertMatch(failures[0].reason, /the message would have 60,\d{3},\d{3} characters; 10,000,000 are allowed/);
  });
});

Deno.test("an unsubscribe address with letters beyond ASCII becomes a header of ASCII alone", async () => {
  await withApp({}, async ({ call, submit, queue }) => {
    const task = await submit("email_sending", {
      recipients: ["ana@example.com"],
      list_unsubscribe: "https://exämple.com/é?who={{email}}",
      rate_per_second: 1_000,
    });
    await reaches(queue, task.id, "SUCCESS");
    const bytes = await (await call(`/api/tasks/${task.id}/artifacts/0001.eml`)).bytes();
    const head = new TextDecoder("latin1").decode(bytes).split("\r\n\r\n")[0];
    ok(/^[\x20-\x7e\r\n\t]*$/.test(head), head);
    assertMatch(
      head.replaceAll(/\r\n\s+/g, ""),
      /^List-Unsubscribe: ?<https:\/\/xn--exmple-cua\.com\/%C3%A9\?who=ana%40example\.com>/m,
    );
  });
});

Deno.test("outcomes.csv and summary.csv hold nothing that a spreadsheet would run", async () => {
  await withApp({}, async ({ call, submit, queue }) => {
    const upload = async (text: string) =>
      (await (await call("/api/uploads?name=a.csv", { method: "POST", body: text })).json()).upload_id as string;
    const list = await upload("email\n=cmd|' /C calc'!A0\n");
    const mailing = await submit("email_sending", { upload_id: list, rate_per_second: 1_000 });
    await reaches(queue, mailing.id, "SUCCESS", "FAILED");
    const outcomes = await (await call(`/api/tasks/${mailing.id}/artifacts/outcomes.csv`)).text();
    assertMatch(outcomes, /1,'=cmd\|/);
    const csv = await submit("csv_processing", { upload_id: await upload("@SUM(A1),n\n=1+1,-5\n=1+1,7\n") });
    await reaches(queue, csv.id, "SUCCESS");
    const summary = await (await call(`/api/tasks/${csv.id}/artifacts/summary.csv`)).text();
    for (const cell of summary.split(/[,\r\n]+/)) ok(!/^"?[=+@]/.test(cell), `${cell} in ${summary}`);
    assertMatch(summary, /'@SUM/);
  });
});

Deno.test("a line break and a terminal's commands in a log make no line of their own, in logs.txt and in the service's log", async () => {
  await withApp({}, async ({ call, submit, held, queue }) => {
    const task = await submit("held");
    const handler = await held.next();
    handler.ctx.log.info("one\n2030-01-01T00:00:00.000Z 1 ERROR forged\u001b[2J\r\u009b31m");
    handler.finish();
    await reaches(queue, task.id, "SUCCESS");
    const text = await (await call(`/api/tasks/${task.id}/logs.txt`)).text();
    assertEquals(text.split("\n").length, 2);
    // deno-lint-ignore no-control-regex
    ok(!/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/.test(text), text);
    assertMatch(text, /one\\n2030-01-01.*forged\\u001b\[2J\\r\\u009b31m/);
  });
  const lines: string[] = [];
  const log = createLogger("info", "text", () => 0, (line) => lines.push(line));
  log.info("a\nb", { error: new Error("c\nd"), name: "e\u001b[0m" });
  assertEquals(lines.length, 1);
  // deno-lint-ignore no-control-regex
  ok(!/[\n\u001b]/.test(lines[0]));
  createLogger("info", "json", () => 0, (line) => lines.push(line)).info("a\u0085b\u2028c");
  ok(!/[\u0080-\u009f\u2028]/.test(lines[1]));
  assertEquals(JSON.parse(lines[1]).message, "a\u0085b\u2028c");
});

Deno.test("what clients bring about at will is logged once a second, with how often it has happened", () => {
  const clock = new FakeClock();
  const told: number[] = [];
  const tell = atMostOncePerSecond(clock, (count) => told.push(count));
  for (let i = 0; i < 1_000; i++) tell();
  assertEquals(told, [1]);
  clock.sleep(1_000);
  tell();
  assertEquals(told, [1, 1_000]);
});

Deno.test("a file name of 400 characters is not found, and nothing is logged as a fault of the service", async () => {
  await withApp({ worker: false }, async ({ call }) => {
    for (const path of [`/static/${"a".repeat(400)}.css`, `/static/build/${"b".repeat(400)}.js`]) {
      const answer = await call(path);
      assertEquals([answer.status, (await answer.json()).code], [404, "not_found"]);
    }
  });
});

Deno.test("the page of a task with a long log holds its last 200 lines and no more", async () => {
  await withApp({}, async ({ call, submit, held, queue }) => {
    const task = await submit("held");
    const handler = await held.next();
    for (let i = 0; i < 2_000; i++) handler.ctx.log.info(`line ${i} ${"x".repeat(2_000)}`);
    handler.finish();
    await reaches(queue, task.id, "SUCCESS");
    const html = await (await call(`/?task=${task.id}&tab=logs`)).text();
    ok(html.length < 600_000, `${html.length} characters`);
    assertMatch(html, /line 1999/);
    ok(!html.includes("line 1700 "));
  });
});

Deno.test({
  name: "as the service is started, pictures that unpack to gigabytes fail alone, and take no memory",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await withDirectory(async (directory) => {
      const server = await startServer({ KV_PATH: `${directory}/store.db` });
      const upload = async (bytes: Uint8Array<ArrayBuffer>) =>
        (await (await fetch(`${server.origin}/api/uploads?name=a.tif`, { method: "POST", body: bytes })).json())
          .upload_id as string;
      const upload_ids = [
        await upload(lzwBomb(1_500_000)),
        await upload(tiffBomb(2_000_000_000)),
        await upload(tiffBomb(64 * 64)),
      ];
      const answer = await fetch(`${server.origin}/api/tasks/submit`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ task_type: "image_processing", input_params: { upload_ids } }),
      });
      const { id } = await answer.json() as Task;
      const events = await fetch(`${server.origin}/api/tasks/${id}/events`, {
        headers: { Accept: "text/event-stream" },
      });
      await events.text();
      const { status, result } = await (await fetch(`${server.origin}/api/tasks/${id}`)).json();
      const images = result.images as { ok: boolean; error?: string }[];
      assertEquals([status, images.map(({ ok }) => ok)], ["SUCCESS", [false, false, true]]);
      for (const { error } of images.slice(0, 2)) assertMatch(error!, /TIFF is damaged/);
      ok(await server.memory() < 500e6);
      await server.end("SIGTERM");
    });
  },
});

Deno.test({
  name: "the limit on a worker's memory holds with the permissions that the service is started with",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", ...START_PERMISSIONS, "--no-check", new URL("../support/pool/hoard.ts", import.meta.url).pathname],
    }).output();
    const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    assertEquals(code, 0, said);
    assertMatch(said, /refused: .*memory/);
  },
});

Deno.test("the tests of worker processes pass with the permissions that the service is started with", async () => {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "test",
      ...START_PERMISSIONS,
      "--no-check",
      new URL("../queue/workers/pool_test.ts", import.meta.url).pathname,
    ],
    env: { NO_COLOR: "1" },
  }).output();
  const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  assertEquals(code, 0, said);
  assertMatch(said, /ok \| \d+ passed/);
});

/** A TIFF of 64 by 64 grey pixels whose one strip unpacks to `size` zeros. */
function tiffBomb(size: number): Uint8Array<ArrayBuffer> {
  const chunk = new Uint8Array(Math.min(size, 50_000_000));
  // A Deflate stream of zeros repeats itself: one is made of its own pieces.
  return tiffWith(8, size <= chunk.length ? deflateSync(chunk.subarray(0, size)) : zlibOf(size));
}

/** A zlib stream of `size` zeros, made of the compressed form of ever the same block (RFC 1951, 3.2.3). */
function zlibOf(size: number): Uint8Array {
  const block = 50_000_000;
  const times = Math.ceil(size / block);
  // A full flush ends on a byte and refers to nothing before it.
  const piece = deflateSync(new Uint8Array(block), { finishFlush: 3 }).subarray(2);
  const all = new Uint8Array(2 + piece.length * times);
  all.set([0x78, 0x9c]);
  for (let i = 0; i < times; i++) all.set(piece, 2 + i * piece.length);
  return all;
}

/** A TIFF whose strip is LZW that unpacks to about a thousand times its length: codes for ever longer runs of zeros. */
function lzwBomb(bytes: number): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(bytes);
  let bit = 0;
  const put = (code: number, width: number) => {
    for (let i = width - 1; i >= 0; i--, bit++) if ((code >> i) & 1) out[bit >> 3] |= 0x80 >> (bit & 7);
  };
  while (bit < (bytes - 10_000) * 8) {
    // In the width of the code before it.
    put(256, bit === 0 ? 9 : 12);
    put(0, 9);
    // Each next code is the one that is being made: a run that is one longer.
    for (let code = 258; code < 4_094; code++) put(code, code < 511 ? 9 : code < 1_023 ? 10 : code < 2_047 ? 11 : 12);
  }
  put(257, 12);
  return tiffWith(5, out);
}

function tiffWith(compression: number, strip: Uint8Array): Uint8Array<ArrayBuffer> {
  const tags = [
    [256, 4, 64],
    [257, 4, 64],
    [258, 3, 8],
    [259, 3, compression],
    [262, 3, 1],
    [273, 4, 8 + 2 + 9 * 12 + 4],
    [277, 3, 1],
    [278, 4, 64],
    [279, 4, strip.length],
  ];
  const start = 8 + 2 + tags.length * 12 + 4;
  const bytes = new Uint8Array(start + strip.length);
  const view = new DataView(bytes.buffer);
  bytes.set([0x49, 0x49, 42, 0, 8, 0, 0, 0, tags.length, 0]);
  tags.forEach(([tag, type, value], i) => {
    const at = 10 + i * 12;
    view.setUint16(at, tag, true);
    view.setUint16(at + 2, type, true);
    view.setUint32(at + 4, 1, true);
    view.setUint32(at + 8, value, true);
  });
  bytes.set(strip, start);
  return bytes;
}

Deno.test("addresses that are IPv4 in old clothes are not public", () => {
  for (const address of ["::127.0.0.1", "::7f00:1", "::a00:1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "::", "::1"]) {
    assertEquals([address, isPublic(address)], [address, false]);
  }
  ok(isPublic("2001:4860:4860::8888"));
});

Deno.test("an answer of 101 ends a delivery, and leaves it deaf to nothing", async () => {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => {
      socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\nConnection: Upgrade\r\n\r\n");
    });
  });
  const port = await new Promise<number>((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve((server.address() as { port: number }).port));
  });
  const url = new URL(`http://127.0.0.1:${port}/`);
  const request = { url, headers: {}, body: "{}", signal: new AbortController().signal };
  await assertRejects(post(request, true, systemResolver, systemClock), /could not be reached: .*101/);
  await new Promise<void>((resolve) => server.close(() => resolve()));
});

Deno.test("the same search is done once, few are done at a time, and too many are refused at once", async () => {
  const searches = new Searches();
  let started = 0;
  const goes: (() => void)[] = [];
  const search = () => {
    started++;
    return new Promise<number>((resolve) => goes.push(() => resolve(started)));
  };
  const same = [searches.run("a", search), searches.run("a", search)];
  const others = Array.from({ length: 17 }, (_, i) => searches.run(`b${i}`, search));
  await assertRejects(searches.run("c", search), { code: "busy" });
  assertEquals(started, 2);
  const all = Promise.all([...same, ...others]);
  while (goes.length > 0) {
    goes.shift()!();
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  await all;
  assertEquals(started, 18);
});

Deno.test("zips beyond four at once are 503 with Retry-After", async () => {
  await withApp({}, async ({ call, submit, held, queue }) => {
    const task = await submit("held");
    const handler = await held.next();
    await handler.ctx.artifact("large.bin", crypto.getRandomValues(new Uint8Array(60_000)), "application/octet-stream");
    for (let i = 0; i < 60; i++) {
      await handler.ctx.artifact(`${i}.bin`, new Uint8Array(200_000), "application/octet-stream");
    }
    handler.finish();
    await reaches(queue, task.id, "SUCCESS");
    const zips = await Promise.all([1, 2, 3, 4].map(() => call(`/api/tasks/${task.id}/artifacts.zip`)));
    const fifth = await call(`/api/tasks/${task.id}/artifacts.zip`);
    assertEquals([fifth.status, (await fifth.json()).code], [503, "busy"]);
    assertMatch(fifth.headers.get("Retry-After")!, /^\d+$/);
    for (const zip of zips) await zip.bytes();
    const again = await call(`/api/tasks/${task.id}/artifacts.zip`);
    assertEquals(again.status, 200);
    await again.bytes();
  });
});

Deno.test("a download that nobody reads is not read from the store ahead of its reader", async () => {
  await withApp({ maxUploadBytes: 30_000_000 }, async ({ origin, queue, submit, held, call }) => {
    const size = 24_000_000;
    const task = await submit("held");
    const handler = await held.next();
    await handler.ctx.artifact("large.bin", new Uint8Array(size), "application/octet-stream");
    handler.finish();
    await reaches(queue, task.id, "SUCCESS");
    const read: number[] = [];
    const artifact = queue.artifacts.open.bind(queue.artifacts);
    queue.artifacts.open = async (id, name) => {
      const file = await artifact(id, name);
      const n = read.push(0) - 1;
      return {
        ...file,
        read(from, until) {
          const reader = file.read(from, until).getReader();
          return new ReadableStream({
            async pull(controller) {
              const { value, done } = await reader.read();
              if (done) return controller.close();
              read[n] += value.length;
              controller.enqueue(value);
            },
            cancel: () => reader.cancel(),
          }, { highWaterMark: 0 });
        },
      };
    };
    const path = `/api/tasks/${task.id}/artifacts/large.bin`;
    const slow: Deno.TcpConn[] = [];
    for (let i = 0; i < 20; i++) {
      const connection = await dial(origin);
      slow.push(connection);
      await writeAll(connection, `GET ${path} HTTP/1.1\r\nHost: ${new URL(origin).host}\r\n\r\n`);
      await connection.read(new Uint8Array(1));
    }
    // Begun after them, and done before any of them.
    const whole = await (await call(path)).bytes();
    assertEquals([whole.length, read.length, read[20]], [size, 21, size]);
    // What the two ends of a connection keep in the kernel is a few megabytes.
    ok(read.slice(0, 20).every((bytes) => bytes < size / 2), `read ahead: ${read.slice(0, 20)}`);
    for (const connection of slow) connection.close();
  });
});
