/**
 * Keeps the rules of alerts, looks at them, and tells when one begins or stops to be met.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { RoleLease } from "../background/role_lease.ts";
import type { Core } from "../core.ts";
import { emptyChangeset, merge } from "../store/changeset.ts";
import { decode, encode } from "../store/codec.ts";
import { keys } from "../store/keys.ts";
import type { Submitter } from "../submit/submit.ts";
import { repeat, type Repeating } from "../task/clock.ts";
import { IllegalTransitionError, InvalidInputError, NotFoundError } from "../task/errors.ts";
import { isId, newId } from "../task/ids.ts";
import type { Json, TaskState } from "../task/record.ts";
import { type Disk, type Finding, Look, type Sources } from "./conditions.ts";
import { ALERT_TYPE, CALM, type Channel, type Notice, type Rule, type RuleInput, type RuleState } from "./rule.ts";

/** How often rules are looked at, in milliseconds. */
export const LOOK_MS = 15_000;
/** Where there were no rules, the next look is this many turns later: a read is not free everywhere. */
const IDLE_TURNS = 8;
/** The most rules. */
const MAX_RULES = 100;
/** The most rules whose change is kept in one atomic: each needs a check, and KV Connect allows ten. */
const MAX_CHANGES = 8;

/** What alerts need beside the queue. */
export interface AlertOptions {
  /** Rules that the settings have. */
  rules?: RuleInput[];
  /** How full the store's disk is. Default: it is not on a disk. */
  disk?: Disk;
}

/** Keeps and watches rules. */
export class Alerts {
  readonly #core: Core;
  readonly #submitter: Submitter;
  readonly #sources: Sources;
  readonly #fixed: Rule[];
  readonly #role: RoleLease;
  #job: Repeating | null = null;
  /** How many rules there were last. */
  #known = 0;

  /** @ignore */
  constructor(
    core: Core,
    submitter: Submitter,
    sources: Pick<Sources, "schedules" | "pauses">,
    { rules = [], disk = () => Promise.resolve(null) }: AlertOptions = {},
  ) {
    this.#core = core;
    this.#submitter = submitter;
    this.#sources = { core, disk, ...sources };
    this.#fixed = rules.map((rule) => ({ ...rule, id: fixedId(rule), created_by: null }));
    this.#role = new RoleLease(core, "alerts");
  }

