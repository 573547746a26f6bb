/**
 * Settings from the environment. An invalid value aborts the start with a line that names it.
 *
 * @module
 */

import { createPrivateKey } from "node:crypto";
import { parseServerUrl } from "../queue/handlers/email/server_url.ts";
import { DEFAULT_SENDER, type DkimKey, parseSender } from "../queue/handlers/email/transport.ts";
import { MAX_IMAGE_PIXELS } from "../queue/handlers/image_processing.ts";
import { QUEUE_DEFAULTS } from "../queue/options.ts";
import { LOG_LEVELS, type LogLevel } from "../queue/log.ts";
import { parseRate } from "../queue/task/rate_limit.ts";
import type { Retention } from "../queue/task/summary.ts";
import { type Network, parseNetwork } from "./network.ts";
import { DEFAULT_QUOTAS, MAX_CONNECTIONS, MAX_STREAMS, MAX_STREAMS_PER_CALLER, type QuotaLimits } from "./limits.ts";

/** What a caller may do: each role includes those before it. */
export const ROLES = ["viewer", "operator", "admin"] as const;

/** One of {@linkcode ROLES}. */
export type Role = (typeof ROLES)[number];

/** A token that programs and people sign in with. */
export interface Token {
  name: string;
  role: Role;
  secret: string;
}

/** All settings, checked. */
export interface Settings {
  port: number;
  host: string;
  /** A path, `:memory:`, an http(s) URL of a KV Connect server, or undefined on Deno Deploy: its own database. */
  kvPath: string | undefined;
  roles: { api: boolean; worker: boolean };
  concurrency: Record<string, number>;
  leaseMs: number;
  /** How long ended tasks are kept, by how they ended. */
  retention: Retention;
  /** Rate limits by type. */
  rates: Record<string, string>;
  shutdownGraceMs: number;
  maxUploadBytes: number;
  /** Bytes of all files of a request. */
  maxUploadTotalBytes: number;
  /** Connections at once. */
  maxConnections: number;
  maxStreams: number;
  maxStreamsPerCaller: number;
  quotas: QuotaLimits;
  trustedProxies: Network[];
  /** Whether this runs on Deno Deploy. */
  onDeploy: boolean;
  /** The address under which clients reach the service. */
  publicUrl: URL | undefined;
  /** Copies of the store on a timer; null: none. */
  backups: { directory: string; everyMs: number; keep: number } | null;
  /** Maximum pixels of an image that is read. */
  maxImagePixels: number;
  webhook: { secrets: string[]; allowPrivate: boolean };
  mail: { servers: string[]; from: string; dkim: DkimKey | undefined };
  tokens: Token[];
  logLevel: LogLevel;
  logFormat: "text" | "json";
}

/** A setting that is invalid. */
export class SettingError extends Error {
  constructor(name: string, detail: string) {
    super(`${name}: ${detail}`);
    this.name = "SettingError";
  }
}

/** Whether only this machine can reach an address. */
export function isLoopback(host: string): boolean {
  return /^(127(\.\d{1,3}){3}|localhost|::1|\[::1\])$/i.test(host);
}

const UNITS: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Ten years. */
const LONGEST_MS = 3_660 * 86_400_000;

function duration(name: string, text: string): number {
  const match = /^(\d+)(ms|s|m|h|d)$/.exec(text);
  const ms = match ? Number(match[1]) * UNITS[match[2]] : 0;
  if (ms === 0 || ms > LONGEST_MS) {
    throw new SettingError(name, `"${text}" is not a duration such as 12h or 7d, of ten years at most.`);
  }
  return ms;
}

/**
 * Reads the settings.
 *
 * @param env Gives the value of a variable, undefined if it is not set.
 * @throws {SettingError} For the first invalid one.
 */
