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
import type { AppEnv, AppOptions } from "./env.ts";

function LoginPage({ error }: { error?: string }): JSX.Element {
  return (
    <main class="login">
      <h1>Millrace</h1>
      <form method="post" action="/login">
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
  const render = (error?: string) =>
    renderDocument({ title: "Sign in – Millrace", children: <LoginPage error={error} /> });

  app.get("/login", (c) => c.html(render()));

  app.post("/login", async (c) => {
    const token = findToken(tokens, (await readForm(c)).get("token") ?? "");
    if (!token) return c.html(render("This is not a valid token."), 401);
    await signIn(c, token, clock.now());
    return c.redirect("/", 303);
  });

  app.post("/logout", (c) => {
    deleteCookie(c, SESSION_COOKIE, { path: "/" });
    return c.redirect("/login", 303);
  });

  return app;
}
