import { parse } from "@std/csv";
import { RecordReader, type RecordSyntax } from "../../../../queue/handlers/csv/text/records.ts";
import { Random } from "../../../../queue/handlers/random.ts";
import { assertEquals, ok } from "../../../support/assert.ts";
import { recordsInBlocks } from "../../../support/csv/read.ts";
import { packageFolder } from "../../../support/packages.ts";

for (
  const [what, text, separator = ","] of [
    ["plain lines", "a,b\n1,2\n3,4\n"],
    ["CRLF", "a,b\r\n1,2\r\n3,4\r\n"],
    ["a quoted line break", 'a,b\n"x\ny",2\n3,4\n'],
    ["doubled quotes", 'a,b\r\n"""y""",2\r\n3,"4"\r\n'],
    ["no line break at the end", 'a,b\n"1",2\n3,"4"'],
    ["a bare quote in a value", 'a,b\n5" pipe,2\nx"y"z,4\n'],
    ["text after a closing quote", 'a,b\n"x" y","2"\n"p"q"r",4\n'],
    ["empty lines and empty values", 'a,b\n\n,\n"",""\n\n'],
    ["quotes beside another separator", 'a;b\n"x;y";"1,2"\n5",3;z\n', ";"],
    ["letters of several bytes", 'ä,b\n"ö\n𝄞",ü\n'],
    ["a separator at the end of the file", "a,b\n1,"],
    ["nothing but a line break", "\n"],
    ["nothing", ""],
  ] as [string, string, string?][]
) {
  Deno.test(`cut anywhere, a CSV with ${what} has the records that @std/csv finds in it`, () => {
    const whole = parse(text, { separator, lazyQuotes: true });
    for (const size of [1, 2, 3, 5, 7, 16, 1_000]) assertEquals(recordsInBlocks(text, size, separator), whole);
  });
}

Deno.test("cut anywhere, 2,000 random texts have the same records; those that are RFC 4180 have those of @std/csv", () => {
  const random = new Random(7);
  const letters = ["a", ",", '"', "\n", "\r\n", '""', "é", '","', '"\n"'];
  let valid = 0;
  for (let i = 0; i < 2_000; i++) {
    const length = 1 + Math.floor(random.next() * 20);
    const text = Array.from({ length }, () => letters[Math.floor(random.next() * letters.length)]).join("");
    const size = 1 + Math.floor(random.next() * 20);
    const found = recordsInBlocks(text, size);
    assertEquals(found, recordsInBlocks(text, 1_000), JSON.stringify(text));
    let expected: string[][];
    try {
      expected = parse(text);
    } catch {
      continue;
    }
    valid++;
    // A line break within quotes stays as it is in the file; @std/csv makes each of them a line feed.
    assertEquals(
      found.map((row) => row.map((value) => value.replaceAll("\r\n", "\n"))),
      expected,
      JSON.stringify(text),
    );
  }
  ok(valid > 400, `${valid} texts are RFC 4180`);
});

const SYNTAX = { delimiter: ",", quote: '"', backslash: false, comment: "" };

/** The records of a text: their lines, values, and what is wrong with them. */
function recordsOf(text: string, syntax: Partial<RecordSyntax> = {}): [number, string[], string | null][] {
  const bytes = new TextEncoder().encode(text);
  const reader = new RecordReader(bytes, { ...SYNTAX, ...syntax }, 1, true);
  const records: [number, string[], string | null][] = [];
  while (reader.next()) {
    const { starts, ends, length, line, broken } = reader;
    const values = Array.from({ length }, (_, i) => new TextDecoder().decode(bytes.subarray(starts[i], ends[i])));
    records.push([line, values, broken]);
  }
  return records;
}

