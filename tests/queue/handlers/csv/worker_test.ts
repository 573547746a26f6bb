import type { ColumnStatistics } from "../../../../queue/handlers/csv/columns/statistics.ts";
import { Random } from "../../../../queue/handlers/random.ts";
import { assertEquals, assertRejects, ok } from "../../../support/assert.ts";
import { KEEP_ALL, readCsv } from "../../../support/csv/read.ts";

const latin1 = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));

function utf16(text: string, little: boolean, mark: boolean): Uint8Array {
  const units = [...mark ? [0xfeff] : [], ...Array.from({ length: text.length }, (_, i) => text.charCodeAt(i))];
  return Uint8Array.from(units.flatMap((unit) => little ? [unit & 255, unit >> 8] : [unit >> 8, unit & 255]));
}

/** Name, type, count, missing, distinct, sum, least and greatest of each column. */
function brief(columns: ColumnStatistics[]) {
  return columns.map(({ name, type, count, missing, distinct, sum, min, max }) =>
    [name, type, count, missing, distinct, sum, min, max] as const
  );
}

type Brief = ReturnType<typeof brief>;
type Nasty = [
  what: string,
  file: string | Uint8Array,
  options: NonNullable<Parameters<typeof readCsv>[1]>,
  columns: Brief,
  bad?: { line: number; reason: string }[],
];

