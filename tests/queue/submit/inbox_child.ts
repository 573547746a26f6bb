/** An app that commits an order and the task that it leads to, and is killed at once. */

import { taskMessage } from "../../../queue/submit/inbox.ts";

const kv = await Deno.openKv(Deno.args[0]);
await kv.atomic().set(["order", 1], "paid").enqueue(...taskMessage({ task_type: "noop" })).commit();
Deno.kill(Deno.pid, "SIGKILL");
