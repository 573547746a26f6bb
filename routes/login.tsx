/**
 * `/login`: trades a token for a cookie, so that a browser can see the page and open the socket.
 *
 * @module
 */

import { Hono } from "hono";
import { deleteCookie } from "hono/cookie";
import type { JSX } from "preact";
import { findToken, SESSION_COOKIE, signIn } from "./auth.ts";
import { readForm } from "./body.ts";
import { renderDocument } from "./document.tsx";
import { safeBack } from "./safe_back.ts";
import type { AppEnv, AppOptions } from "./env.ts";

function LoginPage({ error, back }: { error?: string; back: string }): JSX.Element {
  return (
    <main class="login">
      <h1>Millrace</h1>
      <form method="post" action="/login">
        <input type="hidden" name="back" value={back} />
        <label for="token">Token</label>
        <input
          id="token"
          name="token"
          type="password"
          autoComplete="current-password"
          required
          aria-describedby={error ? "error" : undefined}
          aria-invalid={error ? true : undefined}
        />
        {error && <p class="error" id="error" role="alert">Error: {error}</p>}
        <button type="submit" class="primary">Sign in</button>
      </form>
    </main>
  );
}

/** The routes of signing in and out. */
export function loginRoutes({ tokens, clock }: AppOptions): Hono<AppEnv> {
  const app = new Hono<AppEnv>({ strict: false });
  const render = (back: string, error?: string) =>
    renderDocument({ title: "Sign in — Millrace", children: <LoginPage error={error} back={back} /> });

  app.get("/login", (c) => c.html(render(safeBack(c.req.query("back") ?? null))));

  app.post("/login", async (c) => {
    const form = await readForm(c);
    const token = findToken(tokens, form.get("token") ?? "");
    const back = safeBack(form.get("back"));
    if (!token) return c.html(render(back, "This is not a valid token."), 401);
    await signIn(c, token, clock.now());
    return c.redirect(back, 303);
  });

  app.post("/logout", (c) => {
    deleteCookie(c, SESSION_COOKIE, { path: "/" });
    return c.redirect("/login", 303);
  });

  return app;
}
