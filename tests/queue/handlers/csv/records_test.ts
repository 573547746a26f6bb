import { parse } from "@std/csv";
import { cutRecords } from "../../../../queue/handlers/csv/records.ts";
import { Random } from "../../../../queue/handlers/random.ts";
import { assertEquals, assertRejects, ok } from "../../../support/assert.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

async function rowsInPieces(text: string, chunk: number, size: number, separator = ","): Promise<string[][]> {
  const bytes = encoder.encode(text);
  const chunks = Array.from(
    { length: Math.ceil(bytes.length / chunk) },
    (_, i) => bytes.slice(i * chunk, (i + 1) * chunk),
  );
  const rows: string[][] = [];
  let seen = 0;
  for await (const piece of cutRecords(ReadableStream.from(chunks), size, 1_000_000, () => separator)) {
    seen += piece.bytes.length;
    assertEquals(piece.end, seen);
    rows.push(...parse(decoder.decode(piece.bytes), { separator, lazyQuotes: true }));
  }
  assertEquals(seen, bytes.length);
  return rows;
}

for (
  const [what, text, separator = ","] of [
    ["plain lines", "a,b\n1,2\n3,4\n"],
    ["CRLF", "a,b\r\n1,2\r\n3,4\r\n"],
    ["a quoted line break", 'a,b\n"x\ny",2\n3,4\n'],
    ["a quoted CRLF and doubled quotes", 'a,b\r\n"x\r\n""y""\r\n",2\r\n3,"4"\r\n'],
    ["no line break at the end", 'a,b\n"1",2\n3,"4"'],
    ["a bare quote in a value", 'a,b\n5" pipe,2\nx"y"z,4\n'],
    ["text after a closing quote", 'a,b\n"x" y,2\n"p"q"r",4\n'],
    ["an open quote until the end", 'a,b\n"x,2\n3,4\n'],
    ["empty lines and empty values", 'a,b\n\n,\n"",""\n\n'],
    ["quotes beside another separator", 'a;b\n"x;y";"1,2"\n5",3;z\n', ";"],
    ["letters of several bytes", 'ä,b\n"ö\n𝄞",ü\n'],
  ] as [string, string, string?][]
) {
  Deno.test(`cut anywhere, a CSV with ${what} has the rows that it has as a whole`, async () => {
    const whole = parse(text, { separator, lazyQuotes: true });
    for (const chunk of [1, 2, 3, 7, 1_000]) {
      for (const size of [1, 5, 16, 1_000]) assertEquals(await rowsInPieces(text, chunk, size, separator), whole);
    }
  });
}

Deno.test("cut anywhere, 300 random texts of quotes, separators and line ends have their rows", async () => {
  const random = new Random(7);
  const letters = ["a", ",", '"', "\n", "\r\n", '""', "é"];
  for (let i = 0; i < 300; i++) {
    const text = Array.from({ length: 40 }, () => letters[Math.floor(random.next() * letters.length)]).join("");
    const whole = parse(text, { lazyQuotes: true });
    const size = 1 + Math.floor(random.next() * 20);
    assertEquals(await rowsInPieces(text, 1 + Math.floor(random.next() * 9), size), whole, JSON.stringify(text));
  }
});

Deno.test("a record that does not end is given up before it fills the memory", async () => {
  let given = 0;
  const endless = new ReadableStream<Uint8Array>({
    pull(controller) {
      given++;
      controller.enqueue(encoder.encode(`"${"x".repeat(10_000)}`));
    },
  });
  await assertRejects(async () => {
    for await (const _ of cutRecords(endless, 1_000, 100_000, () => ",")) throw new Error("a piece");
  }, { code: "non_retryable" });
  ok(given < 20);
});
