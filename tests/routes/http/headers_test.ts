/** What clients say in headers is heeded, or refused with the reason. */

import { gzipSync } from "node:zlib";
import { qualityOf } from "../../../routes/http/request_headers.ts";
import { assertEquals, assertMatch, ok } from "../../support/assert.ts";
import { type Served, withApp } from "../../support/http/app.ts";
import { exchange } from "../../support/http/raw_socket.ts";
import { reaches } from "../../support/queue.ts";

const JSON_TYPE = { "Content-Type": "application/json" };

Deno.test("an Accept header is read by its most specific range and its weight", () => {
  const admits = (header: string | undefined) => qualityOf(header, "application/json") > 0;
  for (
    const header of [
      undefined,
      "",
      "*/*",
      "application/json",
      "text/html, */*;q=0.1",
      "application/*",
      "Application/JSON;q=0.5",
    ]
  ) {
    ok(admits(header), String(header));
  }
  for (
    const header of ["text/html", "application/json;q=0", "*/*, application/json;q=0", "application/xml", "nonsense"]
  ) {
    ok(!admits(header), header);
  }
});

Deno.test("what asks for another media type than there is gets 406; downloads are as they are", async () => {
  await withApp({}, async ({ call, submit, queue }) => {
    const { id } = await submit("noop");
    await reaches(queue, id, "SUCCESS");
    const statusOf = async (path: string, accept: string) => {
      const answer = await call(path, { headers: { Accept: accept } });
      await answer.body?.cancel();
      return answer.status;
    };
    assertEquals(await statusOf("/api/tasks", "application/xml"), 406);
    assertEquals(await statusOf("/api/tasks", "text/html, application/json;q=0.2"), 200);
    assertEquals(await statusOf(`/api/tasks/${id}/events`, "text/event-stream"), 200);
    assertEquals(await statusOf(`/api/tasks/${id}/events`, "text/html"), 406);
    assertEquals(await statusOf(`/api/tasks/${id}/logs.txt`, "image/png"), 200);
    assertEquals(await statusOf("/", "application/json"), 406);
    assertEquals(await statusOf("/", "text/html"), 200);
    // Probes ask for anything, and what is not there is not there.
    assertEquals(await statusOf("/api/health", "text/plain"), 200);
    assertEquals(await statusOf("/nothing", "application/json"), 404);
    assertEquals(await statusOf("/api/tasks", "application/problem+json"), 200);
    const typeOf = async (accept: string) => {
      const answer = await call(`/api/tasks/${id}/events`, { headers: { Accept: accept } });
      await answer.body?.cancel();
      return answer.headers.get("Content-Type");
    };
    for (const accept of ["text/*", "Text/Event-Stream", "application/json;q=0.5, text/event-stream"]) {
      assertEquals(await typeOf(accept), "text/event-stream", accept);
    }
    for (const accept of ["*/*", "text/event-stream;q=0, application/json"]) {
      assertMatch((await typeOf(accept))!, /^application\/json/);
    }
    const refused = await call("/api/tasks", { headers: { Accept: "application/xml" } });
    const { code, detail, title } = await refused.json();
    assertEquals([code, title, detail], [
      "not_acceptable",
      "Not acceptable",
      "This address answers with application/json, application/problem+json.",
    ]);
    assertEquals(refused.headers.get("Content-Type"), "application/problem+json");
  });
});

const submission = JSON.stringify({ task_type: "noop" });

async function codeOf(answer: Response): Promise<[number, string | undefined]> {
  return [answer.status, (await answer.json()).code];
}

