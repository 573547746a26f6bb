/** Mailings on a clock that the test drives, by a server of its own. */

import { parse } from "@std/csv";
import { emailSending } from "../../../queue/handlers/email_sending.ts";
import { type MailOptions, MailTransport } from "../../../queue/handlers/email/transport.ts";
import { Queue } from "../../../queue/queue.ts";
import { delay, systemClock } from "../../../queue/task/clock.ts";
import type { TaskRecord } from "../../../queue/task/record.ts";
import { driven, FakeClock } from "../fake_clock.ts";
import { reaches } from "../queue.ts";
import { type Mailbox, openMailbox } from "./smtp.ts";

/** After a failure nodemailer looks into its queue once more, 100 ms later, and does not take that back. */
export function libraryIsQuiet(): Promise<void> {
  return delay(systemClock, 150);
}

/** A mailing that has ended. */
export interface Sent {
  task: TaskRecord;
  /** Number, address, outcome and words of each recipient. */
  outcomes: string[][];
  log: string[];
}

/** What a test does with a queue that sends mail. */
export interface Mail {
  clock: FakeClock;
  queue: Queue;
  upload(name: string, text: string | Uint8Array<ArrayBuffer>): Promise<string>;
  submit(params: Record<string, unknown>): Promise<string>;
  ends(id: string, step?: number): Promise<Sent>;
  /** An artifact as text. */
  file(id: string, name: string): Promise<string>;
}

/** A queue that sends by servers. One connection keeps the order of the list. */
export async function withMail(servers: string[], test: (mail: Mail) => Promise<void>, options: MailOptions = {}) {
  const kv = await Deno.openKv(":memory:");
  const clock = new FakeClock();
  const from = "Mill <mill@a.example>";
  const transport = new MailTransport(clock, { servers, from, ledger: () => queue.mail, ...options });
  const queue: Queue = new Queue({ kv, clock, definitions: [emailSending(transport, clock)] });
  await queue.start();
  const file = async (id: string, name: string) =>
    await new Response((await queue.artifacts.open(id, name)).read()).text();
  try {
    await test({
      clock,
      queue,
      file,
      upload: async (name, text) =>
        (await driven(clock, queue.uploads.store(name, "text/csv", new Blob([text]).stream(), 1e7))).id,
      submit: async (params) => {
        const input_params = { rate_per_second: 1_000, ...params };
        return (await queue.submit({ task_type: "email_sending", input_params })).task.task.id;
      },
      ends: async (id, step = 5_000) => {
        const { task } = await driven(clock, reaches(queue, id, "SUCCESS", "FAILED", "CANCELLED"), step);
        const files = await queue.artifacts.list(id);
        const outcomes = files.some(({ name }) => name === "outcomes.csv")
          ? parse(await file(id, "outcomes.csv")) as string[][]
          : [];
        return { task, outcomes: outcomes.slice(1), log: (await queue.logs.read(id)).lines.map(({ text }) => text) };
      },
    });
  } finally {
    await driven(clock, queue.stop());
    transport.close();
    await libraryIsQuiet();
    kv.close();
  }
}

/** {@linkcode withMail} by a mailbox of the test's own. */
export async function withMailbox(
  test: (mailbox: Mailbox, mail: Mail) => Promise<void>,
  options: MailOptions = {},
  server?: Parameters<typeof openMailbox>[0],
): Promise<void> {
  const mailbox = await openMailbox(server);
  try {
    await withMail([`smtp://localhost:${mailbox.port}?connections=1`], (mail) => test(mailbox, mail), options);
  } finally {
    await mailbox.close();
  }
}
