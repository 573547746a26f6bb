/** The parts of `ws` that are used: its own types would pull in all of Node's. */

import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";

/** A WebSocket of `ws`: like that of the web, and more. */
export interface NodeWebSocket {
  ping(): void;
  /** Ends the connection at once. */
  terminate(): void;
  on(event: "pong" | "close", listener: () => void): this;
}

/** Accepts handshakes. */
export class WebSocketServer {
  constructor(options: { noServer: true; maxPayload: number; perMessageDeflate: false; closeTimeout: number });
  handleUpgrade(
    request: IncomingMessage,
    socket: Duplex,
    head: Uint8Array,
    done: (socket: NodeWebSocket) => void,
  ): void;
}
