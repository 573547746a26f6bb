/**
 * `/login`: trades a token for a cookie, so that a browser can see the page and open the socket.
 *
 * @module
 */

import { type Context, Hono } from "hono";
import { deleteCookie } from "hono/cookie";
import type { JSX } from "preact";
import { checkToken, type Credential, fromCookie, SESSION_COOKIE, signIn } from "../access/credentials.ts";
import { readForm } from "../http/body.ts";
import { withBase } from "../http/address.ts";
import { renderDocument } from "./document.tsx";
import { returnTo } from "./return_to.ts";
import type { AppEnv, AppOptions } from "../env.ts";
import type { AuthThrottle } from "../limits/auth_throttle.ts";
import type { StreamLimits } from "../live/stream_limits.ts";
import { Problem } from "../http/problem.ts";

function LoginPage({ error, back }: { error?: string; back: string }): JSX.Element {
  return (
    <main class="login">
      <h1>Millrace</h1>
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
          Whoever runs this service gives out tokens: they are in its setting API_TOKENS.
        </p>
        {error && <p class="error" id="error" role="alert">Error: {error}</p>}
        <button type="submit" class="primary">Sign in</button>
      </form>
    </main>
  );
}

/** The routes of signing in and out. */
export function loginRoutes(options: AppOptions, guesses: AuthThrottle, streams: StreamLimits): Hono<AppEnv> {
  const app = new Hono<AppEnv>({ strict: false });
  const render = (back: string, error?: string) =>
    renderDocument({ title: "Sign in — Millrace", children: <LoginPage error={error} back={back} /> });

  /** Ends the sign-in of the cookie, even if the request names another caller. */
  async function endSession(c: Context<AppEnv>): Promise<void> {
    const signedIn = await fromCookie(c, options);
    if (signedIn?.session === undefined) return;
    await options.queue.sessions.end(signedIn.session, signedIn.expires_at!);
    streams.endSession(signedIn.session);
  }

  app.get("/login", (c) => c.html(render(returnTo(c.req.query("back") ?? null))));

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
