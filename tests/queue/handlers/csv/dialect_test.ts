import { assertEquals, ok } from "../../../support/assert.ts";
import { encoded } from "../../../support/csv/encodings.ts";
import { readCsv } from "../../../support/csv/read.ts";

type Options = NonNullable<Parameters<typeof readCsv>[1]>;
type Read = Awaited<ReturnType<typeof readCsv>>;

/** Type, sum, least and greatest of each column. */
const brief = ({ columns }: Read) => columns.map(({ type, sum, min, max }) => [type, sum, min, max] as const);
const text = (min: string, max: string) => ["text", null, min, max] as const;

/** Files of the kinds that other readers get wrong, and what is right. */
const COLUMNS: [what: string, file: string, options: Options, columns: ReturnType<typeof brief>][] = [
  ["zip codes", "zip,n\n01234,1\n00501,2\n90210,3\n", {}, [text("00501", "90210"), ["integer", 6, 1, 3]]],
  ["telephone numbers", "tel\n+41791234567\n41791234568\n", {}, [text("+41791234567", "41791234568")]],
  ["numbers with zeros in front", "id\n000123\n7\n", {}, [text("000123", "7")]],
  ["decimals below one", "x\n0.5\n-0.25\n0\n", {}, [["decimal", 0.25, -0.25, 0.5]]],
  ["part numbers that look like exponents", "part\n12E12\n7E3\n100E10\n", {}, [text("100E10", "7E3")]],
  ["exponents beside a point or with a sign", "x\n1.2E+3\n2.5e-2\n1E-3\n", {}, [["decimal", 1200.026, 0.001, 1200]]],
  ["whole numbers beyond a double", "id\n9007199254740993\n9007199254740995\n", {}, [
    ["integer", 18014398509481988, "9007199254740993", "9007199254740995"],
  ]],
  ["their sum beyond a double too", "id\n9007199254740993\n9007199254740994\n-12345678901234567890123\n", {}, [
    ["integer", "-12345660886836058408136", "-12345678901234567890123", 9007199254740994],
  ]],
  ["words for missing values", "x,y\n1,NA\nNaN,null\n3,N/A\n,-\n", {}, [["integer", 4, 1, 3], [
    "empty",
    null,
    null,
    null,
  ]]],
  ["words for missing values that are given", "x,y\n1,NA\n?,2\n", { nullValues: ["?"] }, [
    ["integer", 1, 1, 1],
    text("2", "NA"),
  ]],
  [
    "points as thousands, proved by another column",
    "artikel;menge;preis\nA;1.234;12,50\nB;2.500;7,90\nC;10.000;3,20\n",
    {},
    [
      text("A", "C"),
      ["integer", 13734, 1234, 10000],
      ["decimal", 23.6, 3.2, 12.5],
    ],
  ],
  ["groups of three that nothing decides", "a;b\n1.234;x\n2.500;y\n", {}, [text("1.234", "2.500"), text("x", "y")]],
  ["the same, with a decimal point stated", "a;b\n1.234;x\n2.500;y\n", { decimal: "." }, [
    ["decimal", 3.734, 1.234, 2.5],
    text("x", "y"),
  ]],
  ["the same, with thousands stated", "a;b\n1.234;x\n2.500;y\n", { thousands: "." }, [
    ["integer", 3734, 1234, 2500],
    text("x", "y"),
  ]],
  ["three decimals that are no thousands", "x\n0.125\n1.500\n12345.678\n", {}, [[
    "decimal",
    12347.303,
    0.125,
    12345.678,
  ]]],
  ["commas as thousands", 'x\n"1,234"\n"2,345,678"\n', {}, [["integer", 2346912, 1234, 2345678]]],
  ["dollars", 'x\n$1.50\n-$2\n"$1,000.25"\n', {}, [["decimal", 999.75, -2, 1000.25]]],
  ["euros behind the number", "x;y\n1,50 €;a\n2.000,00 €;b\n", {}, [["decimal", 2001.5, 1.5, 2000], text("a", "b")]],
  ["percentages", "x\n12%\n7.5%\n100 %\n", {}, [["decimal", 119.5, 7.5, 100]]],
  ["units that differ", "x\n$1\n€2\n", {}, [text("$1", "€2")]],
  ["numbers with and without a unit", "x\n12%\n12\n", {}, [text("12", "12%")]],
  ["no-break spaces as thousands", "x;y\n1\u00a0234,5;a\n2\u202f000,0;b\n", {}, [
    ["decimal", 3234.5, 1234.5, 2000],
    text("a", "b"),
  ]],
  ["apostrophes as thousands", "x\n1'234.5\n12’000\n", {}, [["decimal", 13234.5, 1234.5, 12000]]],
  ["spaces between numbers", "x\n555 123\n555 124\n", {}, [text("555 123", "555 124")]],
  ["minus signs that are typographic", "x\n−5\n3\n", {}, [["integer", -2, -5, 3]]],
  ["dates with the day first", "d\n31/12/2023\n01/02/2024\n", {}, [["date", null, "31/12/2023", "01/02/2024"]]],
  ["dates with the month first", "d\n12/31/2023\n02/01/2024\n", {}, [["date", null, "12/31/2023", "02/01/2024"]]],
  ["dates that may be either", "d\n01.02.2023\n03.04.2023\n", {}, [text("01.02.2023", "03.04.2023")]],
  ["the same, with the order stated", "d\n01.02.2023\n02.01.2023\n", { dateOrder: "DMY" }, [
    ["date", null, "02.01.2023", "01.02.2023"],
  ]],
  ["the same, proved by another column", "a,b\n01/02/2023,13/01/2023\n02/01/2023,14/01/2023\n", {}, [
    ["date", null, "02/01/2023", "01/02/2023"],
    ["date", null, "13/01/2023", "14/01/2023"],
  ]],
  ["both orders in one column", "d\n31/12/2023\n12/31/2023\n", {}, [text("12/31/2023", "31/12/2023")]],
  ["days that do not exist", "d,e\n2023-02-29,2024-02-29\n2023-03-01,2023-03-01\n", {}, [
    text("2023-02-29", "2023-03-01"),
    ["date", null, "2023-03-01", "2024-02-29"],
  ]],
  [
    "times with offsets, by instant",
    "t\n2024-01-01T10:00:00+02:00\n2024-01-01T09:00:00Z\n2024-01-01T07:30:00-01:00\n",
    {},
    [
      ["date", null, "2024-01-01T10:00:00+02:00", "2024-01-01T09:00:00Z"],
    ],
  ],
  ["Excel's line with the delimiter", "sep=;\r\na;b\r\n1;2\r\n", {}, [["integer", 1, 1, 1], ["integer", 2, 2, 2]]],
  ["a title before the header", "Sales of 2024\n\nregion,units\nNorth,1\nSouth,2\nEast,3\n", {}, [
    text("East", "South"),
    ["integer", 6, 1, 3],
  ]],
  ["comments before the header", "# made by x, y and z\n# 2024\nid,n,m\n1,2,3\n4,5,6\n", {}, [
    ["integer", 5, 1, 4],
    ["integer", 7, 2, 5],
    ["integer", 9, 3, 6],
  ]],
  ["lines to skip, and comments between rows", "x\ny\na,b\n1,2\n#3,4\n5,6\n", { skip_rows: 2, comment: "#" }, [
    ["integer", 6, 1, 5],
    ["integer", 8, 2, 6],
  ]],
  ["backslashes before quotes", 'n,t\n1,"say \\"hi\\""\n2,"second"\n3,"third"\n', {}, [
    ["integer", 6, 1, 3],
    text('say "hi"', "third"),
  ]],
  ["a folder that ends with a backslash", 'n,t\n1,"C:\\dir\\"\n2,"D:\\"\n', {}, [
    ["integer", 3, 1, 2],
    text("C:\\dir\\", "D:\\"),
  ]],
  ["CR CR LF", "a,b\r\r\n1,2\r\r\n3,4\r\r\n", {}, [["integer", 4, 1, 3], ["integer", 6, 2, 4]]],
  ["one line that ends with CR", 'a,b\n"1",2\n3,"4"\r5,6\n', {}, [["integer", 9, 1, 5], ["integer", 12, 2, 6]]],
  ["a header and no rows", "a,b\n", {}, [["empty", null, null, null], ["empty", null, null, null]]],
  ["single quotes", "a,b\n'1,5','it''s'\n'2,5','x'\n", { quote: "'", decimal: "," }, [
    ["decimal", 4, 1.5, 2.5],
    text("it's", "x"),
  ]],
  ["true and false beside numbers", "x\ntrue\n1\n", {}, [text("1", "true")]],
  ["MySQL's word for a missing value", "a,b\n\\N,1\n2,\\N\n", {}, [["integer", 2, 2, 2], ["integer", 1, 1, 1]]],
  ["versions and addresses", "v,ip\n1.2.3,10.0.0.1\n1.10.0,10.0.0.2\n", {}, [
    text("1.10.0", "1.2.3"),
    text("10.0.0.1", "10.0.0.2"),
  ]],
  ["groups that are none", 'x\n"1,23"\n"12,345,6"\n', {}, [text("1,23", "12,345,6")]],
  ["an R table, whose header is shorter", '"x"\n"1",5\n"2",6\n', {}, [text("1", "2")]],
];

