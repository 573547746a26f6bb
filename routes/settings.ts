/**
 * Settings from the environment. An invalid value aborts the start with a line that names it.
 *
 * @module
 */

import { DEFAULT_SENDER, type DkimKey } from "../queue/handlers/email/transport.ts";
import type { RuleInput } from "../queue/alerts/rule.ts";
import { MAX_IMAGE_PIXELS } from "../queue/handlers/image_processing.ts";
import { QUEUE_DEFAULTS } from "../queue/options.ts";
import type { LogLevel } from "../queue/log.ts";
import type { Retention } from "../queue/task/summary.ts";
import type { Network } from "./network.ts";
import {
  DEFAULT_QUOTAS,
  MAX_CONNECTIONS,
  MAX_STREAMS,
  MAX_STREAMS_PER_CALLER,
  type QuotaLimits,
} from "./limits/defaults.ts";
import {
  duration,
  isLoopback,
  isStoreFile,
  type OidcSettings,
  readAlertRules,
  readCounts,
  readDkim,
  readDsn,
  readGroups,
  readIssuer,
  readLogLevels,
  readNetworks,
  readPublicUrl,
  readRates,
  readRetention,
  readSecrets,
  readSender,
  readSmtpUrls,
  readTokens,
  SettingError,
  type Token,
} from "./setting_values.ts";

export {
  isLoopback,
  isStoreFile,
  type OidcSettings,
  type Role,
  ROLES,
  SettingError,
  type Token,
} from "./setting_values.ts";

/** All settings, checked. */
export interface Settings {
  port: number;
  host: string;
  /** Where an instance that only works tells metrics and probes; null: nowhere. 0: any free port. */
  metricsPort: number | null;
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
  /** Where failures are reported; undefined: nowhere. It is a secret. */
  sentryDsn: string | undefined;
  /** Rules of alerts. */
  alertRules: RuleInput[];
  /** Sign-in of people; undefined: by tokens alone. */
  oidcSettings: OidcSettings | undefined;
  /** The lowest level that is written, and those of some modules. */
  logLevels: { level: LogLevel; levels: Record<string, LogLevel> };
  /** Whether requests, attempts and commits are spans of OpenTelemetry. */
  tracing: boolean;
  logFormat: "text" | "json";
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
  const publicUrl = readPublicUrl(text("PUBLIC_URL", ""));
  const issuer = text("OIDC_ISSUER", "");
  if (!isLoopback(host) && tokens.length === 0 && issuer === "" && auth !== "off") {
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
    metricsPort: text("METRICS_PORT", "") === "" ? null : integer("METRICS_PORT", 0, 0, 65_535),
    kvPath,
    backups: backupDirectory ? { directory: backupDirectory, everyMs, keep } : null,
    roles: { api: roles.includes("api"), worker: roles.includes("worker") },
    concurrency: readCounts("CONCURRENCY", text("CONCURRENCY", ""), 4),
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
      requestsPerSecond: integer("MAX_REQUESTS_PER_SECOND", DEFAULT_QUOTAS.requestsPerSecond, 1, 1_000_000),
      signInFailures: integer("MAX_SIGN_IN_FAILURES", DEFAULT_QUOTAS.signInFailures, 1, 1_000),
      tasksPerMinute: readCounts("MAX_TASKS_PER_MINUTE", text("MAX_TASKS_PER_MINUTE", ""), 9),
      tasksPerSecond: integer("MAX_TASKS_PER_SECOND", DEFAULT_QUOTAS.tasksPerSecond, 1, 1_000_000),
      openTasks: integer("MAX_OPEN_TASKS", DEFAULT_QUOTAS.openTasks, 1, Number.MAX_SAFE_INTEGER),
      openBytes: integer("MAX_OPEN_BYTES", DEFAULT_QUOTAS.openBytes, 1, Number.MAX_SAFE_INTEGER),
      uploadsAtOnce: integer("MAX_UPLOADS_AT_ONCE", DEFAULT_QUOTAS.uploadsAtOnce, 1, 100_000),
      schedules: integer("MAX_SCHEDULES", DEFAULT_QUOTAS.schedules, 0, 100_000),
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
    publicUrl,
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
    sentryDsn: readDsn(text("SENTRY_DSN", "")),
    alertRules: readAlertRules(text("ALERT_RULES", "")),
    oidcSettings: issuer === "" ? undefined : {
      issuer: readIssuer(issuer, publicUrl),
      clientId: text("OIDC_CLIENT_ID", "millrace"),
      clientSecret: text("OIDC_CLIENT_SECRET", "") || undefined,
      claim: text("OIDC_ROLE_CLAIM", "groups"),
      groups: readGroups(text("OIDC_ROLES", "")),
    },
    // Deno's own setting, which starts its exporter.
    tracing: /^(true|1)$/i.test(text("OTEL_DENO", "")),
    logLevels: readLogLevels(text("LOG_LEVEL", "info")),
    logFormat: oneOf("LOG_FORMAT", ["text", "json"], "text"),
  };
}
