/** HTTP as bytes on a socket: for requests that no well-behaved client sends. */

/**
 * Sends a request's head and then chunks until the server answers, and gives back the status line and what followed.
 *
 * @param chunk Called for the next piece of the body; null ends it.
 */
export async function rawRequest(
  origin: string,
  head: string,
  chunk: (n: number) => Uint8Array | null,
): Promise<{ status: number; sent: number }> {
  const { hostname, port } = new URL(origin);
  const connection = await Deno.connect({ hostname, port: Number(port) });
  try {
    const encoder = new TextEncoder();
    await connection.write(encoder.encode(`${head}\r\nHost: ${hostname}:${port}\r\n\r\n`));
    let answered = false;
    let text = "";
    const reading = (async () => {
      const buffer = new Uint8Array(4_096);
      while (!/^HTTP\/1\.1 \d{3}/.test(text)) {
        const read = await connection.read(buffer);
        if (read === null) break;
        text += new TextDecoder().decode(buffer.subarray(0, read));
      }
      answered = true;
    })();
    let sent = 0;
    for (let n = 0; !answered; n++) {
      const bytes = chunk(n);
      if (!bytes) break;
      try {
        for (let at = 0; at < bytes.length && !answered;) at += await connection.write(bytes.subarray(at));
      } catch {
        // The server has hung up: its answer is there to be read.
        break;
      }
      sent += bytes.length;
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    await reading.catch(() => {});
    // A request that was refused before its end leaves a connection that the server closes.
    if (answered) {
      const rest = new Uint8Array(4_096);
      await (async () => {
        while (await connection.read(rest) !== null);
      })().catch(() => {});
    }
    return { status: Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0), sent };
  } finally {
    connection.close();
  }
}

/** One chunk in chunked transfer coding. */
export function chunked(bytes: Uint8Array): Uint8Array {
  const encoder = new TextEncoder();
  const size = encoder.encode(`${bytes.length.toString(16)}\r\n`);
  const framed = new Uint8Array(size.length + bytes.length + 2);
  framed.set(size);
  framed.set(bytes, size.length);
  framed.set(encoder.encode("\r\n"), size.length + bytes.length);
  return framed;
}
