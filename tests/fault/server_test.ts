import type { Task } from "../../queue/task/summary.ts";
import { assertEquals, assertMatch, ok } from "../support/assert.ts";
import { withDirectory } from "../support/directory.ts";
import { startServer } from "../support/http/server.ts";

const isLinux = Deno.build.os === "linux";

async function submit(origin: string, task_type: string, input_params: unknown): Promise<Task> {
  const answer = await fetch(`${origin}/api/tasks/submit`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ task_type, input_params }),
  });
  assertEquals(answer.status, 201);
  return await answer.json();
}

/** Follows a task's events until the text of the stream holds something. */
async function follow(origin: string, id: string, wanted: string): Promise<void> {
  const answer = await fetch(`${origin}/api/tasks/${id}/events`, { headers: { Accept: "text/event-stream" } });
  let text = "";
  for await (const piece of answer.body!.pipeThrough(new TextDecoderStream())) {
    text += piece;
    if (text.includes(wanted)) return;
  }
  throw new Error(`The events ended without ${wanted}: ${text}`);
}

const get = async (origin: string, id: string): Promise<Task> =>
  await (await fetch(`${origin}/api/tasks/${id}`)).json();

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  Deno.test(`${signal}: unfinished tasks go back, the next start goes on from their checkpoint, records are all there`, async () => {
    await withDirectory(async (directory) => {
      const env = { KV_PATH: `${directory}/store.db` };
      const first = await startServer(env);
      const done = await submit(first.origin, "image_processing", { num_images: 1 });
      await follow(first.origin, done.id, '"SUCCESS"');
      const task = await submit(first.origin, "email_sending", { num_emails: 6, delay_per_email: 0.5 });
      await follow(first.origin, task.id, '"message":"2 of 6"');
      const record = await get(first.origin, done.id);
      const status = await first.end(signal);
      assertEquals([status.code, status.signal], [0, null], first.output());

      const second = await startServer(env);
      await follow(second.origin, task.id, '"SUCCESS"');
      const ended = await get(second.origin, task.id);
      assertEquals(ended.attempts.map(({ outcome }) => outcome), ["interrupted", "success"]);
      assertEquals(ended.result, {
        recipients: 6,
        sent: 6,
        failed: 0,
        skipped: 0,
        unknown: 0,
        can_be_retried: 0,
        failures: [],
      });
      const { lines } = await (await fetch(`${second.origin}/api/tasks/${task.id}/logs`)).json();
      const sent = lines.filter(({ text }: { text: string }) => text.endsWith(": sent"));
      assertEquals(sent.length, 6, "each message was sent once");
      assertEquals(await get(second.origin, done.id), record);
      await second.end("SIGTERM");
    });
  });
}

Deno.test("a second start on the same store says so and stops; a bad setting stops the start", async () => {
  await withDirectory(async (directory) => {
    const env = { KV_PATH: `${directory}/store.db` };
    const first = await startServer(env);
    const refused = async (more: Record<string, string>) => {
      try {
        await startServer({ ...env, ...more });
      } catch (error) {
        return (error as Error).message;
      }
      throw new Error("It started.");
    };
    assertMatch(await refused({}), /in use by another Millrace process/);
    assertMatch(await refused({ PORT: "x" }), /PORT/);
    const { port } = new URL(first.origin);
    const taken = await refused({ KV_PATH: `${directory}/other.db`, PORT: port });
    assertMatch(taken, /Millrace did not start. It cannot listen on 127.0.0.1:\d+: [^\n]+\n$/);
    await first.end("SIGTERM");
  });
});