for (const [what, file, options, columns] of COLUMNS) {
  Deno.test(`read as it is meant: ${what}`, async () => {
    for (const size of [1, 7, 1_000_000]) {
      const read = await readCsv(file, options, size);
      if (what.startsWith("an R table")) return assertEquals([read.rows, read.bad], [0, 2]);
      assertEquals([brief(read), read.bad], [columns, 0], `in blocks of ${size}`);
    }
  });
}

Deno.test("no row vanishes: what a stray quote swallowed is read again, and the row is named", async () => {
  const rest = Array.from({ length: 200 }, (_, i) => `${i},"x"`).join("\n");
  const { rows, bad, badRows } = await readCsv(`n,t\n1,"6" pipe\n${rest}\n`);
  assertEquals([rows, bad, badRows[0].line], [200, 1, 2]);
});

Deno.test("a value that holds a whole record is told, and counted as what it is", async () => {
  const { rows, bad, warnings } = await readCsv('n,t\n1,"a\n2,b\n3,c"\n4,d\n');
  assertEquals([rows, bad], [2, 0]);
  assertEquals(warnings, [
    "A row has a quoted value with whole records in it (line 2). A quote may be missing there.",
  ]);
});

const SWALLOWED: [name: string, file: string, line: number][] = [
  ["in the last column", 'n,t\n1,"a\n2,b"\n3,c\n', 2],
  ["not in the last column", 'a,b,c\n1,"x,1\n2,y",2\n3,z,3\n', 2],
  ["in a file of lone carriage returns", 'a,b\r1,"x\r2,y\r3,w"\r4,z\r', 2],
  ["in the header", 'id,"name\n1,x\n2,y"\n3,z\n', 1],
  ["with CRLF", 'a;b\r\n1;"x\r\n2;y"\r\n', 2],
];

