import fc from "fast-check";
import { parseAddress } from "../../../../queue/handlers/email/address.ts";
import { parseRecipients } from "../../../../queue/handlers/email/recipients.ts";
import { assertEquals, assertRejects } from "../../../support/assert.ts";
import { openMailbox } from "../../../support/http/smtp.ts";
import { withMail } from "../../../support/http/mailing.ts";

const read = (text: string) => parseRecipients(new TextEncoder().encode(text));
/** Address and name, or why there is none. */
const seen = async (text: string) => (await read(text)).map(({ to, fault }) => fault ?? `${to!.name}<${to!.address}>`);

Deno.test("addresses of the world are read, and go over the wire with an ASCII domain", () => {
  const cases: [string, string, string][] = [
    ["info@müller.example", "", "info@xn--mller-kva.example"],
    ["user@xn--e1afmkfd.xn--p1ai", "", "user@xn--e1afmkfd.xn--p1ai"],
    ["почта@пример.рф", "", "почта@xn--e1afmkfd.xn--p1ai"],
    ["r&d@example.com", "", "r&d@example.com"],
    ["sales/eu@example.com", "", "sales/eu@example.com"],
    ["a=b@example.com", "", "a=b@example.com"],
    ["o'brien+tag@sub.example.co.uk", "", "o'brien+tag@sub.example.co.uk"],
    ["{curly}|~#!$%*?^_`@example.com", "", "{curly}|~#!$%*?^_`@example.com"],
    ["UPPER@Example.COM", "", "UPPER@example.com"],
    ['"Doe, Jane" <jane@example.com>', "Doe, Jane", "jane@example.com"],
    ["Doe, Jane <jane@example.com>", "Doe, Jane", "jane@example.com"],
    ["Jane Doe <jane@example.com>", "Jane Doe", "jane@example.com"],
    ['"Dan \\"the man\\"" <dan@example.com>', 'Dan "the man"', "dan@example.com"],
    ["Jürgen Groß <j@straße.example>", "Jürgen Groß", "j@xn--strae-oqa.example"],
    [" <x@example.com> ", "", "x@example.com"],
    ["user@例え.テスト", "", "user@xn--r8jz45g.xn--zckzah"],
  ];
  for (const [text, name, address] of cases) assertEquals([text, parseAddress(text)], [text, { name, address }]);
});

Deno.test("what is no single address is refused", () => {
  for (
    const text of [
      "",
      "nobody",
      "@example.com",
      "a@",
      "a@b",
      "a@b..example",
      ".a@example.com",
      "a.@example.com",
      "a..b@example.com",
      "a b@example.com",
      "a@exam ple.com",
      "a@-b.example",
      "a@b_c.example",
      "a@1.2.3.4",
      "a@[1.2.3.4]",
      "a@example.com, b@example.com",
      "a@example.com; b@example.com",
      "a@example.com\r\nBcc: b@example.com",
      "a@example.com\nb@example.com",
      '"a@evil.example b"@example.com',
      "<a@example.com> <b@example.com>",
      "a@example.com <b@example.com> c",
      `${"a".repeat(65)}@example.com`,
      `a@${"b".repeat(64)}.example`,
      `a@${"b.".repeat(130)}example`,
      "a@ex%61mple.com",
      "a\u0000@example.com",
    ]
  ) assertEquals([text, parseAddress(text)], [text, null]);
});

Deno.test("quotes in a list merge nobody, and each row is somebody or says why not", async () => {
  assertEquals(
    await seen('email,name\na@x.example,"Dan" Dee\nb@x.example,"Eve"\nc@x.example,Fay\n'),
    [
      "line 2 of the list has a quote in a quoted value that spans lines, neither escaped nor at its end",
      "Eve<b@x.example>",
      "Fay<c@x.example>",
    ].map((each, i) => i === 0 ? each : each),
  );
  assertEquals(await seen('email,name\na@x.example,"says \\"hi\\""\nb@x.example,"Eve"\nc@x.example,"Fay"\n'), [
    'says "hi"<a@x.example>',
    "Eve<b@x.example>",
    "Fay<c@x.example>",
  ]);
  assertEquals(await seen("email,name\ra@x.example,Ana\rb@x.example,Ben\r"), ["Ana<a@x.example>", "Ben<b@x.example>"]);
  assertEquals(await seen('email,name\na@x.example,Ana,extra\n,Ben\n"c@x.example\nd@x.example,Dan\n'), [
    "line 2 of the list has 3 values instead of 2",
    "not an address",
    "line 4 of the list has a quote that is never closed",
    "Dan<d@x.example>",
  ]);
});