Deno.test({
  name: "200 clients that do not read do not grow memory without bound",
  ignore: !isLinux,
  async fn() {
    await withDirectory(async (directory) => {
      const server = await startServer({ KV_PATH: `${directory}/store.db` });
      const { hostname, port, host } = new URL(server.origin);
      const sockets: Deno.TcpConn[] = [];
      const frame = new TextEncoder().encode('{"type":"subscribe","sub":"a"}');
      for (let i = 0; i < 200; i++) {
        const socket = await Deno.connect({ hostname, port: Number(port) });
        sockets.push(socket);
        const head = `GET /ws HTTP/1.1\r\nHost: ${host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
          "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        await socket.write(new TextEncoder().encode(head));
        await socket.read(new Uint8Array(1_000));
        // A masked text frame (RFC 6455) with a mask of zeros; from here on nothing is read.
        await socket.write(new Uint8Array([0x81, 0x80 | frame.length, 0, 0, 0, 0, ...frame]));
      }
      const tags = Array.from({ length: 10 }, (_, i) => `${i}`.repeat(60));
      const batch = JSON.stringify({
        tasks: Array.from({ length: 100 }, () => ({ task_type: "email_sending", delay: 3_600, tags })),
      });
      const push = async (batches: number) => {
        for (let i = 0; i < batches; i++) {
          const answer = await fetch(`${server.origin}/api/tasks/batch`, {
            method: "POST",
            headers: { "Content-Type": "application/json" },
            body: batch,
          });
          assertEquals(answer.status, 201);
          await answer.body?.cancel();
        }
      };
      await push(30);
      const before = await server.memory();
      await push(90);
      const after = await server.memory();
      // 9,000 changed tasks of about 1.2 kB for each of 200 clients would be over 2 GB.
      ok(after - before < 300e6, `memory grew by ${Math.round((after - before) / 1e6)} MB`);
      assertEquals((await fetch(`${server.origin}/api/health`)).status, 200);
      for (const socket of sockets) socket.close();
      await server.end("SIGTERM");
    });
  },
  sanitizeResources: false,
});

Deno.test({
  name: "a 200 MB CSV is uploaded with curl and processed under 400 MB of memory, and the API answers meanwhile",
  ignore: !isLinux,
  async fn() {
    await withDirectory(async (directory) => {
      const file = `${directory}/large.csv`;
      const rows = 200_000;
      // 200,000 rows of a kilobyte.
      const pad = "x".repeat(980);
      using out = await Deno.create(file);
      const encoder = new TextEncoder();
      await out.write(encoder.encode("n,half,text\n"));
      for (let i = 0; i < rows; i += 1_000) {
        const lines = Array.from({ length: 1_000 }, (_, j) => `${i + j},${(i + j) / 2},${pad}\n`).join("");
        const bytes = encoder.encode(lines);
        for (let at = 0; at < bytes.length;) at += await out.write(bytes.subarray(at));
      }
      const { size } = await Deno.stat(file);
      ok(size > 195e6);

      const server = await startServer({ KV_PATH: `${directory}/store.db`, MAX_UPLOAD_BYTES: "300000000" });
      let most = 0;
      let polls = 0;
      let polling = true;
      const poll = (async () => {
        while (polling) {
          most = Math.max(most, await server.memory());
          const answer = await fetch(`${server.origin}/api/health`);
          assertEquals(answer.status, 200);
          await answer.body?.cancel();
          polls++;
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      })();
      const upload = await new Deno.Command("curl", {
        args: ["-sS", "-F", `file=@${file};type=text/csv`, `${server.origin}/api/uploads`],
      }).output();
      const answer = JSON.parse(new TextDecoder().decode(upload.stdout));
      assertEquals(answer.size, size);
      const task = await submit(server.origin, "csv_processing", { upload_id: answer.upload_id });
      await follow(server.origin, task.id, '"SUCCESS"');
      polling = false;
      await poll;
      const { result } = await get(server.origin, task.id);
      const { rows: counted, columns } = result as { rows: number; columns: { sum: number }[] };
      assertEquals([counted, columns[0].sum, columns[1].sum], [rows, rows * (rows - 1) / 2, rows * (rows - 1) / 4]);
      ok(most < 400e6, `it took ${Math.round(most / 1e6)} MB`);
      ok(polls > 10, `${polls} health checks were answered`);
      await server.end("SIGTERM");
    });
  },
});
