/**
 * The log of a task. Only the visible lines are rendered, however many there are.
 *
 * @module
 */

import { LOG_PAGE } from "../../queue/task/limits.ts";
import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Task } from "../../queue/task/summary.ts";
import { actions } from "../app/actions.ts";
import { clockTime, count, number } from "../app/format.ts";
import type { LogEvent, LogGap, Store } from "../app/state.ts";
import { addEarlier, LOG_LINES } from "../app/store.ts";

/** Height of a line that is not wrapped, in pixels: as in the style sheet. */
const LINE_PX = 20;
/** Lines rendered beyond the visible ones. */
const OVERSCAN = 60;
/** Wrapped lines differ in height, so only this many of the newest are rendered. */
const WRAPPED = 1_000;
/** Lines in the server's page, which has no script to render only the visible ones. */
const SERVED = 200;
const EARLIER = LOG_PAGE.max;

// deno-lint-ignore no-control-regex
const ESCAPES = /\u001b\[[0-9;?]*[ -/]*[@-~]|[\u0000-\u0008\u000b-\u001f\u007f]/g;

/** A line without terminal escape sequences. */
export function plain(text: string): string {
  return text.replaceAll(ESCAPES, "");
}

function lineId({ attempt, line }: LogEvent): string {
  return `L${attempt}-${line + 1}`;
}

/** Whether a line comes after a position such as `1:500`. */
function isAfter({ attempt, line }: LogEvent, position: string): boolean {
  const [at, number] = position.split(":").map(Number);
  return attempt > at || attempt === at && line > number;
}

/** A position for display: lines are counted from one. */
function shownAt(position: string): string {
  const [attempt, line] = position.split(":").map(Number);
  return `line ${number(line + 1)}${attempt > 1 ? ` of attempt ${attempt}` : ""}`;
}

/** The log, with tools to search and filter it. */
export function Log({ task, store }: { task: Task; store: Store }): JSX.Element {
  const [text, setText] = useState("");
  const [level, setLevel] = useState("");
  const [attempt, setAttempt] = useState(0);
  const [wrap, setWrap] = useState(false);
  const [follow, setFollow] = useState(true);
  const [aloud, setAloud] = useState(false);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(400);
  /** The id of the first line, once known; otherwise whether more can be, or is being, loaded. */
  const [earlier, setEarlier] = useState<"more" | "reading" | string>("more");
  const [seen, setSeen] = useState(store.log.value.length);
  const box = useRef<HTMLDivElement>(null);
  const all = store.log.value;
  const wanted = text.toLowerCase();
  const lines = wanted || level || attempt
    ? all.filter((line) =>
      (!level || line.level === level) && (!attempt || line.attempt === attempt) &&
      (!wanted || line.text.toLowerCase().includes(wanted))
    )
    : all;
  const style = store.preferences.value.time;
  // The first render matches the server's for hydration; virtual scrolling needs heights.
  const [served, setServed] = useState(true);
  useEffect(() => setServed(false), []);
  const first = all[0];
  const gaps = store.gaps.value;
  // Lines dropped at the top since then can be loaded again.
  const isWhole = first === undefined || (first.attempt <= 1 && first.line === 0) || earlier === lineId(first);
  const complete = isWhole && gaps.length === 0;

  // If scrolled to the end, stay at the end as lines are added.
  useLayoutEffect(() => {
    const { current } = box;
    if (current && follow) {
      current.scrollTop = current.scrollHeight;
      setSeen(all.length);
    }
  }, [all.length, lines.length, follow, wrap, served]);
  useEffect(() => {
    const { current } = box;
    if (!current) return;
    const observer = new ResizeObserver(() => setHeight(current.clientHeight));
    observer.observe(current);
    return () => observer.disconnect();
  }, []);
  // Where there is little room, no line is cut.
  useEffect(() => {
    if (innerWidth <= 480) setWrap(true);
  }, []);
  // A link to a line is followed once.
  useEffect(() => {
    const match = /^#L(\d+)-(\d+)$/.exec(location.hash);
    if (!match || served) return;
    const at = lines.findIndex((line) => line.attempt === Number(match[1]) && line.line === Number(match[2]) - 1);
    if (at < 0 || !box.current) return;
    setFollow(false);
    box.current.scrollTop = at * LINE_PX - 100;
  }, [served]);

  const readEarlier = async (gap: LogGap | null) => {
    setEarlier("reading");
    setFollow(false);
    // New lines must not push out the line that the answer is inserted before.
    store.logLimit.value = Math.max(store.logLimit.value, all.length + EARLIER + LOG_LINES);
    const from = box.current!.scrollHeight - box.current!.scrollTop;
    const before = gap?.before ?? `${first!.attempt}:${first!.line}`;
    const query = new URLSearchParams({ before, limit: String(EARLIER) });
    const answer = await fetch(`api/tasks/${task.id}/logs?${query}`).catch(() => null);
    if (!answer?.ok) return setEarlier("more");
    const body: { lines: Omit<LogEvent, "kind">[] } = await answer.json();
    const read = body.lines.map((line): LogEvent => ({ kind: "log", ...line }));
    const inGap = gap ? read.filter((line) => isAfter(line, gap.after)) : read;
    addEarlier(store, inGap, gap, inGap.length < EARLIER);
    const [top] = store.log.value;
    setEarlier(!gap && read.length < EARLIER ? lineId(top) : "more");
    // Keep the visible lines in view.
    requestAnimationFrame(() => {
      if (box.current) box.current.scrollTop = box.current.scrollHeight - from;
    });
  };

  const from = served || wrap
    ? Math.max(0, lines.length - (wrap ? WRAPPED : SERVED))
    : Math.max(0, Math.floor(top / LINE_PX) - OVERSCAN);
  const last = served || wrap ? lines.length : Math.min(lines.length, Math.ceil((top + height) / LINE_PX) + OVERSCAN);
  const attempts = [...new Set(all.map((line) => line.attempt))];
  const unseen = all.length - seen;
  return (
    <section class="log-view" aria-label="Log">
      <div class="log-tools js">
        <label class="hidden" for="log-text">Find in the log</label>
        <input
          id="log-text"
          type="search"
          placeholder="Find"
          value={text}
          onInput={({ currentTarget }) => setText(currentTarget.value)}
        />
        <label class="hidden" for="log-level">Level</label>
        <select id="log-level" value={level} onChange={({ currentTarget }) => setLevel(currentTarget.value)}>
          <option value="">All levels</option>
          <option value="info">info</option>
          <option value="warn">warn</option>
          <option value="error">error</option>
        </select>
        {attempts.length > 1 && (
          <>
            <label class="hidden" for="log-attempt">Attempt</label>
            <select
              id="log-attempt"
              value={attempt}
              onChange={({ currentTarget }) => setAttempt(Number(currentTarget.value))}
            >
              <option value={0}>All attempts</option>
              {attempts.map((n) => <option key={n} value={n}>Attempt {n}</option>)}
            </select>
          </>
        )}
        <button type="button" class="quiet" aria-pressed={wrap} onClick={() => setWrap(!wrap)}>Wrap</button>
        {task.completed_at === null && (
          <>
            <button type="button" class="quiet" data-follow aria-pressed={follow} onClick={() => setFollow(!follow)}>
              Follow
            </button>
            <button type="button" class="quiet" aria-pressed={aloud} onClick={() => setAloud(!aloud)}>
              Announce new lines
            </button>
          </>
        )}
        <button
          type="button"
          class="quiet"
          onClick={() => actions().copy(lines.map((line) => plain(line.text)).join("\n"), "The log")}
        >
          Copy
        </button>
      </div>
      <p class="result-line">
        <span class="muted">
          {wanted || level || attempt
            ? `${count(lines.length, "line")} of ${number(all.length)} match`
            : count(all.length, "line")}
          {complete ? "" : " so far"}
        </span>
        <a href={`api/tasks/${task.id}/logs.txt`} download={`${task.id}.log`}>Download the whole log</a>
      </p>
      {gaps.map((gap) => (
        <p key={gap.before} class="banner js">
          The lines between {shownAt(gap.after)} and {shownAt(gap.before)} are not loaded.
          <button type="button" disabled={earlier === "reading"} onClick={() => void readEarlier(gap)}>
            Load these lines
          </button>
        </p>
      ))}
      {!isWhole && (
        <button
          type="button"
          class="js quiet"
          disabled={earlier === "reading"}
          onClick={() => void readEarlier(null)}
        >
          {earlier === "reading" ? "Loading…" : "Load earlier"}
        </button>
      )}
      {all.length === 0 ? <p class="muted">No log lines{task.status === "PENDING" ? " yet" : ""}.</p> : (
        <div
          ref={box}
          class={wrap ? "log wrap" : "log"}
          role="log"
          aria-live={aloud ? "polite" : "off"}
          aria-label="Log lines"
          tabIndex={0}
          onScroll={({ currentTarget }) => {
            const { scrollTop, scrollHeight, clientHeight } = currentTarget;
            setTop(scrollTop);
            const atEnd = scrollHeight - scrollTop - clientHeight < LINE_PX;
            if (atEnd !== follow) setFollow(atEnd);
          }}
        >
          {!served && !wrap && <div style={{ height: `${from * LINE_PX}px` }} />}
          {lines.slice(from, last).map((line) => (
            <div key={lineId(line)} id={lineId(line)} class={`line ${line.level}`}>
              <a href={`#${lineId(line)}`} class="line-number">{line.line + 1}</a>
              <span class="muted">{clockTime(Date.parse(line.at), style)}</span>
              {line.level !== "info" && <strong>{line.level}</strong>}
              <Text text={plain(line.text)} wrap={wrap} />
            </div>
          ))}
          {!served && !wrap && <div style={{ height: `${(lines.length - last) * LINE_PX}px` }} />}
        </div>
      )}
      {!follow && (
        <button type="button" class="js jump" onClick={() => setFollow(true)}>
          Jump to latest{unseen > 0 ? ` · ${number(unseen)} new` : ""}
        </button>
      )}
    </section>
  );
}

/** The text of a line; of several lines the first, unless it is wrapped. */
function Text({ text, wrap }: { text: string; wrap: boolean }): JSX.Element {
  const end = text.indexOf("\n");
  if (end < 0 || wrap) return <span class="line-text">{text}</span>;
  return (
    <span class="line-text" title={text.slice(0, 2_000)}>
      {text.slice(0, end)} <span class="muted">⏎ {count(text.split("\n").length - 1, "more line")}</span>
    </span>
  );
}
