/**
 * The log of the service itself (a task's own log lines are stored with the task).
 *
 * @module
 */

/** Values beside a message. An `error` is written with its name, message and stack. */
export type LogFields = Record<string, unknown>;

/** Writes one line per event. */
export interface Logger {
  /** For developers. */
  debug(message: string, fields?: LogFields): void;
  /** What happened as intended. */
  info(message: string, fields?: LogFields): void;
  /** What went wrong and is tried again. */
  warn(message: string, fields?: LogFields): void;
  /** What went wrong and needs attention. */
  error(message: string, fields?: LogFields): void;
}

/** From the least to the most important. */
export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;

/** One of {@linkcode LOG_LEVELS}. */
export type LogLevel = (typeof LOG_LEVELS)[number];

// deno-lint-ignore no-control-regex
const CONTROLS = /[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u2028\u2029]/g;

/** A text on one line: characters that start a new line or control a terminal are escaped. */
export function oneLine(text: string): string {
  return text.replaceAll(CONTROLS, (character) => {
    if (character === "\n") return "\\n";
    if (character === "\r") return "\\r";
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

function plain(value: unknown): unknown {
  return value instanceof Error ? value.stack ?? String(value) : value;
}

/**
 * Makes a logger.
 *
 * @param level The lowest level that is written.
 * @param format `text` for people, `json` for machines (one object a line).
 * @param now Wall time in milliseconds.
 * @param write Takes a finished line.
 *
 * @example
 * ```ts
 * import { createLogger } from "./mod.ts";
 *
 * const lines: string[] = [];
 * const log = createLogger("info", "json", () => 0, (line) => lines.push(line));
 * log.debug("Not written.");
 * log.warn("The store was slow.", { ms: 812 });
 * if (JSON.parse(lines[0]).ms !== 812) throw new Error("not written");
 * ```
 */
export function createLogger(
  level: LogLevel,
  format: "text" | "json",
  now: () => number,
  write: (line: string) => void,
): Logger {
  const least = LOG_LEVELS.indexOf(level);
  const at = (of: LogLevel) => (message: string, fields: LogFields = {}) => {
    if (LOG_LEVELS.indexOf(of) < least) return;
    const time = new Date(now()).toISOString();
    const shown = Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, plain(value)]));
    if (format === "json") return write(oneLine(JSON.stringify({ time, level: of, message, ...shown })));
    const rest = Object.entries(shown).map(([name, value]) =>
      ` ${name}=${typeof value === "string" ? value : JSON.stringify(value)}`
    );
    write(`${time} ${of.toUpperCase().padEnd(5)} ${oneLine(message + rest.join(""))}`);
  };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

/** Writes nothing. */
export const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} };