Deno.test("a quote that makes no sense costs its own line; the next ones are read", () => {
  const never = "has a quote that is never closed";
  const stray = "has a quote in a quoted value that spans lines, neither escaped nor at its end";
  assertEquals(recordsOf('a,b\n"x,2\n3,4\n'), [[1, ["a", "b"], null], [2, ["x,2"], never], [3, ["3", "4"], null]]);
  assertEquals(recordsOf('1,"say \\"hi\\""\n2,"second"\n'), [
    [1, ["1", 'say \\"hi\\""'], stray],
    [2, ["2", "second"], null],
  ]);
  assertEquals(recordsOf('"a\nb"c"\nd\n').map(([line, , broken]) => [line, broken]), [[1, stray], [2, null], [
    3,
    null,
  ]]);
  // The value that makes no sense begins on the second line of its record.
  assertEquals(recordsOf('"a\nb","c\nd\n').map(([line, , broken]) => [line, broken]), [[1, never], [3, null]]);
});

Deno.test("no line vanishes: every line of 2,000 random texts is empty, or belongs to a record", () => {
  const random = new Random(8);
  const letters = ["a", ",", '"', "\n", "\n", '""', '"x', "\r", "\r\r\n"];
  for (let i = 0; i < 2_000; i++) {
    const text = Array.from({ length: 30 }, () => letters[Math.floor(random.next() * letters.length)]).join("");
    const bytes = new TextEncoder().encode(text);
    const reader = new RecordReader(bytes.slice(), SYNTAX, 1, true);
    const covered = new Uint8Array(bytes.length);
    while (reader.next()) covered.fill(1, reader.from, reader.to);
    const left = bytes.filter((byte, at) => !covered[at] && byte !== 0x0a && byte !== 0x0d);
    assertEquals([left.length, reader.used], [0, bytes.length], JSON.stringify(text));
  }
});

Deno.test("lines end with LF, CR, CRLF or CR CR LF; comments and backslashes are read where they are meant", () => {
  assertEquals(recordsOf('a,b\r\r\n1,"x"\r2,y\r\n3,z\n'), [
    [1, ["a", "b"], null],
    [2, ["1", "x"], null],
    [3, ["2", "y"], null],
    [4, ["3", "z"], null],
  ]);
  assertEquals(recordsOf("#c,d\na,b\n# e\n1,#\n", { comment: "#" }), [[2, ["a", "b"], null], [4, ["1", "#"], null]]);
  assertEquals(recordsOf('1,"a\\"b\\\\","c\\nd"\n2,e\\,f,\\N\n', { backslash: true }), [
    [1, ["1", 'a"b\\', "c\nd"], null],
    [2, ["2", "e,f", "\\N"], null],
  ]);
  assertEquals(recordsOf("1,'a''b,c'\n", { quote: "'" }), [[1, ["1", "a'b,c"], null]]);
  assertEquals(recordsOf('1,"a\n', { quote: "" }), [[1, ["1", '"a'], null]]);
});

Deno.test("a record names the line that it begins on; empty lines and breaks within quotes count", () => {
  const bytes = new TextEncoder().encode('a,b\n\n"x\r\ny\n",2\r\n3,4\n\n\n5,"6"');
  const reader = new RecordReader(bytes, SYNTAX, 1, true);
  const lines = [];
  while (reader.next()) lines.push(reader.line);
  assertEquals(lines, [1, 3, 6, 9]);
});

const folder = await packageFolder("csv-spectrum@2.0.0");
const cases = [...Deno.readDirSync(`${folder}csvs`)].map(({ name }) => name.replace(/\.csv$/, "")).sort();

Deno.test("csv-spectrum has its twelve cases", () => assertEquals(cases.length, 12));

for (const name of cases) {
  Deno.test(`csv-spectrum: ${name} parses as it says`, async () => {
    const [names, ...rows] = recordsInBlocks(await Deno.readTextFile(`${folder}csvs/${name}.csv`), 8);
    const objects = rows.map((row) => Object.fromEntries(names.map((key, i) => [key, row[i]])));
    const expected = JSON.parse(await Deno.readTextFile(`${folder}json/${name}.json`));
    if (name === "location_coordinates") {
      // This one's JSON is not a list, and names another telephone number than its CSV.
      assertEquals(objects, [{ ...expected, "Contact Phone Number": "2095257564" }]);
    } else assertEquals(objects, expected);
  });
}
