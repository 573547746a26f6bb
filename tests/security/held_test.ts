/** What was tried and held: it must go on holding. */

import { setSignedCookie } from "hono/cookie";
import { Hono } from "hono";
import { deflateSync } from "node:zlib";
import { systemClock } from "../../queue/task/clock.ts";
import { isPublic, post } from "../../queue/handlers/webhook/post.ts";
import { silent } from "../../queue/log.ts";
import { Queue } from "../../queue/queue.ts";
import { createApp } from "../../routes/app.ts";
import type { Token } from "../../routes/settings.ts";
import { work } from "../../queue/handlers/image/worker.ts";
import { assertEquals, assertMatch, assertRejects, ok } from "../support/assert.ts";
import { withApp } from "../support/http/app.ts";
import { png, pngHeader } from "../support/images/files.ts";
import { pngChunk } from "../../queue/handlers/image/png_chunks.ts";
import { IMAGE_JOB } from "../support/images/run.ts";
import { noop, reaches } from "../support/queue.ts";
import { dial, readUntil, writeAll } from "../support/http/raw_socket.ts";

const TOKENS: Token[] = [
  { name: "vera", role: "viewer", secret: "viewer-secret-0123456789" },
  { name: "ada", role: "admin", secret: "admin-secret-0123456789" },
];
const [viewer, admin] = TOKENS;
const as = (token: Token) => ({ Authorization: `Bearer ${token.secret}` });

Deno.test("forged bearers and cookies are refused: unsigned, signed by another, of another name, without a session, over", async () => {
  await withApp({ tokens: TOKENS, worker: false }, async ({ call }) => {
    const signed = async (value: string, secret: string) => {
      const app = new Hono();
      app.get("/", async (c) => {
        await setSignedCookie(c, "millrace_session", value, secret);
        return c.body(null);
      });
      return (await app.request("/")).headers.get("Set-Cookie")!.split(";")[0];
    };
    const later = Date.now() + 3_600_000;
    const cookies = [
      "millrace_session=ada:9999999999999:x",
      await signed(`ada:${later}:s`, "not the secret of anyone"),
      await signed(`ada:${later}:s`, viewer.secret),
      await signed(`ada:${later}`, admin.secret),
      await signed(`ada:${Date.now() - 1}:s`, admin.secret),
      await signed(`ada:${later}:s`, admin.secret).then((cookie) => cookie.replace("ada", "vera")),
    ];
    for (const Cookie of cookies) {
      const answer = await call("/api/me", { headers: { Cookie } });
      assertEquals([Cookie.slice(0, 60), answer.status], [Cookie.slice(0, 60), 401]);
      await answer.body?.cancel();
    }
    const good = await call("/api/me", { headers: { Cookie: await signed(`ada:${later}:s`, admin.secret) } });
    assertEquals((await good.json()).name, "ada");
  });
});

Deno.test("a viewer is refused on every route that writes", async () => {
  const kv = await Deno.openKv(":memory:");
  const queue = new Queue({ kv, definitions: [noop], worker: false });
  await queue.start();
  const limits = { maxUploadBytes: 1_000, maxUploadTotalBytes: 1_000 };
  const { app, close } = createApp({
    queue,
    clock: systemClock,
    log: silent,
    tokens: TOKENS,
    host: "0.0.0.0",
    ...limits,
  });
  const env = { address: "192.0.2.1", upgrade: null, isGone: () => false };
  const open = new Set(["/login", "/logout"]);
  let routes = 0;
  for (const { method, path } of app.routes) {
    if (["ALL", "GET"].includes(method) || open.has(path)) continue;
    routes++;
    const url = `http://millrace.example${path.replaceAll(/:\w+/g, "01ARZ3NDEKTSV4RRFFQ69G5FAV")}`;
    const answer = await app.fetch(new Request(url, { method, headers: as(viewer) }), env);
    assertEquals([method, path, answer.status], [method, path, 403]);
  }
  ok(routes >= 15, `${routes} routes`);
  await close();
  await queue.stop();
  kv.close();
});

