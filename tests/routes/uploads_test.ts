import { assertEquals, ok } from "../support/assert.ts";
import { withApp } from "../support/app.ts";
import { reaches } from "../support/queue.ts";
import { chunked, rawRequest } from "../support/raw_http.ts";

async function blobKeys(kv: Deno.Kv): Promise<number> {
  let count = 0;
  for (const prefix of ["blob", "blob_pending", "upload"]) {
    for await (const _ of kv.list({ prefix: [prefix] })) count++;
  }
  return count;
}

/** Resolves once no chunk of an upload is left: the server notices a lost client in its own time. */
async function untilClean(kv: Deno.Kv): Promise<void> {
  while (await blobKeys(kv) > 0) await new Promise((resolve) => setTimeout(resolve, 5));
}

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

const bytes = new Uint8Array(300_000).map((_, i) => i * 7919 >> 3);

Deno.test("an upload as multipart or raw body answers 201 with name, size, type and sha256", async () => {
  await withApp({ worker: false }, async ({ call }) => {
    const form = new FormData();
    form.set("file", new File([bytes], "../../etc/passwd é.csv", { type: "text/csv" }));
    const multipart = await call("/api/uploads", { method: "POST", body: form });
    assertEquals(multipart.status, 201);
    const { upload_id, ...rest } = await multipart.json();
    assertEquals(upload_id.length, 26);
    const expected = { size: 300_000, media_type: "text/csv", sha256: await sha256(bytes) };
    assertEquals(rest, { name: "passwd é.csv", ...expected });
    const raw = await call("/api/uploads?name=a.csv", {
      method: "POST",
      body: bytes,
      headers: { "Content-Type": "text/csv" },
    });
    const { upload_id: _, ...again } = await raw.json();
    assertEquals(again, { name: "a.csv", ...expected });
  });
});

Deno.test("a form without a file, with two, or that is no form is 400 and leaves nothing", async () => {
  await withApp({ worker: false }, async ({ call, kv }) => {
    const post = async (body: BodyInit, headers?: HeadersInit) => {
      const answer = await call("/api/uploads", { method: "POST", body, headers });
      await answer.body?.cancel();
      return answer.status;
    };
    const none = new FormData();
    none.set("a", "b");
    assertEquals(await post(none), 400);
    const two = new FormData();
    two.set("a", new File([bytes], "a.csv"));
    two.set("b", new File([bytes], "b.csv"));
    assertEquals(await post(two), 400);
    assertEquals(await post("rubbish", { "Content-Type": "multipart/form-data" }), 400);
    assertEquals(await post("rubbish", { "Content-Type": "multipart/form-data; boundary=x" }), 400);
    assertEquals(await blobKeys(kv), 0);
  });
});

Deno.test("a Content-Length of 10 GB is refused before anything is read, and nothing is stored", async () => {
  await withApp({ worker: false }, async ({ origin, kv }) => {
    const head = "POST /api/uploads HTTP/1.1\r\nContent-Type: text/csv\r\nContent-Length: 10000000000";
    const { status, sent } = await rawRequest(origin, head, () => new Uint8Array(10_000));
    assertEquals(status, 413);
    ok(sent < 5_000_000, `${sent} bytes were sent`);
    await untilClean(kv);
  });
});

Deno.test("a body without a length is refused as soon as it is over the limit, and its chunks are gone", async () => {
  await withApp({ worker: false, maxUploadBytes: 2_000_000 }, async ({ origin, kv }) => {
    const head = "POST /api/uploads HTTP/1.1\r\nContent-Type: text/csv\r\nTransfer-Encoding: chunked";
    const { status, sent } = await rawRequest(origin, head, () => chunked(new Uint8Array(100_000)));
    assertEquals(status, 413);
    ok(sent < 20_000_000, `${sent} bytes were sent`);
    await untilClean(kv);
  });
});

Deno.test("a body larger than it claimed ends where it claimed, and what follows is no part of the file", async () => {
  await withApp({ worker: false }, async ({ origin, kv }) => {
    const head = "POST /api/uploads HTTP/1.1\r\nContent-Type: text/csv\r\nContent-Length: 100000";
    const { status } = await rawRequest(origin, head, (n) => n < 5 ? new Uint8Array(50_000) : null);
    assertEquals(status, 201);
    const sizes: number[] = [];
    for await (const { value } of kv.list<Uint8Array>({ prefix: ["upload"] })) {
      sizes.push(JSON.parse(new TextDecoder().decode(value)).size);
    }
    assertEquals(sizes, [100_000]);
  });
});

Deno.test("an upload whose client goes away in the middle leaves no chunks", async () => {
  await withApp({ worker: false }, async ({ origin, kv }) => {
    const { hostname, port } = new URL(origin);
    const connection = await Deno.connect({ hostname, port: Number(port) });
    const head = `POST /api/uploads HTTP/1.1\r\nHost: ${hostname}:${port}\r\nContent-Length: 5000000\r\n\r\n`;
    await connection.write(new TextEncoder().encode(head));
    const part = new Uint8Array(1_500_000);
    for (let at = 0; at < part.length;) at += await connection.write(part.subarray(at));
    while (await blobKeys(kv) === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    connection.close();
    await untilClean(kv);
  });
});

Deno.test("a CSV that was uploaded is processed, and the upload lives as long as its task", async () => {
  await withApp({}, async ({ call, submit, queue, kv }) => {
    const form = new FormData();
    form.set("file", new File(["a,b\n1,x\n3,y\n5\n"], "a.csv", { type: "text/csv" }));
    const { upload_id } = await (await call("/api/uploads", { method: "POST", body: form })).json();
    const task = await submit("csv_processing", { upload_id });
    const { task: { result } } = await reaches(queue, task.id, "SUCCESS");
    const { rows, bad_rows, columns } = result as { rows: number; bad_rows: number; columns: { sum: number }[] };
    assertEquals([rows, bad_rows, columns[0].sum], [2, 1, 4]);
    const refs = [];
    for await (const { key } of kv.list({ prefix: ["upload_ref"] })) refs.push(key);
    assertEquals(refs, [["upload_ref", upload_id, task.id]]);
  });
});
