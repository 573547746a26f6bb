/**
 * How settings are written, each read from its text.
 *
 * @module
 */

import { createPrivateKey } from "node:crypto";
import * as z from "zod";
import { type RuleInput, ruleSchema } from "../queue/alerts/rule.ts";
import { issuesOf } from "../queue/params.ts";
import { parseServerUrl } from "../queue/handlers/email/server_url.ts";
import { type DkimKey, parseSender } from "../queue/handlers/email/transport.ts";
import { LOG_LEVELS, LOG_MODULES, type LogLevel } from "../queue/log.ts";
import { QUEUE_DEFAULTS } from "../queue/options.ts";
import { parseRate } from "../queue/task/rate_limit.ts";
import type { Retention } from "../queue/task/summary.ts";
import { type Network, parseNetwork } from "./network.ts";

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

/** A length of time such as `12h`, in milliseconds. */
export function duration(name: string, text: string): number {
  const match = /^(\d+)(ms|s|m|h|d)$/.exec(text);
  const ms = match ? Number(match[1]) * UNITS[match[2]] : 0;
  if (ms === 0 || ms > LONGEST_MS) {
    throw new SettingError(name, `"${text}" is not a duration such as 12h or 7d, of ten years at most.`);
  }
  return ms;
}

/** Tokens, `name:role:secret` separated by commas. */
export function readTokens(text: string): Token[] {
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
  "audit",
  "alerts",
  "openapi.json",
  "metrics",
  "livez",
  "readyz",
];

/** Whether a `KV_PATH` names a file of this machine: neither memory nor a KV Connect server, which Deno Deploy has too. */
export function isStoreFile(kvPath: string | undefined): kvPath is string {
  return kvPath !== undefined && kvPath !== ":memory:" && !/^https?:/.test(kvPath);
}

/** An http or https address; empty: none. */
export function readPublicUrl(text: string): URL | undefined {
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

/** How to reach an identity provider, and what its people may do. */
export interface OidcSettings {
  issuer: URL;
  clientId: string;
  /** Undefined: a public client, which PKCE alone protects. */
  clientSecret: string | undefined;
  /** The claim that says to which groups, or roles, a person belongs. */
  claim: string;
  /** The value of the claim that gives a role. */
  groups: Partial<Record<Role, string>>;
}

/** The address of an identity provider. */
export function readIssuer(text: string, publicUrl: URL | undefined): URL {
  const url = URL.parse(text);
  const isSafe = url && (url.protocol === "https:" || url.protocol === "http:" && isLoopback(url.hostname));
  if (!isSafe) throw new SettingError("OIDC_ISSUER", `"${text}" is not an https address.`);
  if (!publicUrl) throw new SettingError("PUBLIC_URL", "OIDC_ISSUER needs it: the provider sends people back there.");
  return url;
}

/** Which value of a claim gives which role: `admin=ops,operator=staff`. */
export function readGroups(text: string): Partial<Record<Role, string>> {
  const groups: Partial<Record<Role, string>> = {};
  for (const part of text.split(",").map((part) => part.trim()).filter(Boolean)) {
    const [, role, group] = /^(\w+)=(.+)$/.exec(part) ?? [];
    if (!(ROLES as readonly string[]).includes(role)) {
      throw new SettingError("OIDC_ROLES", `"${part}" is not role=group with a role of ${ROLES.join(", ")}.`);
    }
    groups[role as Role] = group;
  }
  if (Object.keys(groups).length === 0) throw new SettingError("OIDC_ROLES", "say which group has which role.");
  return groups;
}

/** Addresses and networks, separated by commas. */
export function readNetworks(text: string): Network[] {
  return text.split(",").map((part) => part.trim()).filter(Boolean).map((part) => {
    try {
      return parseNetwork(part);
    } catch {
      throw new SettingError("TRUSTED_PROXIES", `"${part}" is not an address or network such as 10.0.0.0/8.`);
    }
  });
}

/** Addresses of mail servers, separated by spaces. They may hold passwords and are never repeated. */
export function readSmtpUrls(text: string): string[] {
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
export function readDkim(domainName: string, keySelector: string, pem: string): DkimKey | undefined {
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

export function readSender(text: string): string {
  try {
    parseSender(text);
    return text;
  } catch (error) {
    throw new SettingError("MAIL_FROM", (error as Error).message);
  }
}

/** Secrets of Standard Webhooks, separated by spaces: several while one replaces another. */
export function readSecrets(text: string): string[] {
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
export function readRetention(text: string): Retention {
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

/** Rate limits by type. */
export function readRates(text: string): Record<string, string> {
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

/** A number of each type: `csv_processing=4`, separated by commas. */
export function readCounts(name: string, text: string, digits: number): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const part of text.split(",").map((part) => part.trim()).filter(Boolean)) {
    const match = /^([a-z][a-z0-9_]*)=([1-9]\d*)$/.exec(part);
    if (!match || match[2].length > digits) throw new SettingError(name, `"${part}" is not type=number.`);
    counts[match[1]] = Number(match[2]);
  }
  return counts;
}

/** The address of a project at Sentry. It holds a key and is never repeated. */
export function readDsn(text: string): string | undefined {
  if (text === "") return undefined;
  const url = URL.parse(text);
  if (url && /^https?:$/.test(url.protocol) && url.username && /\/\d+$/.test(url.pathname)) return text;
  throw new SettingError("SENTRY_DSN", "this is not the DSN of a project: https://key@host/number.");
}

/** Rules of alerts as JSON, as the API takes them. */
export function readAlertRules(text: string): RuleInput[] {
  if (text === "") return [];
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new SettingError("ALERT_RULES", `this is not JSON: ${(error as Error).message}`);
  }
  const parsed = z.array(ruleSchema).max(100).safeParse(value);
  if (parsed.success) return parsed.data;
  const [{ pointer, detail }] = issuesOf(parsed.error, "");
  throw new SettingError("ALERT_RULES", `${pointer || "/"}: ${detail}`);
}

/** The lowest level that is written, and those of some modules: `info,store=debug`. */
export function readLogLevels(text: string): { level: LogLevel; levels: Record<string, LogLevel> } {
  let level: LogLevel = "info";
  const levels: Record<string, LogLevel> = {};
  for (const part of text.split(",").map((part) => part.trim()).filter(Boolean)) {
    const match = /^(?:([a-z]+)=)?([a-z]+)$/.exec(part);
    const named = LOG_LEVELS.find((one) => one === match?.[2]);
    if (!match || !named) {
      throw new SettingError("LOG_LEVEL", `"${part}" is not one of ${LOG_LEVELS.join(", ")}, nor module=level.`);
    }
    if (match[1] === undefined) level = named;
    else if ((LOG_MODULES as readonly string[]).includes(match[1])) levels[match[1]] = named;
    else throw new SettingError("LOG_LEVEL", `"${match[1]}" is not one of the modules ${LOG_MODULES.join(", ")}.`);
  }
  return { level, levels };
}
