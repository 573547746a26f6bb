import { assertEquals, ok } from "../../support/assert.ts";
import { withApp } from "../../support/http/app.ts";
import { pngHeader } from "../../support/images/files.ts";
import { reaches } from "../../support/queue.ts";
import { chunked, rawRequest } from "../../support/http/raw_http.ts";

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
    const expected = { size: 300_000, media_type: "application/octet-stream", sha256: await sha256(bytes) };
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

Deno.test("a form without a file, or that is no form, is 400 and leaves nothing", async () => {
  await withApp({ worker: false }, async ({ call, kv }) => {
    const post = async (body: BodyInit, headers?: HeadersInit) => {
      const answer = await call("/api/uploads", { method: "POST", body, headers });
      await answer.body?.cancel();
      return answer.status;
    };
    const none = new FormData();
    none.set("a", "b");
    assertEquals(await post(none), 400);
    assertEquals(await post("rubbish", { "Content-Type": "multipart/form-data" }), 400);
    assertEquals(await post("rubbish", { "Content-Type": "multipart/form-data; boundary=x" }), 400);
    assertEquals(await blobKeys(kv), 0);
  });
});

function formOf(...sizes: number[]): FormData {
  const form = new FormData();
  for (const [i, size] of sizes.entries()) form.append("file", new File([new Uint8Array(size).fill(97)], `${i}.csv`));
  return form;
}

Deno.test("several files of a form are stored in their order; if one is too large, or all together, none is", async () => {
  const limits = { maxUploadBytes: 1_000_000, maxUploadTotalBytes: 2_500_000 };
  await withApp({ worker: false, ...limits }, async ({ call, kv }) => {
    const post = async (...sizes: number[]) => {
      const answer = await call("/api/uploads", { method: "POST", body: formOf(...sizes) });
      return { status: answer.status, body: await answer.json() };
    };
    const refused = async (detail: RegExp, ...sizes: number[]) => {
      const { status, body } = await post(...sizes);
      assertEquals([status, detail.test(body.detail)], [413, true], body.detail);
      assertEquals(await blobKeys(kv), 0);
    };
    await refused(/file.*1,000,000|1000000/i, 10, 1_000_001, 10);
    await refused(/together.*2,500,000|2500000/i, 850_000, 850_000, 850_000);
    await refused(/at most 20 files/, ...Array.from({ length: 21 }, () => 10));
    const { status, body } = await post(900_000, 0, 7);
    assertEquals([status, "upload_id" in body], [201, false]);
    assertEquals(body.uploads.map((file: { name: string; size: number }) => [file.name, file.size]), [
      ["0.csv", 900_000],
      ["1.csv", 0],
      ["2.csv", 7],
    ]);
  });
});

Deno.test("the media type is told from the bytes; of text, by its name or its sender", async () => {
  await withApp({ worker: false }, async ({ call }) => {
    const typeOf = async (name: string, body: BodyInit, type = "") => {
      const headers = type ? { "Content-Type": type } : undefined;
      const answer = await call(`/api/uploads?name=${name}`, { method: "POST", body, headers });
      return (await answer.json()).media_type;
    };
    const png = pngHeader(1, 1);
    assertEquals(await typeOf("a.csv", png, "text/csv"), "image/png");
    assertEquals(await typeOf("a.png", "just text", "image/png"), "text/plain");
    assertEquals(await typeOf("a.CSV", "a,b"), "text/csv");
    assertEquals(await typeOf("a", "a\tb", "text/tab-separated-values; charset=utf-8"), "text/tab-separated-values");
    assertEquals(await typeOf("a.json", "{}"), "application/json");
    assertEquals(await typeOf("a.txt", new Uint8Array([1, 0, 2])), "application/octet-stream");
    assertEquals(await typeOf("a.csv", new Uint8Array([0xff, 0xfe, 97, 0])), "text/csv");
  });
});

Deno.test("an upload that is not there is named by the pointer of its parameter", async () => {
  await withApp({ worker: false }, async ({ call, send }) => {
    const there = await (await call("/api/uploads?name=a.png", { method: "POST", body: "a" })).json();
    const missing = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    const submit = async (task_type: string, input_params: unknown) => {
      const answer = await send("POST", "/api/tasks/submit", { task_type, input_params });
      return [answer.status, (await answer.json()).errors[0].pointer];
    };
    assertEquals(await submit("csv_processing", { upload_id: missing }), [422, "/input_params/upload_id"]);
    const upload_ids = [there.upload_id, missing];
    assertEquals(await submit("image_processing", { upload_ids }), [422, "/input_params/upload_ids/1"]);
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
