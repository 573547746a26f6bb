import { deflateRawSync, gzipSync } from "node:zlib";
import { BlobWriter, TextReader, ZipWriter } from "@zip.js/zip.js";
import type { Json } from "../../../../queue/task/record.ts";
import { assertEquals, assertMatch, ok } from "../../../support/assert.ts";
import { withApp } from "../../../support/http/app.ts";
import { reaches } from "../../../support/queue.ts";

const TOWNS = "town,people\nAarau,21\nBern,134\nChur,39\n";

type Pair = { a: string; b: string; r: number };

interface Outcome {
  status: string;
  error: string;
  // deno-lint-ignore no-explicit-any
  result: any;
  file(name: string): Promise<string>;
}

/** Processes a file as an upload of a name and looks at the outcome. */
async function process(
  name: string,
  content: string | Uint8Array<ArrayBuffer>,
  params: Record<string, Json>,
  look: (outcome: Outcome) => Promise<void> | void,
): Promise<void> {
  await withApp({}, async ({ submit, queue, call }) => {
    const upload = await call(`/api/uploads?name=${encodeURIComponent(name)}`, { method: "POST", body: content });
    const { upload_id } = await upload.json();
    const { id } = await submit("csv_processing", { upload_id, ...params });
    const { task } = await reaches(queue, id, "SUCCESS", "FAILED");
    assertEquals(task.attempts.length, 1);
    await look({
      status: task.status,
      error: task.error?.message ?? "",
      result: task.result,
      file: async (artifact) => await (await call(`/api/tasks/${id}/artifacts/${artifact}`)).text(),
    });
  });
}

async function zipOf(files: Record<string, string>, options = {}): Promise<Uint8Array<ArrayBuffer>> {
  const zip = new ZipWriter(new BlobWriter("application/zip"), { useWebWorkers: false, ...options });
  for (const [name, text] of Object.entries(files)) await zip.add(name, new TextReader(text));
  return new Uint8Array(await (await zip.close()).arrayBuffer());
}

const sums = ({ status, error, result }: Outcome) => {
  assertEquals([status, error], ["SUCCESS", ""]);
  assertEquals([result.rows, result.columns.map(({ sum }: { sum: Json }) => sum)], [3, [null, 194]]);
};

Deno.test("gzip is read as a stream, also several files in a row", async () => {
  await process("towns.csv.gz", new Uint8Array(gzipSync(TOWNS)), {}, sums);
  const parts = TOWNS.match(/.*\n/g)!.map((line) => gzipSync(line));
  await process("towns.csv.gz", new Uint8Array(parts.flatMap((part) => [...part])), {}, sums);
});

Deno.test("a zip file with one CSV is read, what systems add beside it is not", async () => {
  await process(
    "towns.zip",
    await zipOf({ "folder/towns.csv": TOWNS, "__MACOSX/._towns.csv": "x", ".DS_Store": "x" }),
    {},
    sums,
  );
});

const REFUSED: [name: string, content: () => Promise<Uint8Array<ArrayBuffer> | string>, error: RegExp][] = [
  [
    "two.zip",
    () => zipOf({ "a.csv": TOWNS, "b.csv": TOWNS }),
    /two\.zip has 2 files; a zip file with exactly one is read/,
  ],
  ["empty.zip", () => zipOf({}), /empty\.zip has 0 files|not a zip file/],
  ["secret.zip", () => zipOf({ "a.csv": TOWNS }, { password: "x" }), /secret\.zip is encrypted/],
  [
    "book.xlsx",
    () => zipOf({ "[Content_Types].xml": "<Types/>", "xl/workbook.xml": "<workbook/>" }),
    /it is a spreadsheet/,
  ],
  [
    "book.ods",
    () => zipOf({ mimetype: "application/vnd.oasis.opendocument.spreadsheet", "content.xml": "<x/>" }),
    /spreadsheet/,
  ],
  ["rows.jsonl", () => Promise.resolve('{"a":1}\n{"a":2}\n'), /it is JSON/],
  ["rows.txt", () => Promise.resolve('{"a":1,"b":2}\n{"a":2,"b":3}\n'), /it is JSON/],
  ["rows.csv", () => Promise.resolve('[\n  {"a": 1}\n]\n'), /it is JSON/],
  ["page.csv", () => Promise.resolve("<!DOCTYPE html>\n<html><body>Sign in</body></html>\n"), /it is HTML/],
  ["feed.csv", () => Promise.resolve('<?xml version="1.0"?>\n<rows/>\n'), /it is XML/],
  ["paper.pdf", () => Promise.resolve("%PDF-1.7\n1 0 obj\n<<>>\nendobj\n"), /it is a PDF/],
  [
    "cut.csv.gz",
    () => Promise.resolve(new Uint8Array(gzipSync(TOWNS.repeat(100)).subarray(0, 60))),
    /cut\.csv\.gz is not a gzip file that can be read/,
  ],
  [
    "bad.csv.gz",
    () => Promise.resolve(new Uint8Array([...gzipSync(TOWNS).subarray(0, 10), ...new Uint8Array(40).fill(255)])),
    /not a gzip file/,
  ],
];

for (const [name, content, error] of REFUSED) {
  Deno.test(`${name} is refused by its name, once`, async () => {
    await process(name, await content(), {}, (outcome) => {
      assertEquals(outcome.status, "FAILED");
      assertMatch(outcome.error, error);
    });
  });
}