export function readSettings(env: (name: string) => string | undefined): Settings {
  const text = (name: string, otherwise: string) => env(name)?.trim() || otherwise;
  const integer = (name: string, otherwise: number, min: number, max: number) => {
    const value = Number(text(name, String(otherwise)));
    if (!Number.isInteger(value) || value < min || value > max) {
      throw new SettingError(name, `"${env(name)}" is not a whole number from ${min} to ${max}.`);
    }
    return value;
  };
  const oneOf = <T extends string>(name: string, values: readonly T[], otherwise: T): T => {
    const value = text(name, otherwise) as T;
    if (!values.includes(value)) throw new SettingError(name, `"${value}" is not one of ${values.join(", ")}.`);
    return value;
  };

  const onDeploy = env("DENO_DEPLOY") === "true" || env("DENO_DEPLOYMENT_ID") !== undefined;
  const host = text("HOST", onDeploy ? "0.0.0.0" : "127.0.0.1");
  const tokens = readTokens(text("API_TOKENS", ""));
  const auth = oneOf("AUTH", ["on", "off"], "on");
  if (!isLoopback(host) && tokens.length === 0 && auth !== "off") {
    throw new SettingError(
      "API_TOKENS",
      `serving ${host} without tokens would let anyone in. Set API_TOKENS, or AUTH=off if something else guards it.`,
    );
  }
  const roles = text("ROLES", "api,worker").split(",").map((role) => role.trim());
  for (const role of roles) {
    if (role !== "api" && role !== "worker") throw new SettingError("ROLES", `"${role}" is neither api nor worker.`);
  }
  const kvPath = env("KV_PATH")?.trim() || (onDeploy ? undefined : "./data/millrace.db");
  const backupDirectory = text("BACKUP_DIR", "");
  if (backupDirectory && !isStoreFile(kvPath)) {
    throw new SettingError("BACKUP_DIR", "only a store in a file of this machine can be copied; see KV_PATH.");
  }
  const everyMs = duration("BACKUP_EVERY", text("BACKUP_EVERY", "1d"));
  if (everyMs < 60_000) throw new SettingError("BACKUP_EVERY", "at most one copy a minute can be made.");
  const keep = integer("BACKUP_KEEP", 7, 1, 10_000);
  const maxUploadBytes = integer("MAX_UPLOAD_BYTES", 104_857_600, 1, Number.MAX_SAFE_INTEGER);
  return {
    port: integer("PORT", 8_000, 0, 65_535),
    host,
    kvPath,
    backups: backupDirectory ? { directory: backupDirectory, everyMs, keep } : null,
    roles: { api: roles.includes("api"), worker: roles.includes("worker") },
    concurrency: readConcurrency(text("CONCURRENCY", "")),
    leaseMs: integer("LEASE_MS", QUEUE_DEFAULTS.leaseMs, 1_000, 600_000),
    retention: readRetention(text("RETENTION", "")),
    rates: readRates(text("RATE_LIMIT", "off")),
    shutdownGraceMs: integer("SHUTDOWN_GRACE_MS", QUEUE_DEFAULTS.shutdownGraceMs, 500, 600_000),
    maxUploadBytes,
    maxUploadTotalBytes: integer(
      "MAX_UPLOAD_TOTAL_BYTES",
      Math.max(524_288_000, maxUploadBytes),
      1,
      Number.MAX_SAFE_INTEGER,
    ),
    maxConnections: integer("MAX_CONNECTIONS", MAX_CONNECTIONS, 10, 1_000_000),
    maxStreams: integer("MAX_STREAMS", MAX_STREAMS, 1, 1_000_000),
    maxStreamsPerCaller: integer("MAX_STREAMS_PER_CALLER", MAX_STREAMS_PER_CALLER, 1, 1_000_000),
    quotas: {
      tasksPerSecond: integer("MAX_TASKS_PER_SECOND", DEFAULT_QUOTAS.tasksPerSecond, 1, 1_000_000),
      openTasks: integer("MAX_OPEN_TASKS", DEFAULT_QUOTAS.openTasks, 1, Number.MAX_SAFE_INTEGER),
      openBytes: integer("MAX_OPEN_BYTES", DEFAULT_QUOTAS.openBytes, 1, Number.MAX_SAFE_INTEGER),
      unusedUploadBytes: integer(
        "MAX_UNUSED_UPLOAD_BYTES",
        DEFAULT_QUOTAS.unusedUploadBytes,
        1,
        Number.MAX_SAFE_INTEGER,
      ),
      scheduledPerHour: integer("MAX_SCHEDULED_PER_HOUR", DEFAULT_QUOTAS.scheduledPerHour, 1, 36_000_000),
      freeDiskBytes: integer("MIN_FREE_DISK_BYTES", DEFAULT_QUOTAS.freeDiskBytes, 0, Number.MAX_SAFE_INTEGER),
    },
    trustedProxies: readNetworks(text("TRUSTED_PROXIES", "")),
    onDeploy,
    publicUrl: readPublicUrl(text("PUBLIC_URL", "")),
    maxImagePixels: integer("MAX_IMAGE_MEGAPIXELS", MAX_IMAGE_PIXELS / 1_000_000, 1, 1_000) * 1_000_000,
    mail: {
      servers: readSmtpUrls(text("SMTP_URL", "")),
      from: readSender(text("MAIL_FROM", DEFAULT_SENDER)),
      dkim: readDkim(text("DKIM_DOMAIN", ""), text("DKIM_SELECTOR", ""), text("DKIM_PRIVATE_KEY", "")),
    },
    webhook: {
      secrets: readSecrets(text("WEBHOOK_SECRET", "")),
      allowPrivate: oneOf("WEBHOOK_ALLOW_PRIVATE", ["0", "1"], "0") === "1",
    },
    tokens,
    logLevel: oneOf("LOG_LEVEL", LOG_LEVELS, "info"),
    logFormat: oneOf("LOG_FORMAT", ["text", "json"], "text"),
  };
}