Deno.test("foreign hosts, foreign origins and other sites' requests are refused, and no answer is shared with them", async () => {
  await withApp({ worker: false }, async ({ call, origin }) => {
    const status = async (path: string, init: RequestInit) => {
      const answer = await call(path, init);
      await answer.body?.cancel();
      return answer.status;
    };
    const post = (headers: HeadersInit) => ({ method: "POST", body: "{}", headers });
    const json = { "Content-Type": "application/json" };
    for (
      const headers of [
        { ...json, Origin: "https://evil.example" },
        { ...json, Origin: "null" },
        { ...json, "Sec-Fetch-Site": "cross-site" },
        { ...json, "Sec-Fetch-Site": "same-site" },
      ]
    ) assertEquals(await status("/api/tasks/submit", post(headers)), 403);
    assertEquals(await status("/ws", { headers: { Origin: "https://evil.example" } }), 403);
    for (const path of ["/api/tasks/", "/api/stats"]) {
      const answer = await call(path, { headers: { Origin: "https://evil.example" } });
      assertEquals(answer.headers.get("Access-Control-Allow-Origin"), null);
      await answer.body?.cancel();
    }
    const { hostname, port } = new URL(origin);
    for (const host of ["evil.example", `evil.example:${port}`, "127.0.0.1.evil.example", "localhost.evil.example"]) {
      const connection = await dial(origin);
      await writeAll(connection, `GET /api/stats HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
      assertMatch(new TextDecoder().decode(await readUntil(connection)), /^HTTP\/1\.1 421 /);
      connection.close();
    }
    ok(hostname);
  });
});

Deno.test("no trick with paths leaves static/, and no trick with lengths hides a second request", async () => {
  await withApp({ worker: false }, async ({ origin }) => {
    const { host } = new URL(origin);
    const ask = async (text: string) => {
      const connection = await dial(origin);
      await writeAll(connection, text);
      const answer = new TextDecoder().decode(await readUntil(connection));
      connection.close();
      return answer;
    };
    for (
      const path of [
        "/static/../deno.json",
        "/static/..%2fdeno.json",
        "/static/%2e%2e/deno.json",
        "/static/build/../../main.ts",
        "/static/build/..%5c..%5cmain.ts",
        "/static//etc/passwd",
        "/static/styles.css%00.js",
      ]
    ) {
      const answer = await ask(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
      ok(!/^HTTP\/1\.1 200/.test(answer), `${path}: ${answer.slice(0, 80)}`);
      ok(!answer.includes("imports") && !answer.includes("root:"), path);
    }
    const both = `POST /api/tasks/submit HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\n`;
    for (
      const lengths of [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 4\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Content-Length: +4\r\n",
        "Content-Length : 4\r\n",
      ]
    ) {
      const answer = await ask(
        `${both}${lengths}Connection: close\r\n\r\n0\r\n\r\nGET /api/stats HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
      );
      assertMatch(answer, /^HTTP\/1\.1 4\d\d /);
      ok(!answer.includes("by_status"), lengths);
    }
  });
});