const NASTY: Nasty[] = [
  ["a byte order mark before a quoted name", '\ufeff"na,me",n\nx,1\n', {}, [
    ["na,me", "text", 1, 0, 1, null, "x", "x"],
    ["n", "integer", 1, 0, 1, 1, 1, 1],
  ]],
  [
    "UTF-16 with its bytes swapped, and a letter of two units cut by every block",
    utf16("ä,𝄞𝄞\n1,ö\n2,𝄞\n", false, true),
    {},
    [
      ["ä", "integer", 2, 0, 2, 3, 1, 2],
      ["𝄞𝄞", "text", 2, 0, 2, null, "ö", "𝄞"],
    ],
  ],
  ["UTF-16 without a mark, said by parameter", utf16("a;b\r\n1;2,5\r\n", true, false), { encoding: "utf-16le" }, [
    ["a", "integer", 1, 0, 1, 1, 1, 1],
    ["b", "decimal", 1, 0, 1, 2.5, 2.5, 2.5],
  ]],
  ["Latin-1 that is no UTF-8", latin1("stra\xdfe,n\nB\xe4ckerweg,1\n\xd6l,2\n"), {}, [
    ["straße", "text", 2, 0, 2, null, "Bäckerweg", "Öl"],
    ["n", "integer", 2, 0, 2, 3, 1, 2],
  ]],
  ["lines that end with a carriage return alone", "a,b\r1,2\r3,4\r", {}, [
    ["a", "integer", 2, 0, 2, 4, 1, 3],
    ["b", "integer", 2, 0, 2, 6, 2, 4],
  ]],
  ["mixed line ends and empty lines", "a,b\r\n\n1,2\n\r\n3,4\r\n\r\n", {}, [
    ["a", "integer", 2, 0, 2, 4, 1, 3],
    ["b", "integer", 2, 0, 2, 6, 2, 4],
  ]],
  ["names that are missing or there twice", "a,,a, a \n1,2,3,4\n", {}, [
    ["a", "integer", 1, 0, 1, 1, 1, 1],
    ["column 2", "integer", 1, 0, 1, 2, 2, 2],
    ["a (2)", "integer", 1, 0, 1, 3, 3, 3],
    ["a (3)", "integer", 1, 0, 1, 4, 4, 4],
  ]],
  ["short, long and unclosed rows, named by the line that each begins on", 'a,b\n1,2\n3\n"x\ny",2\n4,5,6\n7,"8\n', {}, [
    ["a", "text", 2, 0, 2, null, "1", "x\ny"],
    ["b", "integer", 2, 0, 1, 4, 2, 2],
  ], [
    { line: 3, reason: "has 1 value instead of 2" },
    { line: 6, reason: "has 3 values instead of 2" },
    { line: 7, reason: "has a quote that is never closed" },
  ]],
  ["decimal commas between semicolons", "a;b\n1,5;-0,25\n2;1,5e3\n", {}, [
    ["a", "decimal", 2, 0, 2, 3.5, 1.5, 2],
    ["b", "decimal", 2, 0, 2, 1499.75, -0.25, 1500],
  ]],
  ["a decimal comma and a decimal point in one column", "a;b\n1,5;1\n2.5;1\n", {}, [
    ["a", "text", 2, 0, 2, null, "1,5", "2.5"],
    ["b", "integer", 2, 0, 1, 2, 1, 1],
  ]],
  ["commas in quoted numbers between commas, which may be thousands", 'a\n"1,234"\n"5,678"\n', { delimiter: "," }, [
    ["a", "text", 2, 0, 2, null, "1,234", "5,678"],
  ]],
  ["what looks like numbers and is none", "a\n1e999\n0x10\n1_000\nInfinity\nNaN\n--1\n1.2.3\n.\n+\n", {}, [
    ["a", "text", 8, 1, 8, null, "+", "Infinity"],
  ]],
  ["odd numbers", "a\n7\n-0\n.5\n5.\n1E-3\n12345678901234567890\n", {}, [
    ["a", "decimal", 6, 0, 6, 12345678901234567890, 0, 12345678901234567890],
  ]],
  ["numbers that lose each other in a plain sum", "a\n1.0e100\n1\n-1.0e100\n", {}, [
    ["a", "decimal", 3, 0, 3, 1, -1e100, 1e100],
  ]],
  [
    "dates, and what only looks like them",
    "a,b,c\n2024-02-29,2026-02-30,2026-13-01\n2026-11-25T10:00:00Z,2026-02-28,2026/1/1\n",
    {},
    [
      ["a", "date", 2, 0, 2, null, "2024-02-29", "2026-11-25T10:00:00Z"],
      ["b", "text", 2, 0, 2, null, "2026-02-28", "2026-02-30"],
      ["c", "text", 2, 0, 2, null, "2026-13-01", "2026/1/1"],
    ],
  ],
  ["thousands between tabs", "a\tb\n950\t1\n1,234\t2\n", {}, [
    ["a", "text", 2, 0, 2, null, "1,234", "950"],
    ["b", "integer", 2, 0, 2, 3, 1, 2],
  ]],
  ["a line feed within quotes where returns end the lines", 'a,b\r1,"x\ny"\r2,z\r', {}, [
    ["a", "integer", 2, 0, 2, 3, 1, 2],
    ["b", "text", 2, 0, 2, null, "x\ny", "z"],
  ]],
  ["numbers whose sum is beyond any double", "a\n1.0e308\n1.0e308\n1.0e308\n", {}, [
    ["a", "decimal", 3, 0, 1, null, 1e308, 1e308],
  ]],
  ["values of nothing but spaces, and spaces around values", "a,b\n  ,\t1 \n x ,2\n", {}, [
    ["a", "text", 1, 1, 1, null, "x", "x"],
    ["b", "integer", 2, 0, 2, 3, 1, 2],
  ]],
  ["names that are properties of every object", "__proto__,constructor\n1,toString\n2,valueOf\n", {}, [
    ["__proto__", "integer", 2, 0, 2, 3, 1, 2],
    ["constructor", "text", 2, 0, 2, null, "toString", "valueOf"],
  ]],
  ["quotes in odd places", 'a,b\n5" pipe,"x"y"\n"a""",""\n', {}, [
    ["a", "text", 2, 0, 2, null, '5" pipe', 'a"'],
    ["b", "text", 1, 1, 1, null, 'x"y', 'x"y'],
  ]],
  ["long values that differ after what is shown of them", `a\n${"x".repeat(5_000)}1\n${"x".repeat(5_000)}2\n`, {}, [
    ["a", "text", 2, 0, 2, null, "x".repeat(100), "x".repeat(100)],
  ]],
  ["no header, and a name nowhere", "1,x\n2,y\n", { header: false }, [
    ["column 1", "integer", 2, 0, 2, 3, 1, 2],
    ["column 2", "text", 2, 0, 2, null, "x", "y"],
  ]],
  ["yes and no in every case", "a,b\ntrue,yes\nFALSE,No\n", {}, [
    ["a", "boolean", 2, 0, 2, null, "FALSE", "true"],
    ["b", "boolean", 2, 0, 2, null, "No", "yes"],
  ]],
  ["a delimiter that the text is full of", "name|note\nx|a, b, c; d\ny|e; f, g\n", {}, [
    ["name", "text", 2, 0, 2, null, "x", "y"],
    ["note", "text", 2, 0, 2, null, "a, b, c; d", "e; f, g"],
  ]],
];

