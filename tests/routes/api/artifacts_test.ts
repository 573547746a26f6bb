import { defineTask } from "../../../queue/define.ts";
import * as z from "zod";
import { assertEquals, ok } from "../../support/assert.ts";
import { type Served, withApp } from "../../support/http/app.ts";
import { reaches } from "../../support/queue.ts";

const bytes = new Uint8Array(200_000).map((_, i) => i * 7919 >> 3);
const NAME = 'Übersicht "5", 7%.csv';

const maker = defineTask({
  type: "maker",
  title: "Make files",
  description: "Makes files.",
  params: z.strictObject({}),
  async run(ctx) {
    await ctx.artifact(NAME, bytes, "text/csv");
    await ctx.artifact("empty.txt", "", "text/plain");
    return null;
  },
});

async function withFiles(test: (served: Served, id: string) => Promise<void>): Promise<void> {
  await withApp({ definitions: [maker] }, async (served) => {
    const { id } = await served.submit("maker");
    await reaches(served.queue, id, "SUCCESS");
    await test(served, id);
  });
}

const read = async (answer: Response) => new Uint8Array(await answer.arrayBuffer());

Deno.test("an artifact comes with its length, hash, ETag and its name in UTF-8", async () => {
  await withFiles(async ({ call }, id) => {
    const answer = await call(`/api/tasks/${id}/artifacts/${encodeURIComponent(NAME)}`);
    const { headers } = answer;
    assertEquals(await read(answer), bytes);
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    assertEquals([headers.get("Content-Length"), headers.get("ETag")], ["200000", `"${hash.toHex()}"`]);
    assertEquals(headers.get("Repr-Digest"), `sha-256=:${hash.toBase64()}:`);
    assertEquals(
      headers.get("Content-Disposition"),
      `attachment; filename="_bersicht _5__ 7_.csv"; filename*=UTF-8''%C3%9Cbersicht%20%225%22%2C%207%25.csv`,
    );
    const head = await call(`/api/tasks/${id}/artifacts/empty.txt`, { method: "HEAD" });
    assertEquals([head.status, head.headers.get("Content-Length"), head.headers.get("Accept-Ranges")], [
      200,
      "0",
      "bytes",
    ]);
    const etag = headers.get("ETag")!;
    for (const tag of [etag, `W/${etag}`, `"x", ${etag}`, "*"]) {
      const again = await call(`/api/tasks/${id}/artifacts/${encodeURIComponent(NAME)}`, {
        headers: { "If-None-Match": tag },
      });
      assertEquals([again.status, (await read(again)).length], [304, 0]);
    }
  });
});

Deno.test("a part of an artifact is sent for Range: a download that broke off goes on", async () => {
  await withFiles(async ({ call }, id) => {
    const part = (headers: HeadersInit) => call(`/api/tasks/${id}/artifacts/${encodeURIComponent(NAME)}`, { headers });
    for (
      const [range, from, until] of [
        ["bytes=0-0", 0, 1],
        ["bytes=61439-61440", 61_439, 61_441],
        ["bytes=61440-122879", 61_440, 122_880],
        ["bytes=150000-", 150_000, 200_000],
        ["bytes=-10", 199_990, 200_000],
        ["bytes=199999-999999", 199_999, 200_000],
      ] as const
    ) {
      const answer = await part({ Range: range });
      assertEquals(answer.status, 206, range);
      assertEquals(answer.headers.get("Content-Range"), `bytes ${from}-${until - 1}/200000`);
      assertEquals(answer.headers.get("Content-Length"), String(until - from));
      assertEquals(await read(answer), bytes.slice(from, until), range);
    }
    const beyond = await part({ Range: "bytes=200000-" });
    assertEquals([beyond.status, beyond.headers.get("Content-Range")], [416, "bytes */200000"]);
    assertEquals((await beyond.json()).code, "range_not_satisfiable");
    // What is no range of bytes, or several of them, is answered with the whole.
    for (const range of ["bytes=x", "lines=1-2", "bytes=0-1,5-6"]) {
      assertEquals((await read(await part({ Range: range }))).length, 200_000, range);
    }
    const other = await part({ Range: "bytes=0-9", "If-Range": '"of an older file"' });
    assertEquals([other.status, (await read(other)).length], [200, 200_000]);
  });
});

Deno.test("all artifacts of a task come as one zip, which tells its length and unpacks to them", async () => {
  await withFiles(async ({ call }, id) => {
    const list = await (await call(`/api/tasks/${id}/artifacts`)).json();
    assertEquals(list.artifacts.map(({ name }: { name: string }) => name).sort(), ["empty.txt", NAME]);
    const answer = await call(`/api/tasks/${id}/artifacts.zip`);
    assertEquals(answer.headers.get("Content-Type"), "application/zip");
    const zip = await read(answer);
    assertEquals(Number(answer.headers.get("Content-Length")), zip.length);
    assertEquals(unzipped(zip), new Map([[NAME, bytes], ["empty.txt", new Uint8Array()]]));
    const missing = await call("/api/tasks/01ARZ3NDEKTSV4RRFFQ69G5FAV/artifacts.zip");
    assertEquals([missing.status, (await missing.json()).code], [404, "not_found"]);
  });
});

/** Reads a zip of stored files by its central directory (APPNOTE.TXT 4.3.12). */
function unzipped(zip: Uint8Array<ArrayBuffer>): Map<string, Uint8Array> {
  const view = new DataView(zip.buffer);
  const files = new Map<string, Uint8Array>();
  const end = zip.length - 22;
  ok(view.getUint32(end, true) === 0x06054b50, "the end of the central directory");
  let at = view.getUint32(end + 16, true);
  for (let i = 0; i < view.getUint16(end + 10, true); i++) {
    const [size, nameLength] = [view.getUint32(at + 24, true), view.getUint16(at + 28, true)];
    const local = view.getUint32(at + 42, true);
    const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    const name = new TextDecoder().decode(zip.subarray(at + 46, at + 46 + nameLength));
    files.set(name, zip.slice(start, start + size));
    at += 46 + nameLength + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
  }
  return files;
}
