import { type Context, Hono } from "hono";
import { systemClock } from "../../../queue/task/clock.ts";
import { silent } from "../../../queue/log.ts";
import type { AppEnv } from "../../../routes/env.ts";
import { Pages } from "../../../routes/page/pages.tsx";
import { StatsFeed } from "../../../routes/live/stats_feed.ts";
import { appOptions } from "../../support/http/app.ts";
import { assertEquals, assertRejects, ok } from "../../support/assert.ts";
import { noop, withQueue } from "../../support/queue.ts";

Deno.test("a manifest that could not be read once is read again for the next page, and then no more", async () => {
  await withQueue({ definitions: [noop], worker: false }, async (queue) => {
    let reads = 0;
    const pages = new Pages(appOptions(queue), new StatsFeed(queue, systemClock, silent), () => {
      if (++reads === 1) return Promise.reject(new Error("too many open files"));
      return Promise.resolve({ client: "client-1.js", sources: "" });
    });
    const app = new Hono<AppEnv>();
    let context: Context<AppEnv>;
    app.get("/", (c) => {
      context = c;
      c.set("principal", { name: "local", role: "admin" });
      return c.text("");
    });
    await app.request("/");
    const data = await pages.read(context!, new URLSearchParams());
    await assertRejects(pages.render(data), ({ message }: Error) => message === "too many open files");
    ok((await pages.render(data)).includes("static/build/client-1.js"));
    await pages.render(data);
    assertEquals(reads, 2);
  });
});
