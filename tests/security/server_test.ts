/** What one client can do to the server: messages, heads, bodies and connections are bounded in size and time. */

import { systemClock } from "../../queue/task/clock.ts";
import { silent } from "../../queue/log.ts";
import { serve } from "../../routes/http/serve.ts";
import { assertEquals, assertMatch, ok } from "../support/assert.ts";
import { withApp } from "../support/http/app.ts";
import { withDirectory } from "../support/directory.ts";
import { reaches } from "../support/queue.ts";
import { closeCodeOf, dial, dialWebSocket, frame, readUntil, writeAll } from "../support/http/raw_socket.ts";
import { startServer } from "../support/http/server.ts";

const isHealthy = async (origin: string) => {
  const answer = await fetch(`${origin}/api/health`);
  assertEquals((await answer.json()).status, "healthy");
};

Deno.test("a WebSocket message in fragments is closed with 1009 once they are over 64 KB together, finished or not", async () => {
  await withApp({ worker: false }, async ({ origin }) => {
    const connection = await dialWebSocket(origin);
    const closed = closeCodeOf(connection);
    const part = new Uint8Array(20_000).fill(0x61);
    for (let i = 0; i < 5; i++) await writeAll(connection, frame(i === 0 ? 1 : 0, part, false));
    assertEquals(await closed, 1009);
    connection.close();
    await isHealthy(origin);
  });
});

Deno.test("frames that come faster than they can be dealt with close the socket with 1008", async () => {
  await withApp({ worker: false }, async ({ origin }) => {
    const connection = await dialWebSocket(origin);
    const closed = closeCodeOf(connection);
    const ping = frame(1, new TextEncoder().encode('{"type":"ping"}'));
    const many = new Uint8Array(ping.length * 1_000);
    for (let i = 0; i < 1_000; i++) many.set(ping, i * ping.length);
    await writeAll(connection, many);
    assertEquals(await closed, 1008);
    connection.close();
    await isHealthy(origin);
  });
});

Deno.test("what follows a whole request and is none is a 400 after the answer to the request", async () => {
  await withApp({ worker: false }, async ({ origin }) => {
    const connection = await dial(origin);
    const head = `POST /api/uploads?name=a.csv HTTP/1.1\r\nHost: ${new URL(origin).host}\r\nContent-Length: 4`;
    await writeAll(connection, `${head}\r\n\r\na,b\nnonsense\r\n\r\n`);
    const text = new TextDecoder().decode(await readUntil(connection));
    assertEquals([...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status), ["201", "400"]);
    connection.close();
  });
});