for (const [name, file, line] of SWALLOWED) {
  Deno.test(`a row that quotes have swallowed ${name} is suspected and told`, async () => {
    const { warnings } = await readCsv(file);
    assertEquals(warnings, [
      `A row has a quoted value with whole records in it (line ${line}). A quote may be missing there.`,
    ]);
  });
}

Deno.test("values over several lines that are no rows are not suspected", async () => {
  for (const file of ['n,t\n1,"a\nb"\n2,c\n', 'n,t,u\n1,"two, with\n\na comma",x\n2,c,y\n', 'a,b\n"x\ny","u\nv"\n']) {
    assertEquals((await readCsv(file)).warnings, []);
  }
});

Deno.test("a long quoted value full of backslashes is read in one pass", async () => {
  const value = "x\\n".repeat(100_000);
  const { rows, columns } = await readCsv(`a,b\n1,"${value}"\n2,"say \\"hi\\""\n`, {
    escape: "backslash",
    cleaning: null,
  });
  assertEquals([rows, columns[1].lengths?.max], [2, 199_999]);
});

Deno.test("an escaped line end in an unquoted value counts as a line", async () => {
  const { badRows } = await readCsv("a,b\n1,x\\\ny\n2\n", { escape: "backslash", cleaning: null });
  assertEquals(badRows, [{ line: 4, reason: "has 1 value instead of 2" }]);
});

Deno.test("internet addresses are text, and prove nothing about other columns", async () => {
  const { columns } = await readCsv("ip,bytes\n192.168.178.101,1.25\n192.168.178.102,5.5\n");
  assertEquals(columns.map(({ type, sum }) => [type, sum]), [["text", null], ["decimal", 6.75]]);
});

Deno.test("Excel's line says tabs, too; names tell the delimiter of ragged rows; a first row with # is told", async () => {
  const tabs = await readCsv("sep=\t\r\na\tb\r\n1\t2\r\n");
  assertEquals([tabs.rows, tabs.columns.map(({ name }) => name)], [1, ["a", "b"]]);
  const ragged = await readCsv("a;b;c\n1,5;2;x\n2,5;3;y\n3,5;4\n4,5;5;z\n");
  assertEquals([ragged.dialect.delimiter, ragged.rows, ragged.bad, ragged.columns[0].sum], [";", 3, 1, 8.5]);
  const hash = await readCsv("# made by x, today\na,b\n1,2\n");
  assertEquals(hash.warnings, ["The first row begins with #: if it is a comment, set comment or skip_rows."]);
  const both = await readCsv("sep=,\n# of,b\n1,2\n");
  assertEquals(both.warnings, hash.warnings);
  const second = await readCsv("sep=,\na,b\n# 1,2\n");
  assertEquals(second.warnings, []);
  assertEquals((await readCsv("#id,name\n1,x\n")).warnings, []);
});

Deno.test("days beside times with offsets are in UTC, and that is told", async () => {
  const { columns: [column] } = await readCsv("t\n2024-01-01\n2024-01-01T00:00:00+02:00\n");
  assertEquals([column.type, column.note, column.min], [
    "date",
    "Times without an offset are in UTC.",
    "2024-01-01T00:00:00+02:00",
  ]);
});