Deno.test("what unpacks to far more than it should is refused before it is all read", async () => {
  // 1.2 GB of spaces in 1.2 MB: stored as a raw deflate stream that repeats.
  const block = deflateRawSync(new Uint8Array(1_000_000).fill(32), { finishFlush: 2 });
  const head = new Uint8Array([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]);
  const file = new Uint8Array(head.length + block.length * 1_100);
  file.set(head);
  for (let i = 0; i < 1_100; i++) file.set(block, head.length + i * block.length);
  await process("bomb.csv.gz", file, {}, (outcome) => {
    assertEquals(outcome.status, "FAILED");
    assertMatch(outcome.error, /unpacks to more than 1,000,000,000 bytes|has more than 4 MB/);
  });
});

Deno.test("rows are checked by a JSON Schema, and one is made of the file", async () => {
  const schema = JSON.stringify({
    properties: { people: { type: "integer", minimum: 30 }, town: { type: "string", pattern: "^[A-Z]" } },
  });
  await process("towns.csv", `${TOWNS}davos,99\n`, { schema }, ({ result }) => {
    assertEquals([result.rows, result.bad_rows], [2, 2]);
    assertEquals(result.first_bad_rows.map(({ line }: { line: number }) => line), [2, 5]);
    assertMatch(result.first_bad_rows[0].reason, /people.*(>= 30|minimum)/);
  });
  await process("towns.csv", TOWNS, {}, async ({ file }) => {
    const made = await file("schema.json");
    assertEquals(JSON.parse(made).properties.people, { type: "integer", minimum: 21, maximum: 134 });
    // Whatever the file holds fits.
    await process("towns.csv", `${TOWNS}Davos,12\n`, { schema: made }, ({ result }) => {
      assertEquals([result.rows, result.bad_rows], [3, 1]);
    });
  });
  await withApp({ worker: false }, async ({ send }) => {
    const input_params = { upload_id: "0".repeat(26), schema: "{not json" };
    const answer = await send("POST", "/api/tasks/submit", { task_type: "csv_processing", input_params });
    assertEquals([answer.status, (await answer.json()).errors[0].pointer], [422, "/input_params/schema"]);
  });
});

Deno.test("the schema of a file fits it: values that are long, and thousands that are separated by points", async () => {
  const long = `id,note\n${Array.from({ length: 6 }, (_, i) => `${i},${"ä".repeat(80)}${i % 2}`).join("\n")}\n`;
  const german = "n\tp\n1.234\t12,50\n5.678\t1,25\n";
  for (const [name, text] of [["long.csv", long], ["german.tsv", german]]) {
    await process(name, text, {}, async ({ result, file }) => {
      const schema = await file("schema.json");
      await process(name, text, { schema }, (again) => {
        assertEquals([again.status, again.result.rows, again.result.bad_rows], ["SUCCESS", result.rows, 0]);
      });
    });
  }
});

Deno.test("a zip file that was damaged is refused", async () => {
  const zip = await zipOf({ "a.csv": "a,b\n1,2\n" }, { level: 0 });
  zip[zip.indexOf("1".charCodeAt(0), 30 + "a.csv".length)] = "9".charCodeAt(0);
  await process("a.zip", zip, {}, ({ status, error }) => {
    assertEquals(status, "FAILED");
    assertMatch(error, /a\.zip/);
  });
});

Deno.test("what holds nothing at all is refused by one rule; a header alone is a file", async () => {
  for (const text of ["\n\n", "\ufeff", " "]) {
    await process("a.csv", text, {}, ({ status, error, result }) => {
      if (text === " ") assertEquals(result.rows, 0);
      else assertEquals([status, error], ["FAILED", "The file is empty."]);
    });
  }
});

Deno.test("a copy as JSON lines has numbers, exact integers as text, and null for what is missing", async () => {
  const text = 'id,name,price,flag\n9007199254740993,Ana,1.50,true\n12,,NA,false\n7,"a,b",2,true,extra\n';
  await process("a.csv", text, { cleaned: true, cleaned_as: "json_lines" }, async ({ result, file }) => {
    assertEquals([result.rows, result.bad_rows], [2, 1]);
    const lines = (await file("cleaned.jsonl")).trim().split("\n").map((line) => JSON.parse(line));
    assertEquals(lines, [
      { id: "9007199254740993", name: "Ana", price: 1.5, flag: true },
      { id: 12, name: null, price: null, flag: false },
    ]);
  });
});

Deno.test("lengths, order, keys, correlations and times in bins", async () => {
  const rows = Array.from(
    { length: 40 },
    (_, i) =>
      `${i + 1},2024-01-${String(1 + i % 28).padStart(2, "0")},${(i + 1) * 2},${"x".repeat(1 + i % 5)},${40 - i}`,
  );
  await process("a.csv", `id,day,double,text,back\n${rows.join("\n")}\n`, {}, ({ result }) => {
    const [id, day, , text, back] = result.columns;
    assertEquals([id.unique, id.sorted, back.sorted, text.unique, text.sorted], [
      true,
      "ascending",
      "descending",
      false,
      null,
    ]);
    assertEquals(text.lengths, { min: 1, max: 5, mean: 3 });
    assertEquals([day.type, day.min, day.max], ["date", "2024-01-01", "2024-01-28"]);
    assertEquals([day.histogram[0].from, day.histogram.at(-1).to], [
      "2024-01-01T00:00:00.000Z",
      "2024-01-28T00:00:00.000Z",
    ]);
    assertEquals(day.histogram.reduce((sum: number, { count }: { count: number }) => sum + count, 0), 40);
    const pair = result.correlations.find((each: Pair) => `${each.a},${each.b}` === "id,double");
    ok(Math.abs(pair.r - 1) < 1e-12);
    const other = result.correlations.find((each: Pair) => `${each.a},${each.b}` === "id,back");
    ok(Math.abs(other.r + 1) < 1e-12);
  });
});