for (const [what, file, options, columns, bad = []] of NASTY) {
  Deno.test(`nasty: ${what}`, async () => {
    for (const size of [1, 3, 16, 1_000_000]) {
      const read = await readCsv(file, options, size);
      assertEquals(brief(read.columns), columns, `in blocks of ${size}`);
      assertEquals([read.badRows, read.bad], [bad, bad.length], `in blocks of ${size}`);
    }
  });
}

for (
  const [what, file, options, complaint] of [
    ["zero bytes", "a\0b,c\n", {}, /contains NUL characters/],
    ["UTF-16 without a mark, unsaid", utf16("a,b\n", true, false), {}, /UTF-16 without a byte order mark/],
    ["UTF-16 that ends in half a letter", utf16("a,b\n1,2\n", true, true).slice(0, -1), {}, /middle of a UTF-16/],
    ["what is said to be UTF-8 and is not", latin1("a\n\xe4\n"), { encoding: "utf-8" }, /such as encoding: latin1/],
    [
      "UTF-8 with one broken letter among many",
      latin1("a\n" + "\xc3\xa4\n".repeat(50) + "\xe4\n"),
      {},
      /not entirely valid UTF-8/,
    ],
    ["a header that is never closed", 'a,"b\n1,2\n', {}, /first row, on line 1, has a quote that is never closed/],
    ["3,000 columns", "a,".repeat(2_999) + "a\n", {}, /3,000 columns; the limit is 2,000/],
    ["more bad rows than are allowed", "a,b\n1\n2\n3\n", { maxBadRows: 2 }, /Too many bad rows \(limit 2\).*on line 2/],
    ["a column to keep that is not there", "a,b\n", { cleaning: { ...KEEP_ALL, columns: ["c"] } }, /no column "c"/],
    ["two columns under one name", "a,b\n", { cleaning: { ...KEEP_ALL, rename: { a: "b" } } }, /would be named "b"/],
  ] as [string, string | Uint8Array, NonNullable<Parameters<typeof readCsv>[1]>, RegExp][]
) {
  Deno.test(`refused: ${what}`, () => assertRejects(readCsv(file, options), complaint));
}

Deno.test("the delimiter is told from the first lines", async () => {
  for (
    const [text, delimiter] of [
      ["a;b;c\n1,5;2;3", ";"],
      ["a\tb,c\td", "\t"],
      ["a|b", "|"],
      ['"x,y,z";b', ";"],
      ["a", ","],
      ["a,b;c\n1,2;3\n4,5\n6,7\n", ","],
      ["1,5;2,5\n3,5;4,5\n5,5;6,5\n", ";"],
      ["Datum;Preis, EUR;Menge, kg\n2024-01-01;1,5;2,5\n2024-01-02;1,5;2,5\n", ";"],
      ["name,note\nx,one; two\ny,three\nz,four; five\n", ","],
    ]
  ) assertEquals((await readCsv(text)).dialect.delimiter, delimiter, text);
});

Deno.test("a file whose first accent comes late is read as what it turns out to be", async () => {
  const plain = "name,n\n" + "Anna,1\n".repeat(1_000);
  const old = await readCsv(latin1(plain + "J\xfcrg,2\n"), {}, 64, 64);
  assertEquals([old.dialect.encoding, old.columns[0].max], ["windows-1252", "Jürg"]);
  const modern = await readCsv(plain + "Jürg,2\n", {}, 64, 64);
  assertEquals([modern.dialect.encoding, modern.columns[0].max], ["utf-8", "Jürg"]);
});

const random = new Random(11);
const DISTRIBUTIONS: Record<string, number[]> = {
  "many small and few large numbers": Array.from({ length: 120_000 }, () => Math.round(random.next() ** 3 * 1e6) / 100),
  "sixty percent zeros": Array.from(
    { length: 100_000 },
    (_, i) => i % 5 < 3 ? 0 : 100 + Math.round(random.next() * 1e7) / 100,
  ),
  "numbers in order": Array.from({ length: 60_000 }, (_, i) => i),
  "two heaps far apart": Array.from(
    { length: 90_000 },
    (_, i) => (i % 2) * 1e6 + Math.round(random.next() * 1e6) / 1e3,
  ),
};

