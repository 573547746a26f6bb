/** Sign-in of people by an identity provider of the test's own. */

import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import Provider from "oidc-provider";
import { Oidc } from "../../routes/access/oidc.ts";
import { assertEquals, assertMatch, ok } from "../support/assert.ts";
import { browserTest } from "../support/browser.ts";
import { type Served, withApp } from "../support/http/app.ts";

/** People of the provider, and their groups. */
const GROUPS: Record<string, string[]> = { ana: ["staff", "ops"], bert: ["staff"], eve: ["guests"] };

/** A provider that signs in whoever says their name. `redirect` is known once the application is served. */
async function withProvider(test: (issuer: URL, allow: (redirect: string) => void) => Promise<void>): Promise<void> {
  const redirects: string[] = [];
  const server: Server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const issuer = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const provider = new Provider(issuer.origin, {
    clients: [{
      client_id: "millrace",
      client_secret: "the secret of the client",
      redirect_uris: ["http://127.0.0.1/never"],
      response_types: ["code"],
    }],
    claims: { openid: ["sub"], profile: ["preferred_username", "groups"] },
    conformIdTokenClaims: false,
    findAccount: (_: unknown, sub: string) => ({
      accountId: sub,
      claims: () => Promise.resolve({ sub, preferred_username: sub, groups: GROUPS[sub] ?? [] }),
    }),
    features: { devInteractions: { enabled: true } },
    cookies: { keys: ["a key of the test"] },
  });
  // The port of the application is known only later.
  provider.Client.prototype.redirectUriAllowed = (uri: string) => redirects.includes(uri);
  server.on("request", provider.callback());
  try {
    await test(issuer, (redirect) => redirects.push(redirect));
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

/** The application whose people the provider knows. */
async function withPeople(test: (served: Served, issuer: URL) => Promise<void>, more = {}): Promise<void> {
  await withProvider(async (issuer, allow) => {
    // A free port is taken and given back, so that the address is known before it is served.
    const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
    const { port } = listener.addr as Deno.NetAddr;
    listener.close();
    const publicUrl = new URL(`http://127.0.0.1:${port}/`);
    allow(`${publicUrl.origin}/login/callback`);
    const settings = {
      ...{ issuer, clientId: "millrace", clientSecret: "the secret of the client", claim: "groups" },
      groups: { admin: "ops", operator: "staff" },
    };
    const oidc = new Oidc(settings, "the session key of the test", publicUrl);
    await withApp({ oidc, publicUrl, limits: { port }, ...more }, (served) => test(served, issuer));
  });
}

/** Follows redirects and fills in forms as a browser would, with cookies by origin. Returns the last answer's text. */
async function visit(
  start: string,
  name: string,
): Promise<{ url: string; text: string; cookies: Map<string, Map<string, string>> }> {
  const cookies = new Map<string, Map<string, string>>();
  let url = start;
  let body: URLSearchParams | undefined;
  for (let steps = 0; steps < 20; steps++) {
    const { origin } = new URL(url);
    const jar = cookies.get(origin) ?? new Map<string, string>();
    cookies.set(origin, jar);
    const answer = await fetch(url, {
      method: body ? "POST" : "GET",
      body,
      redirect: "manual",
      headers: { Cookie: [...jar].map(([name, value]) => `${name}=${value}`).join("; ") },
    });
    body = undefined;
    for (const line of answer.headers.getSetCookie()) {
      const [pair] = line.split(";");
      const at = pair.indexOf("=");
      if (/Max-Age=0|1970/.test(line)) jar.delete(pair.slice(0, at));
      else jar.set(pair.slice(0, at), pair.slice(at + 1));
    }
    const location = answer.headers.get("Location");
    const text = await answer.text();
    if (location) url = new URL(location, url).href;
    else if (text.includes('name="prompt"')) {
      const prompt = /name="prompt" value="(\w+)"/.exec(text)![1];
      const action = /action="([^"]+)"/.exec(text)![1];
      body = new URLSearchParams({ prompt, ...prompt === "login" && { login: name, password: "x" } });
      url = new URL(action, url).href;
    } else return { url, text, cookies };
  }
  throw new Error("There were too many redirects.");
}

