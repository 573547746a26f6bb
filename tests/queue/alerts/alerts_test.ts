import { listeningEnds } from "../../../queue/watch/messages.ts";
import * as z from "zod";
import { LOOK_MS, nextState } from "../../../queue/alerts/alerts.ts";
import { ALERT_TYPE, CALM, type Condition, type Notice, type RuleInput } from "../../../queue/alerts/rule.ts";
import { defineTask } from "../../../queue/define.ts";
import { Queue } from "../../../queue/queue.ts";
import { encode } from "../../../queue/store/codec.ts";
import { type AtomicLimits, CONNECT_LIMITS } from "../../../queue/store/commit/atomic_size.ts";
import { keys } from "../../../queue/store/keys.ts";
import type { Json } from "../../../queue/task/record.ts";
import { checkStore } from "../../../queue/tools/check.ts";
import { assertEquals, assertMatch, assertRejects, ok } from "../../support/assert.ts";
import { driven, FakeClock } from "../../support/fake_clock.ts";

const NOON = Date.UTC(2030, 0, 1, 12);
const MINUTE = 60_000;

/** Fails, succeeds, or waits for its slot, as a test wishes. */
const flaky = (slots = 4) =>
  defineTask({
    type: "flaky",
    title: "Flaky",
    description: "Does as it is told.",
    params: z.strictObject({ fails: z.boolean().default(false), waits: z.boolean().default(false) }),
    maxAttempts: 1,
    concurrency: slots,
    async run({ params, signal }) {
      if (params.fails) throw new Error("as told");
      if (params.waits) await new Promise((resolve) => signal.addEventListener("abort", resolve));
      return null;
    },
  });

/** What was delivered: notices by channel. `fails`: deliveries fail. */
function deliveries(options: { fails?: boolean } = {}) {
  const told: { to: string; notices: Notice[] }[] = [];
  const definition = defineTask({
    type: ALERT_TYPE,
    title: "Tell",
    description: "Notes what it would tell.",
    params: z.looseObject({}),
    internal: true,
    maxAttempts: 1,
    run({ params }) {
      if (options.fails) throw new Error("nobody there");
      const { channel, notices } = params as unknown as { channel: { to: string }; notices: Notice[] };
      told.push({ to: channel.to, notices });
      return Promise.resolve<Json>(null);
    },
  });
  return { told, definition };
}

const rule = (when: Condition, more: Partial<RuleInput> = {}): RuleInput => ({
  name: when.kind,
  when,
  window: 300,
  to: [{ kind: "mail", to: "ops@example.com" }],
  ...more,
});

interface Watched {
  queue: Queue;
  clock: FakeClock;
  kv: Deno.Kv;
  told: { to: string; notices: Notice[] }[];
  /** Lets the rules be looked at once more, and what is told be delivered. */
  look(ms?: number): Promise<void>;
}

async function watching(
  rules: RuleInput[],
  test: (watched: Watched) => Promise<void>,
  { slots, fails, disk, limits }: {
    slots?: number;
    fails?: boolean;
    disk?: () => Promise<{ free: number; total: number }>;
    limits?: AtomicLimits;
  } = {},
): Promise<void> {
  const kv = await Deno.openKv(":memory:");
  const clock = new FakeClock(NOON);
  const { told, definition } = deliveries({ fails });
  const queue = new Queue({ kv, clock, definitions: [flaky(slots), definition], limits, alerts: { rules, disk } });
  await driven(clock, queue.start());
  const look = async (ms = LOOK_MS) => {
    await clock.advance(ms);
    await driven(clock, queue.alerts.look());
    const open = async () =>
      (await queue.list({ task_types: [ALERT_TYPE], statuses: ["PENDING", "RUNNING"] }, 1)).total;
    while (await open() > 0) await clock.advance(1);
  };
  try {
    await test({ queue, clock, kv, told, look });
    assertEquals((await checkStore(kv, clock.now())).problems, []);
  } finally {
    await driven(clock, queue.stop());
    kv.close();
    await listeningEnds(kv);
  }
}

async function ends(queue: Queue, clock: FakeClock, count: number): Promise<void> {
  const done = async () => (await queue.list({ task_types: ["flaky"], statuses: ["SUCCESS", "FAILED"] }, 1)).total;
  while (await done() < count) await clock.advance(1);
}

const kinds = (told: Watched["told"]) =>
  told.flatMap(({ notices }) => notices.map(({ kind, rule }) => `${kind} ${rule}`));

