/** A mail server that says what a test tells it to. */

/** What a client says: the greeting is awaited first; `.` ends a message. */
export type Command = "GREETING" | "EHLO" | "MAIL" | "RCPT" | "DATA" | "." | "RSET" | "QUIT";

/** A scripted server. */
export interface Dialogue {
  port: number;
  /** Each command as it came, and the text of each message. */
  lines: string[];
  messages: string[];
  close(): Promise<void>;
}

const REPLIES: Record<Command, string> = {
  GREETING: "220 mail.example ESMTP",
  EHLO: "250-mail.example\r\n250-ENHANCEDSTATUSCODES\r\n250 8BITMIME",
  MAIL: "250 2.1.0 ok",
  RCPT: "250 2.1.5 ok",
  DATA: "354 go on",
  ".": "250 2.0.0 taken",
  RSET: "250 2.0.0 ok",
  QUIT: "221 2.0.0 bye",
};

/**
 * Serves.
 *
 * @param script What is answered to a command; undefined: as usual; null: the connection is closed without an answer.
 */
export function openDialogue(script: (command: Command, line: string) => string | null | undefined): Dialogue {
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const open = new Set<Promise<void>>();
  const connections = new Set<Deno.Conn>();
  const dialogue: Dialogue = {
    port: (listener.addr as Deno.NetAddr).port,
    lines: [],
    messages: [],
    close: async () => {
      listener.close();
      for (const connection of connections) end(connection);
      await Promise.all([...open, accepting]);
    },
  };
  const end = (connection: Deno.Conn) => {
    if (connections.delete(connection)) connection.close();
  };
  const serve = async (connection: Deno.Conn) => {
    const message: { lines: string[] | null } = { lines: null };
    /** Says something; false: the connection is closed. */
    const say = async (command: Command, line: string): Promise<boolean> => {
      const reply = script(command, line);
      if (reply === null) {
        end(connection);
        return false;
      }
      const text = reply ?? REPLIES[command];
      if (command === "DATA" && text.startsWith("354")) message.lines = [];
      await connection.write(new TextEncoder().encode(`${text}\r\n`));
      return !text.startsWith("421") && command !== "QUIT";
    };
    try {
      if (!await say("GREETING", "")) return;
      let rest = "";
      const buffer = new Uint8Array(64 * 1024);
      for (let n = await connection.read(buffer); n !== null; n = await connection.read(buffer)) {
        const lines = (rest + new TextDecoder().decode(buffer.subarray(0, n))).split("\r\n");
        rest = lines.pop()!;
        for (const line of lines) {
          if (message.lines && line !== ".") {
            message.lines.push(line);
            continue;
          }
          if (message.lines) {
            dialogue.messages.push(message.lines.join("\r\n"));
            message.lines = null;
          } else dialogue.lines.push(line);
          if (!await say(line.split(" ")[0].toUpperCase() as Command, line)) return;
        }
      }
    } catch {
      // The client has gone, or the test has ended.
    } finally {
      end(connection);
    }
  };
  const accepting = (async () => {
    for await (const connection of listener) {
      connections.add(connection);
      const served = serve(connection).finally(() => open.delete(served));
      open.add(served);
    }
  })();
  return dialogue;
}