Deno.test("a NUL makes its row bad, wherever it stands", async () => {
  for (const at of [1, 5_000]) {
    const lines = Array.from({ length: 9_000 }, (_, i) => i === at ? `${i},a\0b` : `${i},ab`);
    const { rows, badRows } = await readCsv(`n,t\n${lines.join("\n")}\n`, { cleaning: null }, 10_000);
    assertEquals([rows, badRows], [8_999, [{ line: at + 2, reason: "contains a NUL character" }]]);
  }
});

Deno.test("what was found out is told: separators, units, orders, words, skipped lines", async () => {
  const file = "Umsatz\n\nd;eur;n;x\n31.12.2024;1.234,50 €;1.000;NA\n01.01.2025;2,00 €;2.000;3\n";
  const { readings, dialect, columns, nullValues } = await readCsv(file);
  assertEquals(readings, { decimal: ",", thousands: ".", date_order: "DMY" });
  assertEquals([dialect.delimiter, dialect.skip, dialect.skipped], [";", 2, ["Umsatz", ""]]);
  assertEquals(nullValues, ["NA"]);
  assertEquals(columns.map(({ unit }) => unit), [null, "€", null, null]);
  assertEquals(columns.map(({ note }) => note), [
    null,
    "Thousands are separated by points.",
    "Read with a decimal comma, as other columns are. Thousands are separated by points.",
    null,
  ]);
  const ambiguous = await readCsv("a,d\n1.234,01/02/2024\n");
  assertEquals(ambiguous.columns.map(({ note }) => note), [
    "Ambiguous: groups of three digits may be thousands or decimals. Set decimal or thousands.",
    "Ambiguous: the day or the month may come first. Set date_order.",
  ]);
});

const TEXTS: [encoding: string, text: string][] = [
  ["windows-1252", "name,city\nJürg,Zürich\nAnaïs,Genève\nPeña,Málaga\nStraße,Köln\n"],
  ["windows-1250", "imię,miasto\nŁukasz,Kraków\nMałgorzata,Gdańsk\nPaweł,Łódź\nŚwiętosława,Wrocław\n"],
  ["windows-1251", "Имя,Город\nИван,Москва\nПётр,Казань\nОльга,Новосибирск\n"],
  ["koi8-r", "Имя,Город\nИван,Москва\nПётр,Казань\nОльга,Новосибирск\n"],
  ["windows-1253", "όνομα,πόλη\nΓιώργος,Αθήνα\nΜαρία,Θεσσαλονίκη\n"],
  ["macintosh", "name,city\nRené,Zürich\nJosé,Genève\nFrançois,Besançon\n"],
  ["shift_jis", "名前,住所\n山田,東京都千代田区\n鈴木,大阪市\nさとう,ほっかいどう\n"],
  ["euc-jp", "名前,住所\n山田,東京都千代田区\n鈴木,大阪市\nさとう,ほっかいどう\n"],
  ["gb18030", "姓名,城市\n王伟,北京\n李娜,上海\n张敏,广州\n"],
  ["big5", "姓名,城市\n王偉,台北\n李娜,高雄\n張敏,新竹\n"],
  ["euc-kr", "이름,도시\n김철수,서울\n이영희,부산\n박민수,대구\n"],
];

for (const [encoding, file] of TEXTS) {
  Deno.test(`a file in ${encoding} is recognized, also when it is cut anywhere`, async () => {
    const bytes = encoded(encoding, file);
    const expected = await readCsv(file);
    for (const size of [1, 5, 1_000]) {
      const read = await readCsv(bytes, {}, size);
      assertEquals([read.dialect.encoding, read.columns], [encoding, expected.columns]);
      ok(read.dialect.confidence! >= 0.4, `a confidence of ${read.dialect.confidence}`);
    }
    // Said instead of detected, it is the same.
    assertEquals((await readCsv(bytes, { encoding } as Options, 3)).columns, expected.columns);
  });
}

Deno.test("words that make no sense are told", async () => {
  const wrong = await readCsv(encoded("macintosh", "name\nRené\nZürich\n"), { encoding: "windows-1252" });
  assertEquals(wrong.warnings, [
    'Some words make no sense as windows-1252: "RenŽ", "ZŸrich". The text may be in another encoding.',
  ]);
  const twice = await readCsv("name\nMÃ¼ller\nGrÃ¼n\n");
  ok(twice.warnings[0].includes('"MÃ¼ller"'), twice.warnings[0]);
  assertEquals((await readCsv("name\nMüller\nÉCOLE\nMcDonald’s\n日本語\nМосква\nJava™\n")).warnings, []);
});
