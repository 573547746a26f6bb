/**
 * The URL of a mail server: where it is, and how it may be used.
 *
 * @module
 */

/** Connections to one server, unless its URL says otherwise. */
const CONNECTIONS = 5;
/** How much may be sent by a server. */
export interface SendLimits {
  perHour: number | null;
  perDay: number | null;
}

/** What the URL of a mail server says. */
export interface ServerUrl {
  host: string;
  port: number;
  secure: boolean;
  login: { user: string; pass: string } | undefined;
  connections: number;
  /** Messages a second; null: as fast as it takes them. */
  rate: number | null;
  limits: SendLimits;
}

/**
 * Reads `smtp://user:password@host:587` or `smtps://…`, with `?connections=5&rate=10&per_hour=1000&per_day=10000` as
 * needed.
 *
 * @throws {RangeError} If it is something else. The URL, which may hold a password, is in no error.
 */
export function parseServerUrl(text: string): ServerUrl {
  const url = URL.parse(text);
  if (!url || !/^smtps?:$/.test(url.protocol) || url.hostname === "") {
    throw new RangeError("this is not smtp://user:password@host:587 or smtps://user:password@host.");
  }
  const query = url.searchParams;
  const known = ["connections", "rate", "per_hour", "per_day"];
  if (url.hash !== "" || !["", "/"].includes(url.pathname) || [...query.keys()].some((name) => !known.includes(name))) {
    throw new RangeError(
      `behind the host and port, only ${
        known.join(", ")
      } are allowed. In a password, write / ? # @ as %2F %3F %23 %40.`,
    );
  }
  const number = (name: string, least: number, most: number): number | null => {
    const value = query.get(name);
    if (value === null) return null;
    const n = value === "" ? NaN : Number(value);
    if (n >= least && n <= most && (name === "rate" || Number.isInteger(n))) return n;
    throw new RangeError(`${name} must be a number from ${least} to ${most}.`);
  };
  const secure = url.protocol === "smtps:";
  return {
    host: url.hostname,
    port: Number(url.port) || (secure ? 465 : 587),
    secure,
    login: url.username === ""
      ? undefined
      : { user: decodeURIComponent(url.username), pass: decodeURIComponent(url.password) },
    connections: number("connections", 1, 100) ?? CONNECTIONS,
    rate: number("rate", 0.001, 10_000),
    limits: { perHour: number("per_hour", 1, 1e9), perDay: number("per_day", 1, 1e9) },
  };
}
