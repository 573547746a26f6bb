/**
 * The page and what its forms send.
 *
 * @module
 */

import { Hono } from "hono";
import type { AppEnv, AppOptions } from "../env.ts";
import { withBase } from "../http/address.ts";
import type { Quotas } from "../limits/quotas.ts";
import type { StatsFeed } from "../live/stats_feed.ts";
import { pageFormRoutes } from "./page_forms.ts";
import { Pages } from "./pages.tsx";

/** The routes of the page. */
export function pageRoutes(options: AppOptions, stats: StatsFeed, quotas: Quotas): Hono<AppEnv> {
  const app = new Hono<AppEnv>({ strict: false });
  const pages = new Pages(options, stats);
  app.get("/", async (c) => {
    const { pathname, searchParams } = new URL(c.req.url);
    // The page's addresses are relative to that with a slash.
    if (!pathname.endsWith("/")) return c.redirect(withBase("/", options.publicUrl), 303);
    return c.html(await pages.render(await pages.read(c, searchParams)));
  });
  app.route("/", pageFormRoutes(options, pages, quotas));
  return app;
}
