/** A mail server that takes everything and keeps nothing, as a process of its own. Its first line is its port. */

import { SMTPServer } from "smtp-server";

const server = new SMTPServer({
  disabledCommands: ["AUTH", "STARTTLS"],
  disableReverseLookup: true,
  logger: false,
  onData(stream, _session, callback) {
    stream.resume();
    stream.on("end", () => callback(null));
  },
});
server.on("error", () => {});
const listening = server.listen(0, "127.0.0.1", () => console.log((listening.address() as { port: number }).port));
