import { generateKeyPairSync } from "node:crypto";
import { assertEquals, assertMatch, assertRejects, ok } from "../../../support/assert.ts";
import { withApp } from "../../../support/http/app.ts";
import { withMailbox } from "../../../support/http/mailing.ts";

/** The text of a header field, unfolded. */
function header(mail: string, name: string): string | undefined {
  const head = mail.split("\r\n\r\n")[0].replaceAll(/\r\n[ \t]+/g, " ");
  return new RegExp(`^${name}: (.*)$`, "mi").exec(head)?.[1];
}

Deno.test("where there is HTML and no text of one's own, the text is made of the HTML", async () => {
  await withMailbox(async (mailbox, { submit, upload, ends }) => {
    const upload_id = await upload("l.csv", "email,name\na@x.example,Ana & <Co>\n");
    const html =
      '<h1>Hello {{name}}</h1><p>See <a href="https://x.example/?q=1">our page</a>.</p><ul><li>one<li>two</ul>';
    await ends(await submit({ upload_id, html }));
    await ends(await submit({ upload_id, html, body: "My own." }));
    await ends(await submit({ upload_id, html, body: "" }));
    const texts = mailbox.mails.map(({ text }) => /text\/plain[^]*?\r\n\r\n([^]*?)\r\n--/.exec(text)![1]);
    for (const made of [texts[0], texts[2]]) {
      assertMatch(made, /^Hello Ana & <Co>\r\n/);
      assertMatch(made, /our page \[https:\/\/x\.example\/\?q=1\]/);
      assertMatch(made, /\* one\r\n \* two/);
    }
    assertMatch(texts[1], /^My own\./);
    await assertRejects(submit({ recipients: ["a@x.example"], body: "" }));
  });
});

Deno.test("a picture that the HTML shows by its name is inline, others are attached; one that is missing is refused", async () => {
  await withMailbox(async (mailbox, { submit, upload, ends }) => {
    const attachments = [await upload("logo 1.png", "png"), await upload("terms.pdf", "pdf")];
    const html = '<img src="cid:logo%201.png">';
    await ends(await submit({ recipients: ["a@x.example"], html, attachments }));
    const { text } = mailbox.mails[0];
    assertMatch(text, /Content-Type: multipart\/related/);
    assertMatch(text, /Content-Id: <file1@millrace>[^]*?Content-Disposition: inline; filename="logo 1\.png"/i);
    assertMatch(text, /<img src="cid:file1@millrace">/);
    assertMatch(text, /Content-Disposition: attachment; filename=terms\.pdf/);
    const { task } = await ends(
      await submit({ recipients: ["a@x.example"], html: '<img src="cid:no.png">', attachments }),
    );
    assertEquals([task.status, mailbox.mails.length], ["FAILED", 1]);
    assertMatch(task.error!.message, /cid:no\.png, which is not attached\. Attached: logo 1\.png, terms\.pdf/);
  });
});

Deno.test("harmless header fields can be set, with fields filled in; others are refused", async () => {
  await withMailbox(async (mailbox, { submit, upload, ends }) => {
    const upload_id = await upload("l.csv", 'email,team\na@x.example,"red\r\nBcc: evil@x.example"\n');
    const headers = { "X-Team": "{{team}}", "List-Id": "News <news.x.example>", Precedence: "bulk" };
    await ends(await submit({ upload_id, headers }));
    const { text } = mailbox.mails[0];
    assertEquals(["X-Team", "List-Id", "Precedence", "Bcc"].map((name) => header(text, name)), [
      "red Bcc: evil@x.example",
      "News <news.x.example>",
      "bulk",
      undefined,
    ]);
  });
  await withApp({ worker: false }, async ({ send }) => {
    for (
      const headers of [
        { Bcc: "b@x.example" },
        { From: "x" },
        { "Content-Type": "text/html" },
        { "X-A": "a\r\nBcc: b" },
        { "X A": "b" },
        { "X-Name": "{{name}}" },
        Object.fromEntries(Array.from({ length: 21 }, (_, i) => [`X-${i}`, "a"])),
      ] as Record<string, string>[]
    ) {
      const input_params = { headers };
      const answer = await send("POST", "/api/tasks/submit", { task_type: "email_sending", input_params });
      const [{ pointer }] = (await answer.json()).errors;
      assertEquals([answer.status, pointer.startsWith("/input_params/headers")], [422, true]);
    }
  });
});