const NAMES = { sanitizeResources: false, sanitizeOps: false };

Deno.test("people sign in by their provider, with the role of their groups, and sign out", NAMES, async () => {
  await withPeople(async ({ origin, call }) => {
    for (const [name, role] of [["ana", "admin"], ["bert", "operator"]]) {
      const { text, cookies } = await visit(`${origin}/login/oidc?back=/?task=1`, name);
      assertMatch(text, /http-equiv="refresh" content="0;url=\/\?task=1"/);
      const jar = cookies.get(origin)!;
      assertEquals([...jar.keys()], ["millrace_session"]);
      const headers = { Cookie: `millrace_session=${jar.get("millrace_session")}` };
      const me = await (await call("/api/me", { headers })).json();
      // No token can have such a name.
      assertEquals([me.name, me.role], [`oidc:${name}`, role]);
      const out = await call("/logout", { method: "POST", headers, redirect: "manual" });
      await out.body?.cancel();
      const refused = await call("/api/me", { headers });
      assertEquals(refused.status, 401);
      await refused.body?.cancel();
    }
  });
});

Deno.test(
  "who has no group with a role is told so and not signed in; a callback that nobody began is refused",
  NAMES,
  async () => {
    await withPeople(async ({ origin, call }) => {
      const { text, cookies } = await visit(`${origin}/login/oidc`, "eve");
      assertMatch(text, /You have no role here/);
      assertEquals(cookies.get(origin)!.has("millrace_session"), false);
      for (const path of ["/login/callback", "/login/callback?code=made-up&state=made-up"]) {
        const answer = await call(path, { redirect: "manual" });
        assertEquals([answer.status, answer.headers.get("Location")], [303, "/login?failed=sign_in_failed"]);
        await answer.body?.cancel();
      }
      // A cookie that makes its own role has no valid signature.
      const forged = `oidc/admin/eve:${Date.now() + 1_000_000}:x.AAAA`;
      const refused = await call("/api/me", { headers: { Cookie: `millrace_session=${encodeURIComponent(forged)}` } });
      assertEquals(refused.status, 401);
      await refused.body?.cancel();
    });
  },
);

Deno.test("a state that is not the one that was begun with is refused", NAMES, async () => {
  await withPeople(async ({ origin }) => {
    const begin = async () => {
      const answer = await fetch(`${origin}/login/oidc`, { redirect: "manual" });
      await answer.body?.cancel();
      return { cookie: answer.headers.get("Set-Cookie")!.split(";")[0], to: new URL(answer.headers.get("Location")!) };
    };
    const [mine, theirs] = [await begin(), await begin()];
    assertEquals(mine.to.searchParams.get("code_challenge_method"), "S256");
    ok(mine.to.searchParams.get("state") !== theirs.to.searchParams.get("state"));
    const answer = await fetch(`${origin}/login/callback?code=x&state=${theirs.to.searchParams.get("state")}`, {
      headers: { Cookie: mine.cookie },
      redirect: "manual",
    });
    await answer.body?.cancel();
    assertEquals(answer.headers.get("Location"), "/login?failed=sign_in_failed");
    assertEquals(answer.headers.get("Set-Cookie")?.includes("millrace_session"), false);
  });
});

browserTest("a person signs in with a browser, and is at the page", async (browser) => {
  await withPeople(async ({ origin }) => {
    const page = await browser.newPage();
    await page.goto(`${origin}/`);
    await page.getByRole("link", { name: /^Sign in with 127/ }).click();
    await page.locator("input[name=login]").fill("bert");
    await page.locator("input[name=password]").fill("x");
    await page.locator("button[type=submit]").click();
    await page.locator("button[type=submit]").click();
    await page.locator(".pill.live").waitFor();
    assertEquals(new URL(page.url()).pathname, "/");
  });
});