Deno.test("what strangers write is text in every view of the page", async () => {
  const nasty = `"><img src=x onerror=alert(1)><script>alert(2)</script>{{7*7}}`;
  await withApp({}, async ({ call, send, queue, held, submit }) => {
    const upload = await call(`/api/uploads?name=${encodeURIComponent(`${nasty}.csv`)}`, {
      method: "POST",
      body: `${nasty}\n1\n`,
    });
    const { upload_id } = await upload.json();
    const csv = await submit("csv_processing", { upload_id }, { tags: [nasty.slice(0, 64)] });
    await reaches(queue, csv.id, "SUCCESS", "FAILED");
    // A field that nothing fills in would be refused.
    const letter = nasty.replace("{{7*7}}", "");
    const texts = { subject: letter, html: letter, body: letter };
    const mail = await submit("email_sending", { ...texts, recipients: ["a@example.com"] });
    await reaches(queue, mail.id, "SUCCESS");
    const task = await submit("held", { [nasty]: nasty }, { max_attempts: 1 });
    const handler = await held.next();
    handler.ctx.log.error(nasty);
    handler.ctx.progress(10, nasty);
    await handler.ctx.artifact(`${nasty.replaceAll("/", "")}.txt`, nasty, "text/html");
    handler.fail(new Error(nasty));
    await reaches(queue, task.id, "FAILED");
    await send("POST", "/api/schedules", { cron: "0 0 1 1 *", name: nasty.slice(0, 100), task_type: "noop" }).then((
      one,
    ) => one.body?.cancel());
    await send("POST", "/api/task-types/noop/pause", { reason: nasty }).then((one) => one.body?.cancel());
    const views = [csv, mail, task].flatMap(({ id }) =>
      ["overview", "timeline", "logs", "output", "attempts", "raw"].map((tab) => `/?task=${id}&tab=${tab}`)
    );
    const query = encodeURIComponent(nasty);
    views.push(
      "/",
      `/?q=${query}`,
      `/?tag=${query}`,
      `/?task=${query}`,
      `/?new=${query}`,
      `/?new=csv_processing&from=${csv.id}`,
    );
    views.push(`/?status=${query}`, `/?cursor=${query}`, "/?schedules=1", "/?charts=1h", `/login?back=${query}`);
    for (const view of views) {
      const answer = await call(view);
      const html = await answer.text();
      // Only the page's own scripts, and its own policy against all others.
      for (const [tag] of html.matchAll(/<script[^>]*>/g)) assertMatch(tag, /src="static\/build\//);
      ok(!/<img src=x/.test(html), view);
      assertMatch(answer.headers.get("Content-Security-Policy")!, /default-src 'none'; script-src 'self'/);
    }
    for (const { name } of await queue.artifacts.list(mail.id)) {
      const file = await call(`/api/tasks/${mail.id}/artifacts/${encodeURIComponent(name)}?show`);
      assertMatch(file.headers.get("Content-Security-Policy")!, /default-src 'none'.*sandbox/);
      await file.body?.cancel();
    }
  });
});

Deno.test("addresses of this machine and of networks are refused in every spelling, and the checked address is the one that is reached", async () => {
  const refused = [
    ...["127.0.0.1", "127.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1"],
    ...["169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.168.0.1", "198.18.0.1"],
    ...["198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"],
    ...["::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1"],
    ...["64:ff9b:1::1", "100::1", "2001:db8::1", "2001::1", "2002:7f00:1::", "2002:a00:1::", "fc00::1", "fd12:3456::1"],
    ...["fe80::1", "fec0::1", "ff02::1", "ff0e::1", "2001:10::1", "2001:20::1"],
  ];
  for (const address of refused) assertEquals([address, isPublic(address)], [address, false]);
  const signal = new AbortController().signal;
  const send = (href: string, resolver: (host: string) => Promise<{ address: string; family: number }[]>) =>
    post({ url: new URL(href), headers: {}, body: "", signal }, false, resolver, systemClock);
  const never = () => Promise.reject(new Error("a literal was resolved"));
  // As the URL standard reads them: decimal, octal, hexadecimal, short.
  for (
    const host of [
      ...["2130706433", "0x7f000001", "017700000001", "0177.0.0.1", "127.1", "0x7f.1", "localhost.", "[::1]", "[::]"],
      ...["[::ffff:7f00:1]", "[::127.0.0.1]", "0", "[fe80::1]", "[fd00::1]", "10.1", "192.168.1", "169.254.169.254"],
    ]
  ) {
    await assertRejects(
      send(
        `http://${host}/`,
        host.startsWith("localhost") ? () => Promise.resolve([{ address: "127.0.0.1", family: 4 }]) : never,
      ),
      {
        code: "non_retryable",
        message: /is not a public address/,
      },
    );
  }
  // One private address among several is enough.
  const mixed = [{ address: "8.8.8.8", family: 4 }, { address: "10.0.0.1", family: 4 }];
  await assertRejects(send("http://rebind.example/", () => Promise.resolve(mixed)), /not a public address/);
  // A name is resolved once: what was checked is what is connected to.
  let asked = 0;
  const rebinding = () => Promise.resolve([{ address: asked++ === 0 ? "10.0.0.1" : "8.8.8.8", family: 4 }]);
  await assertRejects(send("http://rebind.example/", rebinding), /not a public address/);
  assertEquals(asked, 1);
});

Deno.test("pictures and tables that unpack to more than they should are refused or come to an end, and the next works", async () => {
  const run = (bytes: Uint8Array) => work({ ...IMAGE_JOB, source: new Uint8Array(bytes).buffer });
  const zeros = deflateSync(new Uint8Array(5_000_000));
  const bombs: Uint8Array[] = [
    new Uint8Array([...pngHeader(30_000, 30_000), ...pngChunk("IDAT", zeros)]),
    new Uint8Array([...pngHeader(50_000, 900), ...pngChunk("IDAT", zeros)]),
    // A GIF of 65,535 by 65,535, a JPEG and a WebP of the same size, by their headers alone.
    new Uint8Array([
      ...new TextEncoder().encode("GIF89a"),
      0xff,
      0xff,
      0xff,
      0xff,
      0,
      0,
      0,
      0x2c,
      0,
      0,
      0,
      0,
      0xff,
      0xff,
      0xff,
      0xff,
      0,
      2,
      0,
    ]),
    new Uint8Array([0xff, 0xd8, 0xff, 0xc0, 0, 17, 8, 0xff, 0xff, 0xff, 0xff, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1]),
    new Uint8Array([
      ...new TextEncoder().encode("RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0"),
      0,
      0,
      0,
      0,
      0xff,
      0xff,
      0,
      0xff,
      0xff,
      0,
      0,
      0,
      0,
      0,
    ]),
  ];
  for (const bomb of bombs) await assertRejects(run(bomb), { name: "ImageError" });
  const small = png({ width: 10, height: 10, depth: 8, kind: 0, samples: () => Array(10).fill(7) });
  assertEquals((await run(small)).value.files[0].width, 10);

  await withApp({}, async ({ call, submit, queue }) => {
    const tables = [
      `"${"a".repeat(5_000_000)}`,
      `${",".repeat(100_000)}\n${"1,".repeat(100_000)}\n`,
      "a\n".repeat(200_000),
      `a,b\n${'"x\n'.repeat(50_000)}`,
      `${"\u0001".repeat(10_000)}\n`,
      "\n".repeat(500_000),
      `a;b,c\td|e\n${"1;2,3\t4|5\n".repeat(10_000)}`,
    ];
    for (const body of tables) {
      const upload = await call("/api/uploads?name=a.csv", { method: "POST", body });
      const { upload_id } = await upload.json();
      const task = await submit("csv_processing", { upload_id });
      await reaches(queue, task.id, "SUCCESS", "FAILED");
    }
    const health = await call("/api/health");
    assertEquals((await health.json()).status, "healthy");
  });
});
