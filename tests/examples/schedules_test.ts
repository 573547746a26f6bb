/** Schedules: a cron expression in a time zone submits a task at each tick. */

import * as z from "zod";
import { defineTask } from "../../queue/mod.ts";
import { assertEquals } from "../support/assert.ts";
import { reaches, withQueue } from "../support/queue.ts";

Deno.test("example: a nightly report, triggered now", async () => {
  const nightly = defineTask({
    type: "nightly",
    title: "Nightly report",
    description: "Writes a report.",
    params: z.strictObject({}),
    run: () => Promise.resolve("written"),
  });
  await withQueue({ definitions: [nightly] }, async (queue) => {
    const { schedule } = await queue.schedules.create({
      name: "nightly",
      cron: "0 2 * * *",
      timezone: "Europe/Zurich",
      submission: { task_type: "nightly" },
    }, "Ada");
    const { id } = await queue.schedules.trigger(schedule.id, "Ada");
    const { task } = await reaches(queue, id, "SUCCESS");
    assertEquals([task.result, task.schedule_id], ["written", schedule.id]);
  });
});