Deno.test("a JSON body may be packed with gzip; bombs, broken gzip and other encodings are refused", async () => {
  await withApp({ worker: false }, async ({ call }) => {
    const post = (body: Uint8Array | string, encoding: string) =>
      call("/api/tasks/submit", {
        method: "POST",
        headers: { ...JSON_TYPE, "Content-Encoding": encoding },
        body: typeof body === "string" ? body : new Uint8Array(body),
      });
    assertEquals(await codeOf(await post(gzipSync(submission), "gzip")), [201, undefined]);
    assertEquals(await codeOf(await post(gzipSync(submission), "x-gzip")), [201, undefined]);
    assertEquals(await codeOf(await post(submission, "identity")), [201, undefined]);
    // Ten kilobytes that would be ten megabytes.
    const bomb = gzipSync(new Uint8Array(10_000_000));
    assertEquals(await codeOf(await post(bomb, "gzip")), [413, "too_large"]);
    assertEquals(await codeOf(await post(submission, "gzip")), [400, "broken_encoding"]);
    assertEquals(await codeOf(await post(gzipSync(submission).subarray(0, -6), "gzip")), [400, "broken_encoding"]);
    const members = new Uint8Array([...gzipSync(submission.slice(0, 5)), ...gzipSync(submission.slice(5))]);
    assertEquals(await codeOf(await post(members, "gzip")), [201, undefined]);
    const other = await post(submission, "br");
    assertEquals(other.headers.get("Accept-Encoding"), "gzip");
    assertEquals(await codeOf(other), [415, "unsupported_encoding"]);
    // The service goes on.
    assertEquals((await (await call("/api/health")).json()).status, "healthy");
  });
});

Deno.test("so may uploads, as they are and in forms; they are stored unpacked", async () => {
  await withApp({ worker: false, maxUploadBytes: 1_000_000 }, async ({ call }) => {
    const text = "id,name\n".repeat(1_000);
    const upload = (body: Uint8Array, headers: Record<string, string>) =>
      call("/api/uploads?name=a.csv", {
        method: "POST",
        headers: { "Content-Encoding": "gzip", ...headers },
        body: new Uint8Array(body),
      });
    const plain = await (await upload(gzipSync(text), {})).json();
    assertEquals([plain.size, plain.media_type], [text.length, "text/csv"]);
    const form = `--x\r\nContent-Disposition: form-data; name="file"; filename="b.csv"\r\n\r\n${text}\r\n--x--\r\n`;
    const inForm = await (await upload(gzipSync(form), { "Content-Type": "multipart/form-data; boundary=x" })).json();
    assertEquals([inForm.size, inForm.name], [text.length, "b.csv"]);
    assertEquals(await codeOf(await upload(gzipSync(new Uint8Array(12_000_000)), {})), [413, "too_large"]);
    assertEquals(await codeOf(await upload(new TextEncoder().encode(text), {})), [400, "broken_encoding"]);
    assertEquals(await codeOf(await upload(new TextEncoder().encode(text), { "Content-Encoding": "zstd" })), [
      415,
      "unsupported_encoding",
    ]);
    assertEquals((await (await call("/api/health")).json()).status, "healthy");
  });
});

Deno.test("an empty file field makes no upload", async () => {
  await withApp({ worker: false }, async ({ call }) => {
    const part = (name: string, content: string) =>
      `--x\r\nContent-Disposition: form-data; name="file"; filename="${name}"\r\n\r\n${content}\r\n`;
    const send = (body: string) =>
      call("/api/uploads", { method: "POST", headers: { "Content-Type": "multipart/form-data; boundary=x" }, body });
    assertEquals(await codeOf(await send(`${part("", "")}--x--\r\n`)), [400, "no_file"]);
    // A file that was sent without a name is a file.
    const unnamed = await (await send(`${part("", "a,b\n1,2\n")}--x--\r\n`)).json();
    assertEquals([unnamed.name, unnamed.size], ["upload", 8]);
    const one = await (await send(`${part("", "")}${part("a.csv", "a\n1\n")}--x--\r\n`)).json();
    assertEquals([one.name, one.size], ["a.csv", 4]);
  });
});