Deno.test("one-click unsubscribing is offered beside an https URL, and beside no other", async () => {
  await withMailbox(async (mailbox, { submit, ends }) => {
    for (const list_unsubscribe of ["https://x.example/{{email}}", "mailto:leave@x.example"]) {
      await ends(await submit({ recipients: ["a@x.example"], list_unsubscribe }));
    }
    assertEquals(mailbox.mails.map(({ text }) => header(text, "List-Unsubscribe")), [
      "<https://x.example/a%40x.example>",
      "<mailto:leave@x.example>",
    ]);
    assertEquals(mailbox.mails.map(({ text }) => header(text, "List-Unsubscribe-Post")), [
      "List-Unsubscribe=One-Click",
      undefined,
    ]);
  });
});

Deno.test("messages are signed where there is a key, and the signature covers what RFC 8058 asks for", async () => {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", {
    modulusLength: 2048,
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
    publicKeyEncoding: { type: "spki", format: "pem" },
  });
  const dkim = { domainName: "a.example", keySelector: "k1", privateKey };
  await withMailbox(async (mailbox, { submit, ends }) => {
    await ends(await submit({ recipients: ["a@x.example"], list_unsubscribe: "https://x.example/leave" }));
    const { text } = mailbox.mails[0];
    const signature = header(text, "DKIM-Signature")!;
    const tags = Object.fromEntries(signature.split(";").map((tag) => tag.trim().split(/=(.*)/s).slice(0, 2)));
    assertEquals([tags.d, tags.s, tags.a], ["a.example", "k1", "rsa-sha256"]);
    const signed = tags.h.toLowerCase().split(":").map((name: string) => name.trim());
    for (const name of ["from", "to", "subject", "list-unsubscribe", "list-unsubscribe-post"]) {
      ok(signed.includes(name));
    }
    ok(await verifies(text, tags, publicKey), "the signature does not match");
    ok(!await verifies(text.replace("List-Unsubscribe=One-Click", "List-Unsubscribe=No"), tags, publicKey));
  }, { dkim });
});

/** Verifies a signature with relaxed/relaxed canonicalization (RFC 6376, 3.4 and 3.7). */
async function verifies(mail: string, tags: Record<string, string>, publicKey: string): Promise<boolean> {
  const { createVerify, createHash } = await import("node:crypto");
  assertEquals(tags.c, "relaxed/relaxed");
  const at = mail.indexOf("\r\n\r\n");
  const body = mail.slice(at + 4).replaceAll(/[ \t]+\r\n/g, "\r\n").replaceAll(/[ \t]+/g, " ").replace(
    /(\r\n)*$/,
    "\r\n",
  );
  if (createHash("sha256").update(body).digest("base64") !== tags.bh.replaceAll(/\s/g, "")) return false;
  const fields = mail.slice(0, at).replaceAll(/\r\n[ \t]+/g, " ").split("\r\n").map((line) => {
    const [name, value] = line.split(/:(.*)/s);
    return { name: name.trim().toLowerCase(), value: value.replaceAll(/[ \t]+/g, " ").trim() };
  });
  const chosen = tags.h.toLowerCase().split(":").flatMap((name) => {
    const field = fields.findLast((each) => each.name === name.trim());
    return field ? [`${field.name}:${field.value}\r\n`] : [];
  });
  const own = fields.find(({ name }) => name === "dkim-signature")!;
  const verify = createVerify("RSA-SHA256");
  verify.update(`${chosen.join("")}dkim-signature:${own.value.replace(/\bb=[^;]*/, "b=")}`);
  return verify.verify(publicKey, tags.b.replaceAll(/\s/g, ""), "base64");
}
