import { CsvParseStream, parse, stringify } from "@std/csv";
import { assertEquals, assertThrows } from "../../support/assert.ts";

Deno.test("parse reads quotes, ragged rows, CRLF, comments and headers as RFC 4180 and @std/csv say", () => {
  assertEquals(parse('a,"b ""c""",\r\n\r\nd\n"e\nf",g,h'), [["a", 'b "c"', ""], ["d"], ["e\nf", "g", "h"]]);
  assertEquals(parse("#no\na;b", { comment: "#", separator: ";" }), [["a", "b"]]);
  assertEquals(parse("x,y\n1,2", { skipFirstRow: true }), [{ x: "1", y: "2" }]);
  assertEquals(parse("1,2", { columns: ["x", "y"] }), [{ x: "1", y: "2" }]);
  assertEquals(parse('a "b",c', { lazyQuotes: true }), [['a "b"', "c"]]);
  assertEquals(parse(" a, b", { trimLeadingSpace: true }), [["a", "b"]]);
});

Deno.test("quotes in odd places and wrong numbers of fields are syntax errors", () => {
  assertThrows(() => parse('a,b "c"'), { name: "SyntaxError", message: /line 1, column 5: bare "/ });
  assertThrows(() => parse('a\n"b" c'), { name: "SyntaxError", message: /line 2, column 3: extraneous or missing "/ });
  assertThrows(() => parse('"a'), { name: "SyntaxError", message: /extraneous or missing "/ });
  assertThrows(() => parse("a,b\nc", { fieldsPerRecord: 0 }), { name: "SyntaxError" });
});

Deno.test("the stream gives the same rows however its text is cut", async () => {
  const text = 'a,"b\nc",d\r\n\n1,"2 ""x""",3\n';
  for (let size = 1; size < text.length; size++) {
    const pieces = Array.from(
      { length: Math.ceil(text.length / size) },
      (_, i) => text.slice(i * size, (i + 1) * size),
    );
    const rows = await Array.fromAsync(ReadableStream.from(pieces).pipeThrough(new CsvParseStream()));
    assertEquals(rows, parse(text));
  }
});

Deno.test("stringify quotes what needs it and reads columns by name and path", () => {
  assertEquals(stringify([["a", 'b"c', "d,e", null, 1]]), 'a,"b""c","d,e",,1\r\n');
  assertEquals(
    stringify([{ a: 1, b: { c: "x\ny" } }], { columns: ["a", ["b", "c"], { header: "z", prop: "a" }] }),
    'a,c,z\r\n1,"x\ny",1\r\n',
  );
  assertThrows(() => stringify([{ a: 1 }]), { name: "StringifyError" });
  assertThrows(() => stringify([], { separator: '"' }), { name: "StringifyError" });
});