Deno.test("Prefer: return=minimal answers without a body, wait=N with the task once it has ended", async () => {
  await withApp({}, async ({ call, held, queue }: Served) => {
    const submit = (prefer: string, task_type = "noop") =>
      call("/api/tasks/submit", {
        method: "POST",
        headers: { ...JSON_TYPE, Prefer: prefer },
        body: JSON.stringify({ task_type }),
      });
    const minimal = await submit("respond-async, return=minimal");
    assertEquals([minimal.status, await minimal.text()], [201, ""]);
    assertEquals(minimal.headers.get("Preference-Applied"), "return=minimal");
    assertMatch(minimal.headers.get("Location")!, /^\/api\/tasks\/\w{26}$/);
    const waited = await submit("wait=30");
    assertEquals([waited.status, waited.headers.get("Preference-Applied")], [201, "wait=30"]);
    assertEquals((await waited.json()).status, "SUCCESS");
    const early = await submit("wait=0", "held");
    const { id, status } = await early.json();
    ok(["PENDING", "RUNNING"].includes(status));
    (await held.next()).finish();
    await reaches(queue, id, "SUCCESS");
    const both = await submit("return=minimal, wait=30");
    assertEquals([await both.text(), both.headers.get("Preference-Applied")], ["", "wait=30, return=minimal"]);
    const ignored = await submit("handling=lenient; x=1");
    assertEquals([ignored.status, ignored.headers.get("Preference-Applied")], [201, null]);
    await ignored.body?.cancel();
  });
});

Deno.test("an answer that waits gives its place back when its client hangs up; without a place none waits", async () => {
  await withApp({ maxStreamsPerCaller: 1 }, async ({ call, held, submit, queue }) => {
    const controller = new AbortController();
    const headers = { ...JSON_TYPE, Prefer: "wait=60" };
    const body = JSON.stringify({ task_type: "held" });
    const waiting = call("/api/tasks/submit", { method: "POST", headers, body, signal: controller.signal });
    waiting.catch(() => {});
    const handler = await held.next();
    const second = await call("/api/tasks/submit", { method: "POST", headers, body });
    assertEquals([second.status, second.headers.get("Preference-Applied")], [201, null]);
    await second.body?.cancel();
    controller.abort();
    handler.finish();
    (await held.next()).finish();
    // The place is free again: an event stream gets it.
    const { id } = await submit("noop");
    await reaches(queue, id, "SUCCESS");
    for (let status = 429; status !== 200;) {
      const events = await call(`/api/tasks/${id}/events`, { headers: { Accept: "text/event-stream" } });
      status = events.status;
      await events.text();
    }
  });
});

Deno.test("HEAD gives GET's headers with its length", async () => {
  await withApp({}, async ({ submit, queue, origin }) => {
    const { id } = await submit("noop");
    await reaches(queue, id, "SUCCESS");
    const { host } = new URL(origin);
    for (const path of [`/api/tasks/${id}`, "/api/tasks/nothing", "/", "/static/styles.css", `/api/tasks/${id}/logs`]) {
      const [get, head] = await Promise.all(
        ["GET", "HEAD"].map((method) =>
          exchange(origin, `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\nAccept: */*\r\nConnection: close\r\n\r\n`)
        ),
      );
      const headers = (answer: { headers: Headers }) =>
        [...answer.headers].filter(([name]) => !["date", "x-request-id"].includes(name)).sort();
      assertEquals([head.status, head.body], [get.status, ""]);
      assertEquals(headers(head), headers(get), path);
      ok(Number(get.headers.get("Content-Length")) > 0, path);
    }
  });
});

Deno.test("HTTP/1.1 without a Host, or with two, is 400; HTTP/1.0 needs none", async () => {
  await withApp({ worker: false }, async ({ origin }) => {
    const { host } = new URL(origin);
    const status = async (head: string) => (await exchange(origin, `GET /api/health ${head}\r\n\r\n`)).status;
    assertEquals(await status("HTTP/1.1\r\nConnection: close"), 400);
    assertEquals(await status(`HTTP/1.1\r\nHost: ${host}\r\nHost: ${host}\r\nConnection: close`), 400);
    assertEquals(await status(`HTTP/1.1\r\nHost: ${host}\r\nConnection: close`), 200);
    assertEquals(await status("HTTP/1.0"), 200);
    const upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    for (const hosts of ["", `Host: ${host}\r\nHost: ${host}\r\n`]) {
      assertEquals((await exchange(origin, `GET /ws HTTP/1.1\r\n${hosts}${upgrade}\r\n\r\n`)).status, 400);
    }
    const twice = await exchange(
      origin,
      `GET / HTTP/1.1\r\nHost: ${host}\r\nHost: ${host}\r\nConnection: close\r\n\r\n`,
    );
    assertEquals([twice.headers.get("Content-Type"), JSON.parse(twice.body).code], [
      "application/problem+json",
      "bad_host",
    ]);
  });
});
