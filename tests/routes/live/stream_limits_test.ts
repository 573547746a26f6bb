import type { Context } from "hono";
import type { Queue } from "../../../queue/queue.ts";
import { StreamLimits } from "../../../routes/live/stream_limits.ts";
import type { AppEnv } from "../../../routes/env.ts";
import { assertEquals, assertThrows } from "../../support/assert.ts";
import { appOptions } from "../../support/http/app.ts";

/** A request of someone. */
const request = {
  get: () => ({ name: "ana", session: undefined, expires_at: undefined }),
  req: { header: () => undefined },
  env: { address: "127.0.0.1" },
} as unknown as Context<AppEnv>;

Deno.test("once streams are closed none is admitted, and one that was just being opened is ended", async () => {
  const streams = new StreamLimits(appOptions({} as Queue));
  const ends: unknown[] = [];
  streams.enter(request).onEnd((code) => ends.push(["open", code]));
  const opening = streams.enter(request);
  await streams.close();
  opening.onEnd((code) => ends.push(["opening", code]));
  assertEquals(ends, [["open", 1001], ["opening", 1001]]);
  assertThrows(() => streams.enter(request), { status: 503, code: "stopping" });
});
