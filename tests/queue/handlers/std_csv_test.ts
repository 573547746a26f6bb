import { CsvParseStream, type CsvParseStreamOptions, CsvStringifyStream, parse, stringify } from "@std/csv";
import { assertEquals, assertRejects, assertThrows, ok } from "../../support/assert.ts";

/** Texts, how they are read, and what both ways of reading find in them. */
const READ: [name: string, text: string, options: CsvParseStreamOptions, rows: unknown[]][] = [
  ["quotes", 'a,"b ""c""",\n"d,e"', {}, [["a", 'b "c"', ""], ["d,e"]]],
  ["line ends within quotes", '"two\nlines","a\r\n\r\nb"\n', {}, [["two\nlines", "a\n\nb"]]],
  ["CRLF, blank lines and no end", "a,b\r\n\r\n\nc,d", {}, [["a", "b"], ["c", "d"]]],
  ["lone carriage returns", "a\rb,c\r\r\nd\r", {}, [["a\rb", "c\r"], ["d"]]],
  ["values that are empty", "a,,\n,,\n", {}, [["a", "", ""], ["", "", ""]]],
  ["ragged records", "a,b\nc\n", {}, [["a", "b"], ["c"]]],
  ["a separator", "a;b\n", { separator: ";" }, [["a", "b"]]],
  ["a separator of several letters", 'a::"b::c"::d', { separator: "::" }, [["a", "b::c", "d"]]],
  ["a separator and a comment beyond ASCII", 'a€"  b,"€ c\nλ no\n', { separator: "€", comment: "λ" }, [
    ["a", "  b,", " c"],
  ]],
  ["comments", "#no\na,b\n #c,d\n#", { comment: "#" }, [["a", "b"], [" #c", "d"]]],
  ["spaces before values", ' a,\t b, "c, d"\n', { trimLeadingSpace: true }, [["a", "b", "c, d"]]],
  ["spaces that stay", " a, b \n", {}, [[" a", " b "]]],
  ["separators that are trimmed", "a\t\tb\n", { separator: "\t", trimLeadingSpace: true }, [["a", "b"]]],
  ["lazy quotes", 'a "b",c"d,"e"f",g"', { lazyQuotes: true }, [['a "b"', 'c"d', 'e"f', 'g"']]],
  ["lazy quotes that are never closed", '"a,b\nc', { lazyQuotes: true }, [["a,b\nc"]]],
  ["any number of values", "a,b\nc\n", { fieldsPerRecord: -1 }, [["a", "b"], ["c"]]],
  ["as many values as the first", "a,b\nc,d\n", { fieldsPerRecord: 0 }, [["a", "b"], ["c", "d"]]],
  ["two values each", "a,b\n\nc,d\n", { fieldsPerRecord: 2 }, [["a", "b"], ["c", "d"]]],
  ["names in the first row", "x,y\n1,2\n", { skipFirstRow: true }, [{ x: "1", y: "2" }]],
  ["names that are given", "1,2\n", { columns: ["x", "y"] }, [{ x: "1", y: "2" }]],
  ["other names than the first row's", "a,b\n1,2\n", { columns: ["x", "y"], skipFirstRow: true }, [{ x: "1", y: "2" }]],
  ["nothing", "\r\n\n", {}, []],
];

for (const [name, text, options, rows] of READ) {
  Deno.test(`@std/csv reads ${name}, however the stream is cut`, async () => {
    assertEquals(parse(text, options) as unknown[], rows);
    for (let size = 1; size <= text.length; size++) {
      const pieces = Array.from(
        { length: Math.ceil(text.length / size) },
        (_, i) => text.slice(i * size, (i + 1) * size),
      );
      const stream = ReadableStream.from(pieces).pipeThrough(new CsvParseStream(options));
      assertEquals(await Array.fromAsync(stream) as unknown[], rows);
    }
  });
}

