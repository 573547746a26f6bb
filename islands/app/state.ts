/**
 * What the page holds: its lists, the open task, the form, the connection.
 *
 * @module
 */

import type { ReadonlySignal, Signal } from "@preact/signals";
import type { Caller, Stats, TaskHistoryEvent, TypeInfo } from "../../queue/task/api_types.ts";
import type { Json, Status } from "../../queue/task/record.ts";
import type { Task, TaskSummary } from "../../queue/task/summary.ts";
import type { TimeStyle } from "./format.ts";
import type { View } from "./url.ts";

/** What is wrong with a form, by JSON pointer; the empty pointer means the whole form. */
export type FormErrors = Record<string, string>;

/** Skipped log lines, between two positions (`attempt:line`) that are loaded. */
export interface LogGap {
  after: string;
  before: string;
}

/** A line of a task's log. */
export type LogEvent = Extract<TaskHistoryEvent, { kind: "log" }>;

/** The user's preferences; kept in a cookie, so that the server can render them too. */
export interface Preferences {
  theme: "system" | "light" | "dark";
  density: "comfortable" | "compact";
  time: TimeStyle;
  /** Whether single-key shortcuts are on. */
  shortcuts: boolean;
  announce: "all" | "errors" | "off";
}

/** What is known about the list, apart from its rows. */
export interface ListState {
  next_cursor: string | null;
  prev_cursor: string | null;
  total: number;
  total_capped: boolean;
  /** How many tasks a search has looked at; null: all. */
  searched: number | null;
  /** How many tasks each status has under the other filters, where the counters do not say it. */
  facets?: { by_status: Record<Status, number>; capped: boolean };
  /** The commit that the list reflects. */
  as_of: string;
  /** When it was read, milliseconds since the epoch, by the server's clock. */
  at: number;
  loading: boolean;
  /** Why the last reading failed. */
  error: string | null;
}

/** Everything that the page is rendered from. */
export interface PageData {
  types: TypeInfo[];
  stats: Stats;
  view: View;
  /** Parts of the URL that were not understood. */
  ignored: string[];
  tasks: TaskSummary[];
  list: Omit<ListState, "loading" | "error" | "at">;
  /** Time of the server, RFC 3339. */
  server_time: string;
  open: { task: Task; log: LogEvent[] } | { missing: string } | null;
  form: {
    /** The text of the fields of a rejected form, by JSON pointer. */
    texts: Record<string, string>;
    errors: FormErrors;
    idempotency_key: string;
    /** The task whose parameters fill the form. */
    source: { title: string; params: Record<string, Json> } | null;
  };
  caller: Caller;
  signed_in: boolean;
  preferences: Preferences;
  limits: { upload: number };
}

/** State of the connection to the server. */
export type Connection = "connecting" | "live" | "catching_up" | "reconnecting" | "polling" | "offline" | "signed_out";

/** The task in the details. */
export type Open = { task: Task } | { missing: string } | { loading: string } | { failed: string; id: string };

/** A message that stays until it is read. */
export interface Toast {
  id: number;
  kind: "done" | "error";
  text: string;
  link?: { href: string; text: string };
  details?: string[];
}

/** A question before something is done. */
export interface Question {
  title: string;
  lines: string[];
  /** The label of the button that does it. */
  yes: string;
  danger: boolean;
  /** The label of a text that may be entered with the answer. */
  field?: string;
  /** Takes the text, or null for no. */
  answer(text: string | null): void;
}

/** The state of the page. */
export interface Store {
  types: TypeInfo[];
  caller: Caller;
  signedIn: boolean;
  limits: PageData["limits"];
  view: Signal<View>;
  /** The address of the list alone, without what is open over it. */
  base: ReadonlySignal<string>;
  ignored: Signal<string[]>;
  /** One signal per row, so that a change redraws only its row. */
  rows: Map<string, Signal<Row>>;
  /** Ids of the rows, in the order in which they are shown. */
  order: Signal<string[]>;
  list: Signal<ListState>;
  /** New tasks that wait for the reader. */
  waiting: Signal<TaskSummary[]>;
  stats: Signal<Stats>;
  open: Signal<Open | null>;
  /** The open task, if it is there. */
  task: ReadonlySignal<Task | null>;
  log: Signal<LogEvent[]>;
  /** How many lines of it are kept: more, once earlier ones were asked for. */
  logLimit: Signal<number>;
  /** Gaps between the kept lines that were not loaded. */
  gaps: Signal<LogGap[]>;
  connection: Signal<Connection>;
  /** The last outage: since when, the number of attempts, and when the next one is. Server time. */
  outage: Signal<{ since: number; tries: number; next: number } | null>;
  /** When the user paused the page; null: it is live. */
  paused: Signal<number | null>;
  /** Changes that wait for the page to resume. */
  held: Signal<number>;
  /** Milliseconds since the epoch by the server's clock; moves once a second while what is shown is current. */
  now: Signal<number>;
  /** The same, but it never stops. */
  clock: Signal<number>;
  /** When the server was last heard from. */
  freshAt: Signal<number>;
  selected: Signal<ReadonlyMap<string, TaskSummary>>;
  /** Whether all that match are selected, not only those. */
  everything: Signal<boolean>;
  /** Requested actions that are not confirmed yet: by id, the verb and since when. */
  requested: Signal<ReadonlyMap<string, { verb: string; since: number }>>;
  toasts: Signal<Toast[]>;
  question: Signal<Question | null>;
  help: Signal<boolean>;
  preferences: Signal<Preferences>;
  /** What the two live regions say. */
  polite: Signal<string>;
  alert: Signal<string>;
  form: PageData["form"];
}

/** A row: the task, and whether it still belongs to the list. */
export interface Row {
  task: TaskSummary;
  matches: boolean;
}