Deno.test("half a head, half a body and an idle connection are closed when their time is over", async () => {
  const limits = { headMs: 300, stalledMs: 600, idleMs: 300 };
  await withApp({ worker: false, limits }, async ({ origin }) => {
    const { host } = new URL(origin);
    const starts = {
      nothing: "",
      "half a head": `GET / HTTP/1.1\r\nHost: ${host}\r\n`,
      "half a body": `POST /api/tasks/submit HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\n` +
        "Content-Length: 100\r\n\r\n{",
      "an answered request": `GET /api/health HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
    };
    for (const start of Object.values(starts)) {
      const connection = await dial(origin);
      await writeAll(connection, start);
      // Resolves when the server has closed; a server that keeps it open keeps the test waiting.
      await readUntil(connection);
      connection.close();
    }
    await isHealthy(origin);
  });
});

Deno.test("a body that trickles in is closed when its time is over, whatever the method", async () => {
  await withApp({ worker: false, limits: { stalledMs: 800 } }, async ({ origin }) => {
    for (const start of ["GET /api/health", "POST /api/tasks/submit"]) {
      const connection = await dial(origin);
      await writeAll(
        connection,
        `${start} HTTP/1.1\r\nHost: ${new URL(origin).host}\r\nContent-Length: 100000\r\n\r\n`,
      );
      const closed = readUntil(connection);
      // Ends when the server has closed.
      while (await writeAll(connection, "a")) await new Promise((resolve) => setTimeout(resolve, 20));
      await closed;
      connection.close();
    }
  });
});

Deno.test("a client that stops reading its answer is disconnected", async () => {
  const canceled = Promise.withResolvers<void>();
  const endless = () =>
    new ReadableStream({
      pull: (controller) => controller.enqueue(new Uint8Array(64 * 1024)),
      cancel: () => canceled.resolve(),
    });
  const server = await serve({
    fetch: () => new Response(endless()),
    port: 0,
    host: "127.0.0.1",
    clock: systemClock,
    log: silent,
    stalledMs: 200,
  });
  const origin = `http://127.0.0.1:${server.port}`;
  const connection = await dial(origin);
  await writeAll(connection, `GET / HTTP/1.1\r\nHost: ${new URL(origin).host}\r\n\r\n`);
  await canceled.promise;
  connection.close();
  await server.stop();
});

Deno.test("HEAD holds nothing: no zip is packed for it and no stream is open", async () => {
  await withApp({ maxStreamsPerCaller: 3 }, async ({ origin, submit, queue }) => {
    const { id } = await submit("noop", {});
    await reaches(queue, id, "SUCCESS");
    const head = async (path: string) => {
      const headers = { Accept: "text/event-stream" };
      return (await fetch(`${origin}/api/tasks/${id}/${path}`, { method: "HEAD", headers })).status;
    };
    for (let i = 0; i < 6; i++) assertEquals([await head("artifacts.zip"), await head("events")], [200, 200]);
  });
});

Deno.test("a head that trickles in is closed when its time is over", async () => {
  await withApp({ worker: false, limits: { headMs: 300 } }, async ({ origin }) => {
    const connection = await dial(origin);
    await writeAll(connection, `GET / HTTP/1.1\r\nHost: ${new URL(origin).host}\r\n`);
    const closed = readUntil(connection);
    let open = true;
    closed.then(() => open = false);
    while (open && await writeAll(connection, "A: b\r\n")) await new Promise((resolve) => setTimeout(resolve, 20));
    await closed;
    connection.close();
  });
});

Deno.test("connections beyond the bound are closed at once, and there is room again when others have gone", async () => {
  await withApp({ worker: false, limits: { maxConnections: 5 } }, async ({ origin }) => {
    const held = [];
    for (let i = 0; i < 5; i++) {
      const connection = await dial(origin);
      await writeAll(connection, "GET / HTTP/1.1\r\n");
      held.push(connection);
    }
    const extra = await dial(origin);
    assertEquals((await readUntil(extra)).length, 0);
    extra.close();
    for (const connection of held) connection.close();
    let answered = false;
    for (let tries = 0; tries < 100 && !answered; tries++) {
      answered = await fetch(`${origin}/api/health`).then(async (answer) => (await answer.text(), true), () => false);
      if (!answered) await new Promise((resolve) => setTimeout(resolve, 10));
    }
    ok(answered);
  });
});

Deno.test("of a body that was refused no more is read than a moment's worth", async () => {
  await withApp({ worker: false }, async ({ origin }) => {
    const connection = await dial(origin);
    await writeAll(
      connection,
      `POST /api/tasks/submit HTTP/1.1\r\nHost: ${new URL(origin).host}\r\nContent-Type: application/json\r\n` +
        "Transfer-Encoding: chunked\r\n\r\n",
    );
    const answer = readUntil(connection);
    const chunk = new TextEncoder().encode(`10000\r\n${"x".repeat(65_536)}\r\n`);
    let sent = 0;
    while (sent < 1_000_000_000 && await writeAll(connection, chunk)) sent += chunk.length;
    ok(sent < 1_000_000_000, "the server reads on for ever");
    assertMatch(new TextDecoder().decode(await answer), /^HTTP\/1\.1 413 /);
    connection.close();
  });
});

Deno.test({
  name: "with 200 files a process lives through a thousand half-sent requests and answers when they have gone",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await withDirectory(async (directory) => {
      const server = await startServer({ KV_PATH: `${directory}/store.db` }, [], 200);
      const held: Deno.TcpConn[] = [];
      for (let i = 0; i < 300; i++) {
        const connection = await dial(server.origin).catch(() => null);
        if (!connection) continue;
        await writeAll(connection, "POST /api/tasks/submit HTTP/1.1\r\nHost: x\r\n");
        held.push(connection);
      }
      for (const connection of held) connection.close();
      let answered = false;
      for (let tries = 0; tries < 600 && !answered; tries++) {
        answered = await fetch(`${server.origin}/api/health`).then(
          async (answer) => (await answer.text(), true),
          () => false,
        );
        if (!answered) await new Promise((resolve) => setTimeout(resolve, 50));
      }
      ok(answered, server.output());
      const { code } = await server.end("SIGTERM");
      assertEquals(code, 0, server.output());
    });
  },
});

Deno.test("an error and a rejection that nobody handles are logged once, counted and told by health, and end nothing", async () => {
  await withDirectory(async (directory) => {
    const preload = `${directory}/fault.ts`;
    await Deno.writeTextFile(
      preload,
      `Deno.addSignalListener("SIGUSR2", () => {
        void Promise.reject(new Error("a rejection on purpose"));
        setTimeout(() => { throw new Error("an error on purpose"); }, 0);
      });`,
    );
    const server = await startServer({ KV_PATH: `${directory}/store.db` }, [`--preload=${preload}`]);
    const faults = async () => (await (await fetch(`${server.origin}/api/health`)).json()).faults as number;
    assertEquals(await faults(), 0);
    for (const count of [2, 4]) {
      server.process.kill("SIGUSR2");
      while (await faults() < count) await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await isHealthy(server.origin);
    const { code } = await server.end("SIGTERM");
    assertEquals(code, 0);
    assertEquals(server.output().match(/a rejection on purpose/g)?.length, 1);
    assertEquals(server.output().match(/an error on purpose/g)?.length, 1);
  });
});

Deno.test({
  name: "a server that could not accept for want of files accepts again when there are some",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await withDirectory(async (directory) => {
      const preload = `${directory}/hog.ts`;
      await Deno.writeTextFile(
        preload,
        `const held = [];
        Deno.addSignalListener("SIGUSR2", () => {
          if (held.length > 0) return held.splice(0).forEach((file) => file.close());
          try {
            while (true) held.push(Deno.openSync("/dev/null"));
          } catch {
            console.log("no files are left");
          }
        });`,
      );
      const server = await startServer({ KV_PATH: `${directory}/store.db` }, [`--preload=${preload}`], 300);
      server.process.kill("SIGUSR2");
      while (!server.output().includes("no files are left")) await new Promise((resolve) => setTimeout(resolve, 5));
      // The system has taken it; the server cannot.
      const connection = await dial(server.origin);
      await new Promise((resolve) => setTimeout(resolve, 50));
      server.process.kill("SIGUSR2");
      let answered = false;
      for (let tries = 0; tries < 400 && !answered; tries++) {
        const signal = AbortSignal.timeout(500);
        answered = await fetch(`${server.origin}/api/health`, { signal }).then(
          async (answer) => (await answer.text(), true),
          () => false,
        );
        if (!answered) await new Promise((resolve) => setTimeout(resolve, 50));
      }
      ok(answered, server.output());
      connection.close();
      await server.end("SIGTERM");
    });
  },
});
