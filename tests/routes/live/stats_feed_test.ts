import { silent } from "../../../queue/log.ts";
import type { Queue } from "../../../queue/queue.ts";
import { StatsFeed } from "../../../routes/live/stats_feed.ts";
import { assertEquals, ok } from "../../support/assert.ts";
import { FakeClock } from "../../support/fake_clock.ts";

Deno.test("numbers whose first reading fails are told once it succeeds, and the failure ends nothing", async () => {
  const clock = new FakeClock();
  let fails = true;
  let subscribed = 0;
  const failing = <T>(value: T): Promise<T> => fails ? Promise.reject(new Error("on purpose")) : Promise.resolve(value);
  const queue = {
    stream: { subscribe: () => failing(() => {}).finally(() => subscribed++) },
    counts: () => failing({ noop: { PENDING: 2 } }),
    pauses: () => failing(new Map()),
    inbox: { count: () => failing(0) },
    series: { lastHour: () => failing({}) },
    failuresSince: () => failing({ tasks: [], capped: false }),
    registry: { public: () => [{ type: "noop" }] },
  } as unknown as Queue;
  const feed = new StatsFeed(queue, clock, silent);
  const told: string[] = [];
  const unfollow = feed.follow((json) => told.push(json));
  for (let turns = 0; turns < 5; turns++) await clock.advance(2_000);
  assertEquals(told, []);
  ok(subscribed > 1, "it tries again to hear of changes");
  fails = false;
  for (let turns = 0; turns < 5; turns++) await clock.advance(2_000);
  assertEquals(JSON.parse(told[0]).by_type.noop.PENDING, 2);
  unfollow();
});