Deno.test("failures are told once when there are enough, by number and by share, and again when it is over", async () => {
  const enough = rule({ kind: "failures", task_type: "flaky", count: 2, share: 0.5 });
  await watching([enough], async ({ queue, clock, told, look }) => {
    const submit = (fails: boolean) => driven(clock, queue.submit({ task_type: "flaky", input_params: { fails } }));
    await submit(true);
    await ends(queue, clock, 1);
    await look();
    assertEquals(told, []);
    await submit(false);
    await submit(false);
    await submit(true);
    await ends(queue, clock, 4);
    await look();
    assertEquals(told.map(({ to, notices }) => [to, notices]), [["ops@example.com", [
      { rule: "failures", kind: "alarm", detail: "2 of 4 flaky failed within 5 min." },
    ]]]);
    for (let i = 0; i < 5; i++) await look();
    assertEquals(told.length, 1);
    await look(6 * MINUTE);
    assertEquals(kinds(told), ["alarm failures", "recovery failures"]);
    // Too small a share.
    for (let i = 0; i < 3; i++) await submit(false);
    for (let i = 0; i < 2; i++) await submit(true);
    await ends(queue, clock, 9);
    await look();
    assertEquals(told.length, 2);
  });
});

Deno.test("a rule tells at most once in its window; what is new, or still so after that, is told then", () => {
  const at = (minute: number) => NOON + minute * MINUTE;
  const window = 15 * MINUTE;
  const of = (...about: string[]) => about.map((one) => ({ about: one, text: `${one} is bad` }));
  const first = nextState(CALM, of("a"), at(0), window);
  assertEquals([first.firing, first.told, first.told_at, first.told_about], [true, true, at(0), ["a"]]);
  assertEquals(nextState(first, of("a"), at(60), window), first);
  // Something else goes wrong meanwhile: it is shown at once, and told when it may be.
  const more = nextState(first, of("a", "b"), at(5), window);
  assertEquals([more.told_at, more.detail, more.told_about], [at(0), "a is bad\nb is bad", ["a"]]);
  const both = nextState(more, of("a", "b"), at(15), window);
  assertEquals([both.told_at, both.told_about, both.since], [at(15), ["a", "b"], at(0)]);
  const over = nextState(first, [], at(2), window);
  assertEquals([over.firing, over.told], [false, false]);
  const again = nextState(over, of("a"), at(3), window);
  assertEquals([again.firing, again.told, again.told_at], [true, false, at(0)]);
  assertEquals(nextState(again, of("a"), at(14), window), again);
  const later = nextState(again, of("a"), at(15), window);
  assertEquals([later.told, later.told_at], [true, at(15)]);
  // What was not told is not told to be over.
  assertEquals(nextState(again, [], at(4), window).told, false);
});

Deno.test("the oldest task that waits, and that nothing ends, are told; of a paused type neither is", async () => {
  const rules = [rule({ kind: "oldest_waiting", older_than: 60 }), rule({ kind: "nothing_ended" })];
  await watching(rules, async ({ queue, clock, told, look }) => {
    for (let i = 0; i < 2; i++) {
      await driven(clock, queue.submit({ task_type: "flaky", input_params: { waits: true } }));
    }
    await look(50_000);
    assertEquals(told, []);
    await look();
    assertEquals(kinds(told), ["alarm oldest_waiting"]);
    await look(5 * MINUTE);
    assertEquals(kinds(told), ["alarm oldest_waiting", "alarm nothing_ended"]);
    assertMatch(told[1].notices[0].detail, /No flaky has ended for 5 min/);
    await driven(clock, queue.pause("flaky", "ana"));
    await look();
    // Both are over at once: they share a message.
    assertEquals(told[2].notices.map(({ kind }) => kind), ["recovery", "recovery"]);
  }, { slots: 1 });
});

Deno.test("missed schedules, instances that died and a full disk are told", async () => {
  let free = 0.5;
  const disk = () => Promise.resolve({ free: free * 1_000, total: 1_000 });
  const when: Condition[] = [
    { kind: "schedule_missed" },
    { kind: "instance_died" },
    { kind: "disk_nearly_full", free_below: 0.1 },
  ];
  await watching(when.map((one) => rule(one)), async ({ queue, clock, kv, told, look }) => {
    await look();
    assertEquals(told, []);
    free = 0.05;
    await look();
    assertEquals(told[0].notices[0].detail, "The store's disk has 5 % left.");
    await kv.set(keys.lostInstance(clock.now(), "01ARZ3NDEKTSV4RRFFQ69G5FAV"), encode(0));
    await look();
    assertMatch(told[1].notices[0].detail, /01ARZ3NDEKTSV4RRFFQ69G5FAV has died/);
    const hourly = { name: "hourly", cron: "0 * * * *", submission: { task_type: "flaky" } };
    await driven(clock, queue.schedules.create(hourly, "ana"));
    await driven(clock, queue.stop());
    clock.sleep(2 * 3_600_000);
    const { told: later, definition } = deliveries();
    const next = new Queue({ kv, clock, definitions: [flaky(), definition], alerts: { rules: [rule(when[0])], disk } });
    await driven(clock, next.start());
    while (!later.some(({ notices }) => notices.some(({ kind }) => kind === "alarm"))) await clock.advance(1_000);
    assertEquals(kinds(later), ["alarm schedule_missed"]);
    assertMatch(later[0].notices[0].detail, /schedule hourly were missed/);
    await driven(clock, next.stop());
  }, { disk });
});

