/**
 * The page and what its forms send.
 *
 * @module
 */

import { Hono } from "hono";
import type { AppEnv, AppOptions } from "../env.ts";
import type { Quotas } from "../api/quotas.ts";
import type { StatsFeed } from "../live/stats_feed.ts";
import { pageFormRoutes } from "./page_forms.ts";
import { Pages } from "./pages.tsx";

/** The routes of the page. */
export function pageRoutes(options: AppOptions, stats: StatsFeed, quotas: Quotas): Hono<AppEnv> {
  const app = new Hono<AppEnv>({ strict: false });
  const pages = new Pages(options, stats);
  app.get("/", async (c) => c.html(await pages.render(await pages.read(c, new URL(c.req.url).searchParams))));
  app.route("/", pageFormRoutes(options, pages, quotas));
  return app;
}