/** What is refused, and with which message: that of the stream, too, unless it has its own. */
const REFUSED: [text: string, options: CsvParseStreamOptions, message: string, streamed?: string][] = [
  ['a,b "c"', {}, 'Syntax error on line 1; parse error on line 1, column 5: bare " in non-quoted-field'],
  ['😀"', {}, 'Syntax error on line 1; parse error on line 1, column 2: bare " in non-quoted-field'],
  ['a\n"b" c', {}, 'Syntax error on line 2; parse error on line 2, column 3: extraneous or missing " in quoted-field'],
  [
    'a,"b\nc"d,e',
    {},
    'Syntax error on line 1; parse error on line 2, column 2: extraneous or missing " in quoted-field',
  ],
  [
    // A record of several lines counts as one.
    '"a\n\nb"\n"c\nd"e',
    {},
    'Syntax error on line 2; parse error on line 3, column 2: extraneous or missing " in quoted-field',
  ],
  ['"a', {}, 'Syntax error on line 1; parse error on line 1, column 1: extraneous or missing " in quoted-field'],
  [
    '"""',
    {},
    'Syntax error on line 1; parse error on line 1, column 4: extraneous or missing " in quoted-field',
    'Syntax error on line 1; parse error on line 1, column 1: extraneous or missing " in quoted-field',
  ],
  [
    'a\n\n"b\n',
    {},
    'Syntax error on line 3; parse error on line 3, column 1: extraneous or missing " in quoted-field',
    'Syntax error on line 3; parse error on line 4, column 1: extraneous or missing " in quoted-field',
  ],
  ["a,b,c\nd,e", { fieldsPerRecord: 0 }, "Syntax error on line 2: expected 3 fields but got 2"],
  ["a,b\n", { fieldsPerRecord: 3 }, "Syntax error on line 1: expected 3 fields but got 2"],
  [
    "x,y\n1\n",
    { skipFirstRow: true },
    "Syntax error on line 2: The record has 1 fields, but the header has 2 fields",
  ],
  [
    "1,2,3\n",
    { columns: ["x", "y"] },
    "Syntax error on line 1: The record has 3 fields, but the header has 2 fields",
    "Syntax error on line 2: The record has 3 fields, but the header has 2 fields",
  ],
];

for (const [text, options, message, streamed = message] of REFUSED) {
  Deno.test(`@std/csv refuses ${JSON.stringify(text)} with ${JSON.stringify(options)}`, async () => {
    const name = message.includes("The record has") ? "Error" : "SyntaxError";
    assertThrows(() => parse(text, options), { name, message });
    const stream = ReadableStream.from([text]).pipeThrough(new CsvParseStream(options));
    await assertRejects(Array.fromAsync(stream), { name, message: streamed });
  });
}

Deno.test("@std/csv refuses separators and comments that are quotes, line ends or each other, and names of nothing", () => {
  const invalid = [{ separator: "\n" }, { separator: "\r" }, { separator: '"' }, { comment: "\n" }, { comment: "\r" }, {
    comment: '"',
  }, { separator: "x", comment: "x" }];
  for (const options of invalid) {
    assertThrows(() => parse("", options), { name: "Error", message: "Cannot parse input: invalid delimiter" });
  }
  const message = "Cannot parse input: headers must be defined";
  assertThrows(() => parse("", { skipFirstRow: true }), { name: "TypeError", message });
});

Deno.test("a byte order mark is dropped from a text's beginning, and from nowhere else", () => {
  assertEquals(parse('\ufeff"a",b'), [["a", "b"]]);
  assertEquals(parse("a\ufeff,b"), [["a\ufeff", "b"]]);
});

Deno.test("a stream of rows that is left closes its source", async () => {
  const closed = Promise.withResolvers<void>();
  const source = new ReadableStream<string>({
    pull: (controller) => controller.enqueue("a,b\n"),
    cancel: () => closed.resolve(),
  });
  for await (const row of source.pipeThrough(new CsvParseStream())) {
    assertEquals(row, ["a", "b"]);
    break;
  }
  await closed.promise;
});