function readTokens(text: string): Token[] {
  const tokens = text.split(",").map((part) => part.trim()).filter(Boolean).map((part, i): Token => {
    const [name, role, ...rest] = part.split(":");
    const secret = rest.join(":");
    // A token is never repeated in an error: it is a secret.
    const where = `token ${i + 1}`;
    if (!name || !(ROLES as readonly string[]).includes(role)) {
      throw new SettingError("API_TOKENS", `${where} is not name:role:secret with a role of ${ROLES.join(", ")}.`);
    }
    if (secret.length < 16) throw new SettingError("API_TOKENS", `the secret of ${where} is under 16 characters.`);
    return { name, role: role as Role, secret };
  });
  if (new Set(tokens.map(({ name }) => name)).size < tokens.length) {
    throw new SettingError("API_TOKENS", "two tokens have the same name.");
  }
  return tokens;
}

/** What comes first in the paths of the service: a proxy that removes a base path of the same name cannot be told apart. */
const PLACES = [
  "api",
  "static",
  "tasks",
  "examples",
  "ws",
  "login",
  "logout",
  "schedules",
  "suppressions",
  "undelivered",
  "docs",
  "openapi.json",
  "metrics",
  "livez",
  "readyz",
];

/** Whether a `KV_PATH` names a file of this machine: neither memory nor a KV Connect server, which Deno Deploy has too. */
export function isStoreFile(kvPath: string | undefined): kvPath is string {
  return kvPath !== undefined && kvPath !== ":memory:" && !/^https?:/.test(kvPath);
}

function readPublicUrl(text: string): URL | undefined {
  if (text === "") return undefined;
  const url = URL.parse(text);
  const [, first] = url?.pathname.split("/") ?? [];
  if (PLACES.includes(first)) {
    throw new SettingError("PUBLIC_URL", `a base path cannot begin with /${first}, which is a place in the service.`);
  }
  const isPlain = url && /^https?:$/.test(url.protocol) && !url.username && !url.password && !url.search && !url.hash;
  if (isPlain) return url;
  throw new SettingError("PUBLIC_URL", `"${text}" is not an http or https address like https://example.com/millrace.`);
}

/** Addresses and networks, separated by commas. */
function readNetworks(text: string): Network[] {
  return text.split(",").map((part) => part.trim()).filter(Boolean).map((part) => {
    try {
      return parseNetwork(part);
    } catch {
      throw new SettingError("TRUSTED_PROXIES", `"${part}" is not an address or network such as 10.0.0.0/8.`);
    }
  });
}

