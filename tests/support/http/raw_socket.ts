/** TCP and WebSocket frames by hand, for clients that do what no library lets them do. */

/** A connection to an origin. */
export async function dial(origin: string): Promise<Deno.TcpConn> {
  const { hostname, port } = new URL(origin);
  return await Deno.connect({ hostname, port: Number(port) });
}

/** Writes all of it; false if the other side has hung up. */
export async function writeAll(connection: Deno.TcpConn, data: Uint8Array | string): Promise<boolean> {
  const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
  try {
    for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
    return true;
  } catch {
    return false;
  }
}

/** Reads until `isEnough`, or until the other side closes. */
export async function readUntil(
  connection: Deno.TcpConn,
  isEnough: (bytes: Uint8Array) => boolean = () => false,
): Promise<Uint8Array> {
  let all = new Uint8Array();
  const buffer = new Uint8Array(65_536);
  while (!isEnough(all)) {
    const read = await connection.read(buffer).catch(() => null);
    if (read === null) break;
    const more = new Uint8Array(all.length + read);
    more.set(all);
    more.set(buffer.subarray(0, read), all.length);
    all = more;
  }
  return all;
}

/** Opens a WebSocket and gives back its connection. */
export async function dialWebSocket(origin: string, headers = ""): Promise<Deno.TcpConn> {
  const connection = await dial(origin);
  await writeAll(
    connection,
    `GET /ws HTTP/1.1\r\nHost: ${new URL(origin).host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${headers}\r\n`,
  );
  await readUntil(connection, (bytes) => new TextDecoder().decode(bytes).includes("\r\n\r\n"));
  return connection;
}

/** A frame of a client (RFC 6455, 5.2), masked with zeros. */
export function frame(opcode: number, payload: Uint8Array, fin = true): Uint8Array {
  const head = [(fin ? 0x80 : 0) | opcode];
  if (payload.length < 126) head.push(0x80 | payload.length);
  else if (payload.length < 65_536) head.push(0x80 | 126, payload.length >> 8, payload.length & 255);
  else {
    const size = payload.length;
    head.push(0x80 | 127, 0, 0, 0, 0, size >>> 24, (size >> 16) & 255, (size >> 8) & 255, size & 255);
  }
  const bytes = new Uint8Array(head.length + 4 + payload.length);
  bytes.set(head);
  bytes.set(payload, head.length + 4);
  return bytes;
}

/** The code of the close frame that the server sends, however long it takes; null if it hangs up without one. */
export async function closeCodeOf(connection: Deno.TcpConn): Promise<number | null> {
  let code: number | null = null;
  await readUntil(connection, (bytes) => {
    // Frames of a server are not masked.
    for (let at = 0; at + 2 <= bytes.length;) {
      let length = bytes[at + 1] & 0x7f;
      let start = at + 2;
      if (length === 126) {
        length = (bytes[start] << 8) | bytes[start + 1];
        start += 2;
      } else if (length === 127) {
        length = Number(new DataView(bytes.buffer, start, 8).getBigUint64(0));
        start += 8;
      }
      if (start + length > bytes.length) return false;
      if ((bytes[at] & 0x0f) === 8) {
        code = (bytes[start] << 8) | bytes[start + 1];
        return true;
      }
      at = start + length;
    }
    return false;
  });
  return code;
}

/** Sends bytes and reads what comes back until the server closes the connection, as it was asked to. */
export async function exchange(
  origin: string,
  request: string | Uint8Array,
): Promise<{ status: number; headers: Headers; body: string }> {
  const connection = await dial(origin);
  try {
    await writeAll(connection, request);
    const text = await new Response(connection.readable).text();
    const end = text.indexOf("\r\n\r\n");
    const [first, ...lines] = text.slice(0, end).split("\r\n");
    const headers = new Headers(lines.map((line): [string, string] => {
      const at = line.indexOf(":");
      return [line.slice(0, at), line.slice(at + 1).trim()];
    }));
    return { status: Number(first.split(" ")[1]), headers, body: text.slice(end + 4) };
  } finally {
    try {
      connection.close();
    } catch {
      // Reading to the end has closed it.
    }
  }
}
