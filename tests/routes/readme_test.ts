import { assertEquals, ok } from "../support/assert.ts";
import { withApp } from "../support/http/app.ts";

const read = (path: string) => Deno.readTextFile(new URL(`../../${path}`, import.meta.url));
const API = await read("routes/README.md");

Deno.test("the curl blocks of all READMEs work as they stand, one after another", async () => {
  const all = await Promise.all(["README.md", "queue/README.md", "tests/README.md"].map(read));
  const blocks = [all[0], API, ...all.slice(1)].flatMap((text) => [...text.matchAll(/```sh\n([\s\S]*?)```/g)])
    .map(([, block]) => block).filter((block) => block.includes("curl "));
  ok(blocks.length >= 12);
  await withApp({}, async ({ origin, queue }) => {
    const directory = await Deno.makeTempDir();
    const script = [
      "set -euo pipefail",
      // An answer of 400 or above ends the walk.
      'curl() { command curl -sS --fail-with-body "$@"; }',
      ...blocks,
    ].join("\n").replaceAll("http://localhost:8000", origin).replaceAll("/tmp/", `${directory}/`);
    const { code, stderr } = await new Deno.Command("bash", { args: ["-c", script], stdout: "null" }).output();
    assertEquals([code, new TextDecoder().decode(stderr)], [0, ""]);
    const { states } = await queue.list({ task_types: ["csv_processing"] }, 10);
    assertEquals(states.map(({ task }) => task.status), ["SUCCESS"]);
    assertEquals((await queue.list({}, 10)).total, 10);
    await Deno.remove(directory, { recursive: true });
  });
});

Deno.test("the README's program works as it stands", async () => {
  const [, code] = /```ts\n([\s\S]*?)```/.exec(await read("README.md"))!;
  await withApp({}, async ({ origin }) => {
    const [config, client] = ["deno.json", "routes/client.ts"].map((path) => new URL(`../../${path}`, import.meta.url));
    const program = await Deno.makeTempFile({ suffix: ".ts" });
    const source = code.replace("./routes/client.ts", client.href).replaceAll("http://localhost:8000", origin);
    await Deno.writeTextFile(program, source);
    try {
      const args = ["run", "--quiet", "--check", "--config", config.pathname, "--allow-net", program];
      const { code: status, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args }).output();
      assertEquals([status, new TextDecoder().decode(stderr)], [0, ""]);
      ok(/^100 % .*\nSUCCESS \{/m.test(new TextDecoder().decode(stdout)));
    } finally {
      await Deno.remove(program);
    }
  });
});

Deno.test("the README's WebSocket client keeps the newest state of each task", async () => {
  const [, code] = /```js\n([\s\S]*?)```/.exec(API)!;
  await withApp({}, async ({ origin, submit }) => {
    const run = new Function(
      `${code.replace("ws://localhost:8000", origin.replace("http", "ws"))}; return { socket, tasks }`,
    );
    const { socket, tasks } = run() as { socket: WebSocket; tasks: Map<string, { status: string }> };
    const listen = socket.onmessage!;
    const done = new Promise<void>((resolve) => {
      socket.onmessage = (event) => {
        listen.call(socket, event);
        if ([...tasks.values()].some(({ status }) => status === "SUCCESS")) resolve();
      };
    });
    await submit("noop");
    await done;
    const closed = new Promise((resolve) => socket.onclose = resolve);
    socket.close();
    await closed;
  });
});

Deno.test("the README's example of a task type is the code that runs", async () => {
  const [, code] = /```ts\n\/\/ queue\/handlers\/webhook_delivery\.ts.*\n([\s\S]*?)```/.exec(
    await read("queue/README.md"),
  )!;
  const source = await Deno.readTextFile(new URL("../../queue/handlers/webhook_delivery.ts", import.meta.url));
  const plain = (text: string) => text.replaceAll(/\s+/g, " ").trim();
  const parts = code.split("// …").map((part) => plain(part).replace(/ \}\);$/, " })"));
  assertEquals(parts.length, 2);
  for (const part of parts) ok(plain(source).includes(part), part);
});
