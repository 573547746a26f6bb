/** The page below a base path, behind a proxy that removes it or passes it on. */

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { assertEquals } from "../support/assert.ts";
import { browserTest, complaints, isLive, rowIds, rowOf } from "../support/browser.ts";
import { withApp } from "../support/http/app.ts";

const BASE = "/millrace";

/** A proxy that serves another server below the base path; returns its port. */
async function startProxy(to: number, removes: boolean) {
  const pathOf = (url: string) => removes ? url.slice(BASE.length) || "/" : url;
  const pass = async (incoming: IncomingMessage, outgoing: ServerResponse) => {
    if (!incoming.url!.startsWith(`${BASE}/`)) return void outgoing.writeHead(404).end();
    const body: Uint8Array[] = [];
    for await (const piece of incoming) body.push(piece);
    const headers = new Headers(incoming.headers as Record<string, string>);
    for (const name of ["connection", "transfer-encoding", "host"]) headers.delete(name);
    const answer = await fetch(`http://127.0.0.1:${to}${pathOf(incoming.url!)}`, {
      method: incoming.method,
      headers,
      body: body.length > 0 ? new Blob(body as BlobPart[]) : undefined,
      redirect: "manual",
    });
    const answered = Object.fromEntries(answer.headers);
    delete answered["content-encoding"];
    delete answered["content-length"];
    outgoing.writeHead(answer.status, answered).end(new Uint8Array(await answer.arrayBuffer()));
  };
  const server = createServer((incoming, outgoing) => {
    pass(incoming, outgoing).catch((error) => {
      // A browser that leaves a page drops the requests of that page.
      if (!incoming.socket.destroyed) throw error;
    });
  });
  server.on("upgrade", (incoming, socket) => {
    const upstream = connect(to, "127.0.0.1");
    const headers = incoming.rawHeaders.flatMap((name, i, all) => i % 2 ? [] : [`${name}: ${all[i + 1]}`]);
    upstream.write(`GET ${pathOf(incoming.url!)} HTTP/1.1\r\n${headers.join("\r\n")}\r\n\r\n`);
    upstream.pipe(socket).pipe(upstream);
    for (const end of [socket, upstream]) end.on("error", () => {});
  });
  const open = new Set<Socket>();
  server.on("connection", (socket) => open.add(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}

for (const removes of [true, false]) {
  const what = removes ? "removes it" : "passes it on";
  browserTest(
    `below a base path that a proxy ${what}: list, form, details, links, socket and back`,
    async (browser) => {
      let port = 0;
      const publicUrl = new URL(`http://127.0.0.1${BASE}/`);
      await withApp({ publicUrl }, async (app) => {
        const proxy = await startProxy(Number(new URL(app.origin).port), removes);
        port = proxy.port;
        publicUrl.port = String(port);
        try {
          const page = await (await browser.newContext()).newPage();
          const found = complaints(page);
          const home = `http://127.0.0.1:${port}${BASE}/`;
          await page.goto(home);
          await isLive(page);
          await page.goto(`${home}?new=csv_processing`);
          await isLive(page);
          await page.getByRole("dialog").getByRole("button", { name: "Submit", exact: true }).click();
          await page.locator("tr[data-id]").waitFor();
          const [id] = await rowIds(page);
          await page.goto(home);
          await rowOf(page, id).locator("a").first().click();
          await page.waitForURL(`${home}?task=${id}`);
          await page.goBack();
          await page.waitForURL(home);
          // Also without a script.
          const plain = await (await browser.newContext({ javaScriptEnabled: false })).newPage();
          await plain.goto(home);
          await plain.locator(`tr[data-id="${id}"] a`).first().click();
          assertEquals(plain.url(), `${home}?task=${id}`);
          await plain.locator("form[action$='/cancel'] button:visible").first().click();
          await plain.locator(`tr[data-id="${id}"]`, { hasText: "Cancelled" }).waitFor();
          await plain.goto(`${home}undelivered`);
          await plain.locator("a", { hasText: "Tasks" }).click();
          assertEquals([plain.url(), found], [home, []]);
        } finally {
          await proxy.close();
        }
      });
    },
  );
}
