import { parse } from "@std/csv";
import { RecordReader } from "../../../../queue/handlers/csv/records.ts";
import { Random } from "../../../../queue/handlers/random.ts";
import { assertEquals } from "../../../support/assert.ts";
import { recordsInBlocks } from "../../../support/csv.ts";
import { packageFolder } from "../../../support/packages.ts";

for (
  const [what, text, separator = ","] of [
    ["plain lines", "a,b\n1,2\n3,4\n"],
    ["CRLF", "a,b\r\n1,2\r\n3,4\r\n"],
    ["a quoted line break", 'a,b\n"x\ny",2\n3,4\n'],
    ["doubled quotes", 'a,b\r\n"""y""",2\r\n3,"4"\r\n'],
    ["no line break at the end", 'a,b\n"1",2\n3,"4"'],
    ["a bare quote in a value", 'a,b\n5" pipe,2\nx"y"z,4\n'],
    ["text after a closing quote", 'a,b\n"x" y,2\n"p"q"r",4\n'],
    ["an open quote until the end", 'a,b\n"x,2\n3,4\n'],
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

Deno.test("cut anywhere, 500 random texts of quotes, separators and line ends have their records", () => {
  const random = new Random(7);
  const letters = ["a", ",", '"', "\n", "\r\n", '""', "é"];
  for (let i = 0; i < 500; i++) {
    const text = Array.from({ length: 40 }, () => letters[Math.floor(random.next() * letters.length)]).join("");
    const size = 1 + Math.floor(random.next() * 20);
    // A line break within quotes stays as it is in the file; @std/csv makes each of them a line feed.
    const found = recordsInBlocks(text, size).map((row) => row.map((value) => value.replaceAll("\r\n", "\n")));
    const expected = parse(text.replaceAll("\r\n", "\n"), { lazyQuotes: true });
    assertEquals(found, expected, JSON.stringify(text));
  }
});

Deno.test("a record names the line that it begins on; empty lines and breaks within quotes count", () => {
  const bytes = new TextEncoder().encode('a,b\n\n"x\r\ny\n",2\r\n3,4\n\n\n5,"6"');
  const reader = new RecordReader(bytes, ",", 1, true);
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