Deno.test("rows that a quote may have swallowed are each named, and nobody gets another's address", async () => {
  const list = await read('email,name,town\nann@x.example,"Ann,A\nbob@x.example,Bob",B\ncid@x.example,Cid,C\n');
  assertEquals(list.map(({ email, to }) => [email, to?.address]), [
    ['ann@x.example,"Ann,A', undefined],
    ['bob@x.example,Bob",B', undefined],
    ["cid@x.example", "cid@x.example"],
  ]);
  assertEquals(list[1].fault!.startsWith("line 3 of the list is part of a quoted value over several lines"), true);
  await assertRejects(
    read('email,"name\nann@x.example,Ann\nbob@x.example,Bob"\ncid@x.example,Cid\n'),
    /first row of the list/,
  );
});

Deno.test("the same mailbox gets one message, by whatever case; the others name the first", async () => {
  assertEquals(await seen("email\nAna@x.example\nben@x.example\nana@X.example\nana@x.example\n"), [
    "<Ana@x.example>",
    "<ben@x.example>",
    "the same address as number 1",
    "the same address as number 1",
  ]);
});

Deno.test("two columns of one name, two columns of addresses and reserved names are refused", async () => {
  await assertRejects(read("email,city,city\na@x.example,A,B\n"), /two columns named city/);
  await assertRejects(read("email,E-Mail\na@x.example,b@x.example\n"), /two columns named E-Mail/);
  await assertRejects(
    read("email,mailing.number\na@x.example,1\n"),
    /mailing\.number: names with mailing\. are reserved/,
  );
});

Deno.test("columns number and total are the list's; the service's own have names that no column has", async () => {
  const mailbox = await openMailbox();
  await withMail([`smtp://localhost:${mailbox.port}?connections=1`], async ({ submit, upload, ends }) => {
    const upload_id = await upload("l.csv", "email,number,total\na@x.example,A-17,9.90\nb@x.example,B-3,1.20\n");
    await ends(await submit({ upload_id, subject: "{{number}} {{total}} {{mailing.number}}/{{mailing.total}}" }));
    const subjects = mailbox.mails.map(({ text }) => /^Subject: (.*)\r$/m.exec(text)?.[1]);
    assertEquals(subjects, ["A-17 9.90 1/2", "B-3 1.20 2/2"]);
  });
  await mailbox.close();
});

Deno.test("of any list, sent and bounced and skipped and unknown are all its rows", async () => {
  const mailbox = await openMailbox();
  mailbox.onRecipient = (address) => {
    if (address.startsWith("gone")) throw Object.assign(new Error("5.1.1 no such user"), { responseCode: 550 });
  };
  mailbox.onMail = ({ to }) => {
    if (to.startsWith("lost")) mailbox.hangUp();
  };
  const email = fc.oneof(
    fc.constantFrom("a@x.example", "A@x.example", "gone@x.example", "lost@x.example", "", "nobody", "é@x.example"),
    fc.stringMatching(/^[a-z]{1,6}@[a-z]{1,6}\.example$/),
    fc.string({ maxLength: 12 }),
  );
  const row = fc.tuple(email, fc.string({ maxLength: 8 }));
  await withMail([`smtp://localhost:${mailbox.port}`], async ({ submit, upload, ends }) => {
    await fc.assert(
      fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 12 }), async (rows) => {
        // One line, whatever is in it: a row of the list is what the reader makes of it.
        const line = (values: string[]) => values.map((value) => value.replaceAll(/\p{Cc}/gu, " ")).join(",");
        const text = `email,note\n${rows.map((values) => line(values)).join("\n")}\n`;
        const list = await read(text).catch(() => null);
        if (!list) return;
        const { task, outcomes } = await ends(await submit({ upload_id: await upload("l.csv", text) }));
        // The server is not trusted after three lost connections in a row; what follows has not been sent.
        if (task.status === "SUCCESS") {
          const { recipients, sent, failed, skipped, unknown } = task.result as Record<string, number>;
          assertEquals([recipients, sent + failed + skipped + unknown], [list.length, list.length]);
        }
        assertEquals(outcomes.length, list.length);
      }),
      { numRuns: 30 },
    );
  });
  await mailbox.close();
});
