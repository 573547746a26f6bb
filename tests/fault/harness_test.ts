/** The service under kills, stops, sleeps, and a full disk. See harness.ts for how to repeat a run. */

import { assertEquals } from "../support/assert.ts";
import { DENOKV, STORES } from "../support/kv/stores.ts";
import { Harness, LONG, pause } from "./harness.ts";

const KILLS = LONG ? 200 : 15;
const TASKS = LONG ? 20_000 : 1_500;

for (const signal of ["SIGKILL", "SIGTERM"] as const) {
  Deno.test(`${KILLS} times ${signal} while ${TASKS} tasks of all shapes run: nothing lost, nothing finished done again`, async () => {
    await Harness.with(signal, (directory) => ({ KV_PATH: `${directory}/store.db` }), async (harness) => {
      let server = await harness.start();
      harness.submitAll(TASKS);
      for (let i = 1; i <= KILLS; i++) {
        // There is always something to do when a blow falls.
        harness.allowed = TASKS * i / KILLS;
        await pause(harness.between(30, 700));
        await harness.end(server, signal);
        server = await harness.start();
        // Now and then it sleeps past its lease. Nobody else can have taken anything over: a file has one owner.
        if (i % 8 === 0) await harness.sleep(server, 1_500, false);
      }
      await harness.settled();
      await harness.end(server, "SIGTERM");
      const kv = await Deno.openKv(`${harness.directory}/store.db`);
      try {
        console.log(await harness.verify(kv));
      } finally {
        kv.close();
      }
    });
  });
}

/** Two that serve and two that work; of these one does not know a type, as if it were of another version. */
const KINDS: Record<string, string>[] = [
  { ROLES: "api" },
  { ROLES: "api" },
  { ROLES: "worker" },
  { ROLES: "worker", FAULT_WITHOUT: "checkpoints" },
];

Deno.test({
  name:
    "two instances that serve and two that work share a KV Connect, while any is killed, stopped or sleeps past its lease",
  ignore: !DENOKV,
  async fn() {
    const store = await STORES["over KV Connect"]!();
    const env = () => ({ KV_PATH: store.path, DENO_KV_ACCESS_TOKEN: Deno.env.get("DENO_KV_ACCESS_TOKEN")! });
    try {
      await Harness.with("instances", env, async (harness) => {
        const servers = await Promise.all(KINDS.map((kind) => harness.start(kind)));
        harness.submitAll(LONG ? 5_000 : 400);
        for (let i = 0; i < (LONG ? 60 : 6); i++) {
          await pause(harness.between(200, 900));
          const which = harness.between(0, servers.length - 1);
          if (i % 3 === 2) {
            await harness.sleep(servers[which], 2_500, true);
            continue;
          }
          await harness.end(servers[which], i % 3 === 0 ? "SIGKILL" : "SIGTERM");
          servers[which] = await harness.start(KINDS[which]);
        }
        await harness.settled();
        for (const server of servers) await harness.end(server, "SIGTERM");
        console.log(await harness.verify(store.kv));
      });
    } finally {
      await store.close();
    }
  },
});

/** Mounts a file system of 64 MB; null where that is not allowed. */
async function mountSmall(path: string): Promise<(() => Promise<void>) | null> {
  if (Deno.build.os !== "linux" || Deno.uid() !== 0) return null;
  const run = (command: string, ...args: string[]) => new Deno.Command(command, { args, stderr: "null" }).output();
  const { success } = await run("mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", path);
  return success ? async () => void await run("umount", path) : null;
}

Deno.test("a full disk during commits: nothing accepted is lost, and all ends once there is space again", async () => {
  const disk = await Deno.makeTempDir();
  const unmount = await mountSmall(disk);
  if (!unmount) {
    console.warn("Skipped, since it needs to mount a small file system: a full disk");
    await Deno.remove(disk);
    return;
  }
  try {
    // The service is to meet the end of the disk itself, not its own floor of free room.
    const env = { KV_PATH: `${disk}/store.db`, MIN_FREE_DISK_BYTES: "0" };
    await Harness.with("full disk", () => env, async (harness) => {
      const server = await harness.start();
      harness.submitAll(1_500);
      for (let i = 0; i < 3; i++) {
        harness.allowed = i * 500 + 100;
        while (harness.accepted.size < harness.allowed) await pause(10);
        const said = server.output().length;
        await fill(`${disk}/filler`);
        // More than what fits into the room that the log of the file has already.
        harness.allowed = (i + 1) * 500;
        // The disk is full in the middle of the load: a commit must have failed of it before there is space again.
        for (let tries = 0; !/database or disk is full/.test(server.output().slice(said)); tries++) {
          if (tries === 300) throw new Error("No commit met the full disk.");
          await pause(50);
        }
        await pause(1_000);
        await Deno.remove(`${disk}/filler`);
      }
      await harness.settled();
      await harness.end(server, "SIGTERM");
      const kv = await Deno.openKv(`${disk}/store.db`);
      try {
        console.log(await harness.verify(kv));
      } finally {
        kv.close();
      }
    });
  } finally {
    await unmount();
    await Deno.remove(disk);
  }
});

/** Writes until nothing more fits. */
async function fill(path: string): Promise<void> {
  using file = await Deno.open(path, { write: true, create: true });
  let size = 64 * 1024;
  while (size >= 1) {
    const written = await file.write(new Uint8Array(size)).catch(() => 0);
    if (written === 0) size = Math.floor(size / 2);
  }
  assertEquals((await Deno.stat(path)).isFile, true);
}
