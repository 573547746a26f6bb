/** The service behind a proxy that gives it another host, TLS and a base path. */

import { assertEquals, assertMatch } from "../../support/assert.ts";
import { withApp } from "../../support/http/app.ts";

const PUBLIC_URL = new URL("https://example.com/millrace/");
const TOKEN = { name: "ana", role: "operator" as const, secret: "a-secret-of-enough-characters" };

for (const [proxy, base] of [["removes the base path", ""], ["passes it on", "/millrace"]]) {
  Deno.test(`behind a proxy that ${proxy}, headers name places below it and the cookie is the base path's`, async () => {
    await withApp({ publicUrl: PUBLIC_URL, tokens: [TOKEN] }, async ({ call }) => {
      const init = { redirect: "manual" } as const;
      const to = await call(`${base}/`, { ...init, headers: { Accept: "text/html" } });
      await to.body?.cancel();
      assertEquals([to.status, to.headers.get("Location")], [303, "/millrace/login"]);
      const signedIn = await call(`${base}/login`, {
        ...init,
        method: "POST",
        // The proxy has changed the Host, the browser says where it is.
        headers: { Origin: "https://example.com", "Sec-Fetch-Site": "same-origin" },
        body: new URLSearchParams({ token: TOKEN.secret, back: "./?status=FAILED" }),
      });
      await signedIn.body?.cancel();
      assertEquals([signedIn.status, signedIn.headers.get("Location")], [303, "/millrace/?status=FAILED"]);
      const cookie = signedIn.headers.get("Set-Cookie")!;
      assertMatch(cookie, /Path=\/millrace\/;.*Secure/);
      const page = await call(`${base}/`, { headers: { Cookie: cookie.split(";")[0] } });
      const html = await page.text();
      assertEquals(page.status, 200);
      // Nothing in the page leads out of the base path.
      assertEquals([...html.matchAll(/(?:href|src|action)="(\/[^"]*)"/g)].map(([, address]) => address), []);
      const made = await call(`${base}/api/tasks/submit/`, {
        method: "POST",
        headers: { "Content-Type": "application/json", Authorization: `Bearer ${TOKEN.secret}` },
        body: JSON.stringify({ task_type: "noop" }),
      });
      assertEquals([made.status, made.headers.get("Location")], [201, `/millrace/api/tasks/${(await made.json()).id}`]);
      const foreign = await call(`${base}/logout`, {
        ...init,
        method: "POST",
        headers: { Origin: "https://example.org" },
      });
      await foreign.body?.cancel();
      assertEquals(foreign.status, 403);
    });
  });
}

Deno.test("without tokens the public name is answered like localhost, and another is not", async () => {
  await withApp({ publicUrl: PUBLIC_URL, worker: false }, async ({ origin, call }) => {
    const asked = async (host: string) => {
      const connection = await Deno.connect({ hostname: "127.0.0.1", port: Number(new URL(origin).port) });
      const request = `GET /api/me HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
      await connection.write(new TextEncoder().encode(request));
      return (await new Response(connection.readable).text()).slice(9, 12);
    };
    assertEquals([await asked("example.com"), await asked("localhost"), await asked("example.org")], [
      "200",
      "200",
      "421",
    ]);
    // Its page has relative addresses, so it has one address only.
    const bare = await call("/millrace", { redirect: "manual" });
    await bare.body?.cancel();
    assertEquals([bare.status, bare.headers.get("Location")], [303, "/millrace/"]);
  });
});
