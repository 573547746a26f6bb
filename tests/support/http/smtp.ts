/** An SMTP server that a test looks into. */

import { SMTPServer, type SMTPServerOptions } from "smtp-server";

/** A message that the server has taken. */
export interface Mail {
  to: string;
  /** Headers and body as they came. */
  text: string;
  messageId: string;
}

/** A served mailbox. */
export interface Mailbox {
  port: number;
  /** Messages that were taken, in their order. */
  mails: Mail[];
  /** Called after each message, before the server answers; what it throws is the answer. */
  onMail: (mail: Mail) => Promise<void> | void;
  /** Called for each recipient; what it throws is the answer. */
  onRecipient: (address: string) => void;
  /** Breaks all connections. */
  hangUp(): void;
  close(): Promise<void>;
}

/** An answer of the server, for `onMail` and `onRecipient` to throw. */
export function answer(responseCode: number, words: string): Error {
  return Object.assign(new Error(words), { responseCode });
}

/** Serves; without options, in the clear and for anyone. */
export async function openMailbox(
  options: SMTPServerOptions = { disabledCommands: ["AUTH", "STARTTLS"] },
): Promise<Mailbox> {
  const mailbox: Mailbox = {
    port: 0,
    mails: [],
    onMail: () => {},
    onRecipient: () => {},
    hangUp: () => {
      for (const connection of server.connections) {
        (connection as unknown as { _socket: { destroy(): void } })._socket.destroy();
      }
    },
    close: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
  const server = new SMTPServer({
    ...options,
    logger: false,
    onRcptTo({ address }, _session, callback) {
      try {
        mailbox.onRecipient(address);
        callback();
      } catch (error) {
        callback(error as Error);
      }
    },
    async onData(stream, session, callback) {
      try {
        const chunks: Uint8Array[] = [];
        // A client that is killed in the middle ends it with an error.
        for await (const chunk of stream) chunks.push(chunk as Uint8Array);
        const text = await new Blob(chunks as BlobPart[]).text();
        const mail = {
          to: session.envelope.rcptTo.map(({ address }) => address).join(", "),
          text,
          messageId: /^Message-ID: (.*)\r$/mi.exec(text)?.[1] ?? "",
        };
        await mailbox.onMail(mail);
        mailbox.mails.push(mail);
        callback(null);
      } catch (error) {
        callback(error as Error);
      }
    },
  });
  server.on("error", () => {});
  mailbox.port = await new Promise<number>((resolve) => {
    const listening = server.listen(0, "127.0.0.1", () => resolve((listening.address() as { port: number }).port));
  });
  return mailbox;
}

/** A certificate of localhost that signs itself, for tests only, and its key. */
export const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBmjCCAUGgAwIBAgIUAklfegnnzSGl1IwR2U50sK3eC44wCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyNTA0MTYwOVoYDzIxMjYxMTAx
MDQxNjA5WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAASlQlztzjoWw8nzQ/FsEGhFNkcex0+g+8fsf1AqNU7/a1B7rdBN+4OR
DGEvW5yE8JXxdF8/ukV4hKratQ7yZRXVo28wbTAdBgNVHQ4EFgQUP+x4C03sq2hp
MrvZh5kcTazgU8cwHwYDVR0jBBgwFoAUP+x4C03sq2hpMrvZh5kcTazgU8cwDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDRwAwRAIgRZvCHl+3wreMBgrZg9Jw8fKEccCExavywSiqnqTcsdkCIDkM
IYtv4+nb+fMLIsp1SJm9tbcen2/oQqWguPXU16Jy
-----END CERTIFICATE-----
`;

/** The key of {@linkcode CERTIFICATE}. */
export const KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQggTjK0gDa+vUaFBKK
7Wyyb+smNXySa/XTvkUq1cpPjxyhRANCAASlQlztzjoWw8nzQ/FsEGhFNkcex0+g
+8fsf1AqNU7/a1B7rdBN+4ORDGEvW5yE8JXxdF8/ukV4hKratQ7yZRXV
-----END PRIVATE KEY-----
`;
