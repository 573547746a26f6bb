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
  /** The log of a module, which may have a level of its own. */
  of?(module: LogModule): Logger;
}

/** The modules that a line of the log can be of. */
export const LOG_MODULES = ["store", "run", "background", "submit", "watch", "http", "live"] as const;

/** One of {@linkcode LOG_MODULES}. */
export type LogModule = (typeof LOG_MODULES)[number];

/** The log of a module; where a logger has none, the logger itself. */
export function logOf(log: Logger, module: LogModule): Logger {
  return log.of?.(module) ?? log;
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
 * @param level The lowest level that is written, or with those of some modules.
 * @param format `text` for people, `json` for machines (one object a line).
 * @param now Wall time in milliseconds.
 * @param write Takes a finished line.
 * @param more Adds to every line, such as the ids of the active span.
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
  level: LogLevel | { level: LogLevel; levels: Record<string, LogLevel> },
  format: "text" | "json",
  now: () => number,
  write: (line: string) => void,
  more: () => LogFields = () => ({}),
): Logger {
  const { level: otherwise, levels } = typeof level === "string" ? { level, levels: {} } : level;
  const at = (of: LogLevel, least: number, module: LogFields) => (message: string, fields: LogFields = {}) => {
    if (LOG_LEVELS.indexOf(of) < least) return;
    const time = new Date(now()).toISOString();
    const all = Object.entries({ ...module, ...fields, ...more() });
    const shown = Object.fromEntries(all.map(([name, value]) => [name, plain(value)]));
    if (format === "json") return write(oneLine(JSON.stringify({ time, level: of, message, ...shown })));
    const rest = Object.entries(shown).map(([name, value]) =>
      ` ${name}=${typeof value === "string" ? value : JSON.stringify(value)}`
    );
    write(`${time} ${of.toUpperCase().padEnd(5)} ${oneLine(message + rest.join(""))}`);
  };
  const loggerOf = (module?: LogModule): Logger => {
    const least = LOG_LEVELS.indexOf((levels as Record<string, LogLevel>)[module!] ?? otherwise);
    const line = (of: LogLevel) => at(of, least, module === undefined ? {} : { module });
    return { debug: line("debug"), info: line("info"), warn: line("warn"), error: line("error"), of: loggerOf };
  };
  return loggerOf();
}

/** Writes nothing. */
export const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} };