/** Addresses of mail servers, separated by spaces. They may hold passwords and are never repeated. */
function readSmtpUrls(text: string): string[] {
  const urls = text.split(/\s+/).filter(Boolean);
  try {
    const names = urls.map(parseServerUrl).map(({ host, port }) => `${host}:${port}`);
    if (new Set(names).size < names.length) throw new RangeError("two servers are the same.");
  } catch (error) {
    throw new SettingError("SMTP_URL", (error as Error).message);
  }
  return urls;
}

/** The key that messages are signed with. It is never repeated. */
function readDkim(domainName: string, keySelector: string, pem: string): DkimKey | undefined {
  if (domainName === "" && keySelector === "" && pem === "") return undefined;
  const missing = Object.entries({ DKIM_DOMAIN: domainName, DKIM_SELECTOR: keySelector, DKIM_PRIVATE_KEY: pem })
    .find(([, value]) => value === "");
  if (missing) throw new SettingError(missing[0], "this is needed for messages to be signed.");
  // Some environments hold no line ends.
  const privateKey = pem.replaceAll("\\n", "\n");
  try {
    createPrivateKey(privateKey);
  } catch {
    throw new SettingError("DKIM_PRIVATE_KEY", "this is not a private key in PEM.");
  }
  return { domainName, keySelector, privateKey };
}

function readSender(text: string): string {
  try {
    parseSender(text);
    return text;
  } catch (error) {
    throw new SettingError("MAIL_FROM", (error as Error).message);
  }
}

/** Secrets of Standard Webhooks, separated by spaces: several while one replaces another. */
function readSecrets(text: string): string[] {
  const secrets = text.split(/\s+/).filter(Boolean);
  for (const [i, secret] of secrets.entries()) {
    const key = /^whsec_([A-Za-z0-9+/]+=*)$/.exec(secret)?.[1];
    // The secret itself is never repeated.
    if (!key || key.length < 32) {
      throw new SettingError("WEBHOOK_SECRET", `secret ${i + 1} is not whsec_ and the base64 of 24 bytes or more.`);
    }
  }
  return secrets;
}

/** One duration for all, or one by status. */
function readRetention(text: string): Retention {
  const otherwise = QUEUE_DEFAULTS.retentionMs;
  const retention: Record<string, number> = { SUCCESS: otherwise, FAILED: otherwise, CANCELLED: otherwise };
  if (text !== "" && !text.includes("=")) {
    const all = duration("RETENTION", text);
    return { SUCCESS: all, FAILED: all, CANCELLED: all };
  }
  for (const part of text.split(",").map((part) => part.trim()).filter(Boolean)) {
    const match = /^(SUCCESS|FAILED|CANCELLED)=([^=]+)$/.exec(part);
    if (!match) throw new SettingError("RETENTION", `"${part}" is not status=duration, such as FAILED=30d.`);
    retention[match[1]] = duration("RETENTION", match[2]);
  }
  return retention as unknown as Retention;
}

function readRates(text: string): Record<string, string> {
  const rates: Record<string, string> = {};
  if (text === "off") return rates;
  for (const part of text.split(",").map((part) => part.trim()).filter(Boolean)) {
    const match = /^([a-z][a-z0-9_]*)=(.+)$/.exec(part);
    try {
      if (!match) throw new RangeError(`"${part}" is not type=rate, such as email_sending=10/s.`);
      parseRate(match[2]);
    } catch (error) {
      throw new SettingError("RATE_LIMIT", (error as Error).message);
    }
    rates[match[1]] = match[2];
  }
  return rates;
}

function readConcurrency(text: string): Record<string, number> {
  const slots: Record<string, number> = {};
  for (const part of text.split(",").map((part) => part.trim()).filter(Boolean)) {
    const match = /^([a-z][a-z0-9_]*)=(\d{1,4})$/.exec(part);
    if (!match || match[2] === "0") throw new SettingError("CONCURRENCY", `"${part}" is not type=slots.`);
    slots[match[1]] = Number(match[2]);
  }
  return slots;
}
