/** A load generator in a thread of its own: keep-alive connections that send one request after another. */

interface Load {
  port: number;
  connections: number;
  requests: number;
  path: string;
  body: string;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

async function connectionLoad({ port, path, body }: Load, next: () => boolean): Promise<number> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  connection.setNoDelay(true);
  const request = encoder.encode(
    `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${body.length}\r\n\r\n${body}`,
  );
  const buffer = new Uint8Array(16_384);
  let failed = 0;
  while (next()) {
    for (let at = 0; at < request.length;) at += await connection.write(request.subarray(at));
    let text = "";
    while (true) {
      const read = await connection.read(buffer);
      if (read === null) throw new Error("The server hung up.");
      text += decoder.decode(buffer.subarray(0, read));
      const end = text.indexOf("\r\n\r\n");
      if (end < 0) continue;
      const length = Number(/content-length: (\d+)/i.exec(text)![1]);
      if (encoder.encode(text.slice(end + 4)).length >= length) break;
    }
    if (!text.startsWith("HTTP/1.1 201")) failed++;
  }
  connection.close();
  return failed;
}

const scope = self as unknown as {
  onmessage: (event: MessageEvent<Load>) => void;
  postMessage(answer: { failed: number; ms: number }): void;
};

scope.onmessage = async ({ data }) => {
  let left = data.requests;
  const started = performance.now();
  const failed = await Promise.all(
    Array.from({ length: data.connections }, () => connectionLoad(data, () => left-- > 0)),
  );
  scope.postMessage({ failed: failed.reduce((a, b) => a + b, 0), ms: performance.now() - started });
};