  /** Starts to watch. */
  start(): void {
    let turns = 0;
    const turn = async () => {
      // What was made here is looked at in the next turn.
      if (this.#known > 0 || turns++ % IDLE_TURNS === 0) await this.look();
    };
    this.#job = repeat(this.#core.clock, LOOK_MS, turn, (error) => {
      this.#core.log.warn("Alert rules could not be looked at; will retry.", { error });
    });
  }

  /** Stops, and waits for a look under way. */
  async stop(): Promise<void> {
    await this.#job?.stop();
  }

  /** All rules: those of the settings first, then the others, oldest first. */
  async list(): Promise<Rule[]> {
    const made = await Array.fromAsync(
      this.#core.kv.list({ prefix: keys.alertRules() }),
      ({ value }) => decode<Rule>(value),
    );
    return [...this.#fixed, ...made];
  }

  /** The state of each rule, by its id. */
  async states(): Promise<Map<string, RuleState>> {
    const entries = await this.#stateEntries();
    return new Map([...entries].map(([id, { value }]) => [id, decode<RuleState>(value)]));
  }

  async #stateEntries(): Promise<Map<string, Deno.KvEntry<unknown>>> {
    const entries = await Array.fromAsync(this.#core.kv.list({ prefix: keys.alertStates() }));
    return new Map(entries.map((entry) => [entry.key[1] as string, entry]));
  }

  /**
   * Makes a rule.
   *
   * @throws {InvalidInputError} If it names an unknown type, or there are too many.
   */
  async create(input: RuleInput, by: string): Promise<Rule> {
    const refuse = (pointer: string, detail: string) => new InvalidInputError([{ pointer, detail }]);
    const type = "task_type" in input.when ? input.when.task_type : undefined;
    if (type !== undefined && !this.#core.registry.get(type)) throw refuse("/when/task_type", "Unknown task type.");
    if ((await this.list()).length >= MAX_RULES) throw refuse("", `There are ${MAX_RULES} rules already.`);
    const rule: Rule = { ...input, id: newId(this.#core.clock.now()), created_by: by };
    const changeset = emptyChangeset(`alert:${rule.id}`);
    changeset.puts.push({ key: keys.alertRule(rule.id), value: encode(rule) });
    await this.#core.committer.commit(changeset);
    this.#known++;
    return rule;
  }

  /**
   * Deletes a rule.
   *
   * @throws {NotFoundError} If there is none.
   * @throws {IllegalTransitionError} If the settings have it.
   */
  async delete(id: string): Promise<Rule> {
    const rule = await this.#get(id);
    if (rule.created_by === null) throw new IllegalTransitionError("This rule is in the settings (ALERT_RULES).");
    const changeset = emptyChangeset(`alert:${id}`);
    changeset.deletes.push(keys.alertRule(id), keys.alertState(id));
    await this.#core.committer.commit(changeset);
    return rule;
  }

  /**
   * Sends a test to everyone whom a rule tells.
   *
   * @returns The tasks that deliver it.
   * @throws {NotFoundError} If there is none.
   */
  async test(id: string): Promise<TaskState[]> {
    const { name, to } = await this.#get(id);
    const notice: Notice = { rule: name, kind: "test", detail: "This is a test: nothing is wrong." };
    const made = await Promise.all(to.map((channel) => this.#delivery(channel, [notice])));
    const changeset = emptyChangeset(`alert:${id}`);
    for (const one of made) merge(changeset, one.changeset);
    await this.#core.committer.commit(changeset);
    return made.map(({ state }) => state);
  }

  async #get(id: string): Promise<Rule> {
    const fixed = this.#fixed.find((rule) => rule.id === id);
    const stored = !fixed && isId(id) ? (await this.#core.kv.get(keys.alertRule(id))).value : null;
    if (!fixed && !stored) throw new NotFoundError(`Alert rule ${id.slice(0, 64)}`);
    return fixed ?? decode<Rule>(stored);
  }

  #delivery(channel: Channel, notices: Notice[]) {
    const input_params = { channel, notices } as unknown as Json;
    return this.#submitter.prepare({ task_type: ALERT_TYPE, input_params, tags: ["alert"] }, true);
  }

  /** Looks at all rules once: what has changed is remembered and told in one atomic, or a few if it is much. */
  async look(): Promise<void> {
    const rules = await this.list();
    this.#known = rules.length;
    if (rules.length === 0 || !this.#core.registry.get(ALERT_TYPE) || !await this.#role.isMine()) return;
    const look = new Look(this.#sources);
    const now = this.#core.clock.now();
    const told = new Map<string, { channel: Channel; notices: Notice[] }>();
    let changeset = emptyChangeset("alerts");
    const keep = async () => {
      for (const { channel, notices } of told.values()) {
        merge(changeset, (await this.#delivery(channel, notices)).changeset);
      }
      // On conflict another instance has looked at the same time.
      if (changeset.puts.length + changeset.deletes.length > 0) {
        await this.#core.committer.commitUnlessConflict(changeset);
      }
      told.clear();
      changeset = emptyChangeset("alerts");
    };
    const states = await this.#stateEntries();
    const known = new Set(rules.map(({ id }) => id));
    // What is left of rules that are gone from the settings.
    for (const id of states.keys()) if (!known.has(id)) changeset.deletes.push(keys.alertState(id));
    for (const rule of rules) {
      if (changeset.checks.length === MAX_CHANGES) await keep();
      let found: Finding[];
      try {
        found = await look.wrong(rule);
      } catch (error) {
        // The other rules are looked at all the same.
        this.#core.log.warn("An alert rule could not be looked at; will retry.", { error, rule: rule.name });
        continue;
      }
      const key = keys.alertState(rule.id);
      const entry = states.get(rule.id);
      const before = entry ? decode<RuleState>(entry.value) : CALM;
      const after = nextState(before, found, now, rule.window * 1000);
      if (after === before) continue;
      changeset.checks.push({ key, versionstamp: entry?.versionstamp ?? null });
      changeset.puts.push({ key, value: encode(after) });
      const kind = after.told_at !== before.told_at ? "alarm" : before.told && !after.firing ? "recovery" : null;
      if (!kind) continue;
      this.#core.log[kind === "alarm" ? "warn" : "info"](
        `An alert rule ${kind === "alarm" ? "is met" : "is no longer met"}.`,
        {
          rule: rule.name,
          detail: after.detail,
        },
      );
      for (const channel of rule.to) {
        const group = told.get(JSON.stringify(channel)) ?? { channel, notices: [] };
        group.notices.push({ rule: rule.name, kind, detail: after.detail });
        told.set(JSON.stringify(channel), group);
      }
    }
    await keep();
  }
}

/** The id of a rule of the settings: it changes with the rule, so that none has the state of another. */
function fixedId(rule: RuleInput): string {
  return `setting-${createHash("sha256").update(JSON.stringify(rule)).digest("hex").slice(0, 12)}`;
}

/** The state of a rule after a look; the very same if nothing has changed. */
export function nextState(before: RuleState, found: Finding[], now: number, windowMs: number): RuleState {
  if (found.length === 0) {
    return before.firing ? { ...before, firing: false, since: now, told: false, about: [], told_about: [] } : before;
  }
  const about = found.map(({ about }) => about).sort();
  const isNew = about.some((one) => !before.told_about.includes(one));
  const isChanged = !before.firing || about.join("\n") !== before.about.join("\n");
  const mayTell = before.told_at === null || now - before.told_at >= windowMs;
  if (!isChanged && !(isNew && mayTell)) return before;
  const detail = found.map(({ text }) => text).join("\n").slice(0, 2_000);
  const after = { ...before, firing: true, since: before.firing ? before.since : now, detail, about };
  // What is told too soon after the last time is told later, if it is still so.
  return isNew && mayTell ? { ...after, told: true, told_at: now, told_about: about } : after;
}