Deno.test("each of many rules is told, within the limits of KV Connect", async () => {
  let free = 50;
  const disk = () => Promise.resolve({ free, total: 1_000 });
  const names = Array.from({ length: 20 }, (_, i) => `rule ${i}`);
  const rules = names.map((name) => rule({ kind: "disk_nearly_full", free_below: 0.1 }, { name }));
  await watching(rules, async ({ queue, told, look }) => {
    await look();
    assertEquals(kinds(told).sort(), names.map((name) => `alarm ${name}`).sort());
    assertEquals([...(await queue.alerts.states()).values()].filter(({ firing }) => firing).length, names.length);
    free = 500;
    await look();
    assertEquals(kinds(told).slice(20).sort(), names.map((name) => `recovery ${name}`).sort());
  }, { disk, limits: CONNECT_LIMITS });
});

Deno.test("an instance that was killed is noted when it is recovered", async () => {
  const kv = await Deno.openKv(":memory:");
  const clock = new FakeClock(NOON);
  const queue = () => new Queue({ kv, clock, definitions: [flaky()] });
  const killed = queue();
  await driven(clock, killed.start());
  const { instance } = killed;
  // Nothing of it is stopped: it is simply not heard of any more.
  const next = queue();
  await driven(clock, next.start());
  const noted = await Array.fromAsync(kv.list({ prefix: keys.lostInstances() }), ({ key }) => key[2]);
  assertEquals(noted, [instance]);
  await driven(clock, Promise.all([killed.stop(), next.stop()]));
  // One that has stopped is no loss.
  const last = queue();
  await driven(clock, last.start());
  assertEquals((await Array.fromAsync(kv.list({ prefix: keys.lostInstances() }))).length, 1);
  await driven(clock, last.stop());
  kv.close();
  await listeningEnds(kv);
});

Deno.test("deliveries that fail are no alert of their own", async () => {
  await watching([rule({ kind: "failures", count: 1, share: 0 })], async ({ queue, clock, look }) => {
    await driven(clock, queue.submit({ task_type: "flaky", input_params: { fails: true } }));
    await ends(queue, clock, 1);
    for (let i = 0; i < 10; i++) await look(MINUTE);
    const { states } = await queue.list({ task_types: [ALERT_TYPE] }, 50);
    // The alarm and that it is over.
    assertEquals(states.map(({ task }) => task.status), ["FAILED", "FAILED"]);
  }, { fails: true });
});

Deno.test("rules are made, tested and deleted; those of the settings stay; each channel has one message for all", async () => {
  const fixed = rule({ kind: "instance_died" });
  await watching([fixed], async ({ queue, clock, told, look }) => {
    const { alerts } = queue;
    const two = {
      to: [{ kind: "mail" as const, to: "a@example.com" }, { kind: "mail" as const, to: "b@example.com" }],
    };
    const made = await driven(clock, alerts.create(rule({ kind: "failures", count: 1, share: 0 }, two), "ada"));
    await driven(
      clock,
      alerts.create(rule({ kind: "failures", count: 1, share: 0 }, { ...two, name: "again" }), "ada"),
    );
    assertEquals((await alerts.list()).map(({ id, created_by }) => [id.length, created_by]), [[20, null], [26, "ada"], [
      26,
      "ada",
    ]]);
    await driven(clock, alerts.test(made.id));
    await look();
    assertEquals(told.map(({ to, notices: [{ kind }] }) => [to, kind]).sort(), [["a@example.com", "test"], [
      "b@example.com",
      "test",
    ]]);
    told.length = 0;
    await driven(clock, queue.submit({ task_type: "flaky", input_params: { fails: true } }));
    await ends(queue, clock, 1);
    await look();
    assertEquals(told.map(({ to, notices }) => [to, notices.length]).sort(), [["a@example.com", 2], [
      "b@example.com",
      2,
    ]]);
    const [{ id: setting }] = await alerts.list();
    await assertRejects(driven(clock, alerts.delete(setting)), { code: "illegal_transition" });
    await driven(clock, alerts.delete(made.id));
    await assertRejects(driven(clock, alerts.delete(made.id)), { code: "not_found" });
    const unknown = rule({ kind: "failures", task_type: "nonsense", count: 1, share: 0 });
    await assertRejects(driven(clock, alerts.create(unknown, "ada")), { code: "invalid_input" });
    ok(!(await alerts.states()).has(made.id));
  });
});