for (const [what, numbers] of Object.entries(DISTRIBUTIONS)) {
  Deno.test(`beyond ten thousand different values, estimates hold: ${what}`, async () => {
    const file = `n\n${numbers.join("\n")}\n`;
    const { columns: [column] } = await readCsv(file, { cleaning: null }, 200_000);
    const sorted = numbers.toSorted((a, b) => a - b);
    const total = sorted.length;
    const different = new Set(numbers).size;
    assertEquals([column.count, column.distinct_estimated], [total, true]);
    // Four times the standard error of 1.04 / sqrt(2^14).
    ok(Math.abs(column.distinct / different - 1) < 0.033, `${column.distinct} of ${different}`);
    for (const [name, value] of Object.entries(column.quantiles!)) {
      const q = Number(name.slice(1)) / 100;
      const [below, upTo] = [
        sorted.filter((n) => n < value).length / total,
        sorted.filter((n) => n <= value).length / total,
      ];
      ok(below <= q + 0.003 && upTo >= q - 0.003, `${name} is ${value}, from ${below} to ${upTo}`);
    }
    const bins = column.histogram!;
    assertEquals(bins.reduce((sum, { count }) => sum + count, 0), total);
    for (const { from, to, count } of bins) {
      const exact = numbers.filter((n) => n >= Number(from) && n < Number(to)).length;
      ok(Math.abs(count - exact) < 0.006 * total, `${count} instead of ${exact} from ${from} to ${to}`);
    }
    // Wherever the file is cut, the same numbers give the same estimates.
    assertEquals((await readCsv(file, { cleaning: null }, 77_777)).columns, [column]);
  });
}

Deno.test("the estimate of distinct values has no bias where other estimators change their formula", async () => {
  for (const count of [15_000, 41_000, 82_000, 200_000]) {
    let error = 0;
    for (let run = 0; run < 8; run++) {
      const file = `n\n${Array.from({ length: count }, (_, i) => `${run}x${i}`).join("\n")}\n`;
      error += (await readCsv(file, { cleaning: null })).columns[0].distinct / count - 1;
    }
    // The mean of eight has an eighth of the variance: four standard errors.
    ok(Math.abs(error / 8) < 4 * 0.0081 / Math.sqrt(8), `${count}: off by ${error / 8}`);
  }
});

Deno.test("the cleaned file has the chosen columns under their names, and no formulas", async () => {
  const file = 'id;name;note\n1;"Ann; B";=1+1\n2;Bob\n3;"say ""hi""";@sum\n4;-5;-2+3\n';
  const cleaning = { columns: ["note", "name"], rename: { note: "remark" }, dropBadRows: true, escapeFormulas: true };
  assertEquals(
    (await readCsv(file, { cleaning }, 5)).cleaned,
    'remark;name\r\n"\'=1+1";"Ann; B"\r\n"\'@sum";"say ""hi"""\r\n"\'-2+3";-5\r\n',
  );
  assertEquals(
    (await readCsv("a,b\n1\n2,3,4\n", { cleaning: KEEP_ALL })).cleaned,
    "a,b\r\n1,\r\n2,3\r\n",
  );
  assertEquals((await readCsv('a\n""\nx\n', { cleaning: KEEP_ALL })).cleaned, 'a\r\n""\r\nx\r\n');
  assertEquals((await readCsv("1,2\n", { header: false, cleaning: KEEP_ALL })).cleaned, "1,2\r\n");
  // What another reader takes for a delimiter, and what a spreadsheet does not see.
  const odd = "a\nx;=1+1\n\ufeff=1\n\u00a0=1\n-5 \n+1\n＝1\n";
  assertEquals(
    (await readCsv(odd, { delimiter: ",", cleaning: { ...KEEP_ALL, escapeFormulas: true } })).cleaned,
    'a\r\n"x;=1+1"\r\n"\'\ufeff=1"\r\n"\'\u00a0=1"\r\n-5 \r\n+1\r\n"\'＝1"\r\n',
  );
});

Deno.test("a quote that is never closed costs its line, in a file of any size", async () => {
  const small = await readCsv(`a,b\n1,"2\n${"3,4\n".repeat(500)}`, {}, 64);
  assertEquals([small.rows, small.bad], [500, 1]);
  assertEquals(small.badRows, [{ line: 2, reason: "has a quote that is never closed" }]);
  const rows = 1_200_000;
  const large = await readCsv(`a,b\n1,"2\n${"3,4\n".repeat(rows)}`, { cleaning: null });
  assertEquals([large.rows, large.bad, large.columns[0].sum], [rows, 1, 3 * rows]);
  const long = await readCsv(`a\n${"x".repeat(4_200_000)}\ny\n`, { cleaning: null });
  assertEquals([long.rows, long.badRows], [1, [{ line: 2, reason: "has more than 4 MB" }]]);
});
