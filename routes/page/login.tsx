/**
 * `/login`: trades a token for a cookie, so that a browser can see the page and open the socket.
 *
 * @module
 */

import { type Context, Hono } from "hono";
import { deleteCookie } from "hono/cookie";
import type { JSX } from "preact";
import { checkToken, fromCookie, SESSION_COOKIE, signIn } from "../access/credentials.ts";
import { readForm } from "../http/body.ts";
import { withBase } from "../http/address.ts";
import { renderDocument } from "./document.tsx";
import { returnTo } from "./return_to.ts";
import type { AppEnv, AppOptions, Credential } from "../env.ts";
import type { AuthThrottle } from "../limits/auth_throttle.ts";
import type { StreamLimits } from "../live/stream_limits.ts";
import { Problem } from "../http/problem.ts";

function LoginPage({ error, back, provider }: {
  error?: string;
  back: string;
  /** The identity provider that people sign in with. */
  provider?: string;
}): JSX.Element {
  return (
    <main class="login">
      <h1>Millrace</h1>
      {provider && (
        <p>
          <a class="button primary" href={`login/oidc?back=${encodeURIComponent(back)}`}>Sign in with {provider}</a>
        </p>
      )}
      {provider && error && <p class="error" role="alert">Error: {error}</p>}
      <TokenForm error={provider ? undefined : error} back={back} isFirst={provider === undefined} />
    </main>
  );
}

function TokenForm({ error, back, isFirst }: { error?: string; back: string; isFirst: boolean }): JSX.Element {
  return (
    <form method="post" action="login">
      <input type="hidden" name="back" value={back} />
      {/* So that a password manager keeps one entry for this place. */}
      <input type="text" name="username" value="millrace" autoComplete="username" readOnly hidden />
      <label for="token">Token</label>
      <input
        id="token"
        name="token"
        type="password"
        autoComplete="current-password"
        required
        aria-describedby={error ? "error token-help" : "token-help"}
        aria-invalid={error ? true : undefined}
      />
      <p class="help" id="token-help">
        Whoever runs this service gives out tokens.
      </p>
      {error && <p class="error" id="error" role="alert">Error: {error}</p>}
      <button type="submit" class={isFirst ? "primary" : undefined}>Sign in</button>
    </form>
  );
}

const NO_ROLE = "You have no role here: ask whoever runs this service.";
const NOT_SIGNED_IN = "You were not signed in. Try again.";

/** The routes of signing in and out. */
export function loginRoutes(options: AppOptions, guesses: AuthThrottle, streams: StreamLimits): Hono<AppEnv> {
  const app = new Hono<AppEnv>({ strict: false });
  const { oidc } = options;
  const render = (back: string, error?: string) => {
    const children = <LoginPage error={error} back={back} provider={oidc?.name} />;
    return renderDocument({ title: "Sign in — Millrace", children });
  };

  /** Ends the sign-in of the cookie, even if the request names another caller. */
  async function endSession(c: Context<AppEnv>): Promise<void> {
    const signedIn = await fromCookie(c, options);
    if (signedIn?.session === undefined) return;
    await options.queue.sessions.end(signedIn.session, signedIn.expires_at!);
    streams.endSession(signedIn.session);
  }

  app.get("/login", (c) => {
    const failed = c.req.query("failed");
    const reason = failed === "forbidden" ? NO_ROLE : failed === undefined ? undefined : NOT_SIGNED_IN;
    return c.html(render(returnTo(c.req.query("back") ?? null), reason));
  });

  app.get("/login/oidc", async (c) => {
    if (!oidc) throw new Problem(404, "not_found", "People sign in with tokens here.");
    return c.redirect((await oidc.begin(c, returnTo(c.req.query("back") ?? null))).href, 303);
  });

  app.get("/login/callback", async (c) => {
    if (!oidc) throw new Problem(404, "not_found", "People sign in with tokens here.");
    try {
      const { credential, back } = await oidc.finish(c);
      await endSession(c);
      await signIn(c, credential, options);
      c.set("principal", credential.principal);
      // A redirect would still be the provider's: the cookie is for requests that begin here.
      const to = withBase(back, options.publicUrl);
      return c.html(
        renderDocument({
          title: "Signed in — Millrace",
          refresh: to,
          root: "../",
          children: <a href={to}>Continue</a>,
        }),
      );
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      c.set("problem", error.code);
      options.log.warn("A person could not be signed in.", { code: error.code, reason: error.message });
      return c.redirect(withBase(`/login?failed=${error.code}`, options.publicUrl), 303);
    }
  });

  app.post("/login", async (c) => {
    const form = await readForm(c);
    const back = returnTo(form.get("back"));
    let found: Credential | undefined;
    try {
      found = await checkToken(c, form.get("token") ?? "", options, guesses);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      return c.html(render(back, error.message), 429, error.headers);
    }
    if (!found) return c.html(render(back, "This is not a valid token."), 401);
    await endSession(c);
    await signIn(c, found, options);
    c.set("principal", found.principal);
    return c.redirect(withBase(back, options.publicUrl), 303);
  });

  app.post("/logout", async (c) => {
    await endSession(c);
    deleteCookie(c, SESSION_COOKIE, { path: withBase("/", options.publicUrl) });
    return c.redirect(withBase("/login", options.publicUrl), 303);
  });

  return app;
}