Deno.test("stringify quotes what needs it, and finds values by name, index and path", () => {
  assertEquals(
    stringify([["a", 'b"c', "d,e", null, undefined, 1, 2n, true, "f\r"]]),
    'a,"b""c","d,e",,,1,2,true,f\r\r\n',
  );
  assertEquals(
    stringify([{ a: 1, b: { c: "x\ny" } }], { columns: ["a", ["b", "c"], { header: "z", prop: "a" }, "none"] }),
    'a,c,z,none\r\n1,"x\ny",1,\r\n',
  );
  assertEquals(stringify([["a", ["b", "c"]]], { columns: [[1, 0], { prop: 0 }] }), "0,0\r\nb,a\r\n");
  assertEquals(stringify([[{ a: 1 }]], { columns: [0] }), '0\r\n"{""a"":1}"\r\n');
  assertEquals(stringify([["a;b", "c,d"]], { separator: ";" }), '"a;b";c,d\r\n');
  assertEquals(stringify([{ a: 1 }], { columns: ["a"], headers: false, bom: true }), "\ufeff1\r\n");
  assertEquals(stringify([], { columns: ["a"] }), "a\r\n");
  assertEquals(stringify([]), "");
  assertEquals(stringify(["a", 1] as unknown as unknown[][]), "a\r\n1\r\n");
});

Deno.test("stringify refuses objects without columns, arrays with named columns, and separators that end values", () => {
  const noColumns = "No property accessor function was provided for object";
  assertThrows(() => stringify([{ a: 1 }]), { name: "TypeError", message: noColumns });
  assertThrows(() => stringify([["a"]], { columns: ["a"] }), { name: "TypeError", message: /not of type "number"/ });
  for (const separator of ['"', "\r\n"]) {
    assertThrows(() => stringify([], { separator }), { name: "TypeError", message: /^Separator cannot include/ });
  }
});

Deno.test("CsvStringifyStream writes a record for each item, and its columns first", async () => {
  const arrays = ReadableStream.from([["id", "name"], [1, "a\tb"]]);
  assertEquals(await Array.fromAsync(arrays.pipeThrough(new CsvStringifyStream({ separator: "\t" }))), [
    "id\tname\r\n",
    '1\t"a\tb"\r\n',
  ]);
  const objects = ReadableStream.from([{ id: 1, name: "x" }, { id: 2, name: "y", more: 3 }]);
  assertEquals(await Array.fromAsync(objects.pipeThrough(new CsvStringifyStream({ columns: ["id", "name"] }))), [
    "id,name\r\n",
    "1,x\r\n",
    "2,y\r\n",
  ]);
});

Deno.test("CsvStringifyStream refuses what stringify refuses", async () => {
  const rows = (stream: ReadableStream<string>) => Array.fromAsync(stream);
  const arrays = () => ReadableStream.from([["a"]]);
  await assertRejects(rows(arrays().pipeThrough(new CsvStringifyStream({ separator: "\r\n" }))), { name: "TypeError" });
  const named = new CsvStringifyStream<{ columns: string[] }>({ columns: ["a"] });
  const misread = arrays() as unknown as ReadableStream<Record<string, unknown>>;
  await assertRejects(rows(misread.pipeThrough(named)), { name: "TypeError" });
  const objects = ReadableStream.from([{ a: 1 }]) as unknown as ReadableStream<unknown[]>;
  await assertRejects(rows(objects.pipeThrough(new CsvStringifyStream())), { name: "TypeError" });
});

Deno.test("the types of rows follow from the options", () => {
  const rows: string[][] = parse("a");
  const named: Record<"x", string>[] = parse("a", { columns: ["x"] });
  const first: Record<string, string>[] = parse("a\nb", { skipFirstRow: true });
  ok(rows.length === 1 && named[0].x === "a" && first[0].a === "b");
});
