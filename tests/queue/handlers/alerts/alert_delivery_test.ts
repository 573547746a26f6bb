import { listeningEnds } from "../../../../queue/watch/messages.ts";
import { Webhook } from "standardwebhooks";
import { createHandlers } from "../../../../queue/handlers/mod.ts";
import { ALERT_TYPE, type Channel, type Notice } from "../../../../queue/alerts/rule.ts";
import { Queue } from "../../../../queue/queue.ts";
import { systemClock } from "../../../../queue/task/clock.ts";
import { assertEquals, assertMatch, ok } from "../../../support/assert.ts";
import { openMailbox } from "../../../support/http/smtp.ts";
import { reaches } from "../../../support/queue.ts";

const SECRET = `whsec_${btoa("a secret of twenty-four b")}`;
const NOTICES: Notice[] = [
  { rule: "imports fail", kind: "alarm", detail: "5 of 6 csv_processing failed within 15 min." },
  { rule: "backlog", kind: "recovery", detail: "The oldest ready csv_processing has waited for 12 min." },
];

/** Delivers to a channel, and returns the task with the status that it ends with. */
async function deliver(channel: Channel, mail: string[] = []) {
  const kv = await Deno.openKv(":memory:");
  const handlers = createHandlers(systemClock, {
    mail: { servers: mail },
    webhook: { secrets: [SECRET], allowPrivate: true },
  });
  const rule = { name: "a", when: { kind: "instance_died" as const }, window: 300, to: [channel] };
  const queue = new Queue({ kv, definitions: handlers.definitions, alerts: { rules: [rule] } });
  await queue.start();
  const [{ task }] = await queue.alerts.test((await queue.alerts.list())[0].id);
  const state = await reaches(queue, task.id, "SUCCESS", "FAILED");
  const artifacts = await queue.artifacts.list(task.id);
  await queue.stop();
  await handlers.close();
  kv.close();
  await listeningEnds(kv);
  return { task: state.task, artifacts };
}

/** A server that takes webhooks. */
function receiver(status = 200) {
  const taken: { path: string; headers: Headers; text: string }[] = [];
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, async (request) => {
    taken.push({ path: new URL(request.url).pathname, headers: request.headers, text: await request.text() });
    return new Response(null, { status });
  });
  return { taken, origin: `http://127.0.0.1:${server.addr.port}`, close: () => server.shutdown() };
}

Deno.test("each kind of webhook gets what its service takes; ours is signed", async () => {
  const { taken, origin, close } = receiver();
  for (const kind of ["webhook", "slack", "discord", "ntfy"] as const) {
    const { task } = await deliver({ kind, url: `${origin}/hooks/x` });
    assertEquals([task.task_type, task.status], [ALERT_TYPE, "SUCCESS"]);
  }
  const [webhook, slack, discord, ntfy] = taken.map(({ text }) => JSON.parse(text));
  assertEquals([webhook.type, webhook.data.notices[0].kind], ["alert", "test"]);
  new Webhook(SECRET).verify(taken[0].text, Object.fromEntries(taken[0].headers));
  assertEquals(Object.keys(slack), ["text"]);
  assertMatch(slack.text, /^Test: a\n/);
  assertEquals([discord.content, discord.allowed_mentions], [slack.text, { parse: [] }]);
  assertEquals([taken[3].path, ntfy.topic, ntfy.title, ntfy.message], ["/hooks/", "x", "Test: a", slack.text]);
  await close();
});

Deno.test("a receiver that refuses for good ends the delivery at once, without its address in the error", async () => {
  const { origin, close } = receiver(404);
  const { task } = await deliver({ kind: "slack", url: `${origin}/services/very-secret` });
  assertEquals([task.status, task.attempt], ["FAILED", 1]);
  ok(!JSON.stringify(task.error).includes("very-secret"));
  await close();
});

Deno.test("mail goes by the servers of mailings; without any it is kept with the task", async () => {
  const mailbox = await openMailbox();
  const sent = await deliver({ kind: "mail", to: "ops@example.com" }, [`smtp://127.0.0.1:${mailbox.port}`]);
  assertEquals([sent.task.status, mailbox.mails.map(({ to }) => to)], ["SUCCESS", ["ops@example.com"]]);
  assertMatch(mailbox.mails[0].text, /Subject: Test: a\r?\n/);
  await mailbox.close();
  const kept = await deliver({ kind: "mail", to: "ops@example.com" });
  assertEquals([kept.task.status, kept.artifacts.map(({ name }) => name)], ["SUCCESS", ["alert.eml"]]);
});

Deno.test("what is said names every rule", async () => {
  const { subjectOf, textOf } = await import("../../../../queue/handlers/alert_delivery.ts");
  assertEquals(subjectOf(NOTICES), "Alert: imports fail and 1 more");
  assertEquals(
    textOf(NOTICES),
    "Alert: imports fail\n5 of 6 csv_processing failed within 15 min.\n\n" +
      "Over: backlog\nThe oldest ready csv_processing has waited for 12 min.",
  );
});
