/**
 * The tasks that the open one depends on and that depend on it: as a tree in both directions, and as a graph of all of
 * them.
 *
 * @module
 */

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Task, TaskGraph } from "../../queue/task/summary.ts";
import { actions } from "../app/actions.ts";
import { count, shortId } from "../app/format.ts";
import { problemOf, reasonOf } from "../app/navigate.ts";
import type { Store } from "../app/state.ts";
import { hrefOf } from "../app/url.ts";
import { StatusBadge } from "../list/status.tsx";

type Node = TaskGraph["tasks"][number];

/** The graph is read again this often while it is in sight. Milliseconds. */
const READ_MS = 5_000;

/** How far each task is from those that depend on nothing: one more than the farthest of those that it depends on. */
export function levelsOf(tasks: Node[]): Map<string, number> {
  const levels = new Map<string, number>();
  // A task is submitted after, or in one batch in any order with, those that it depends on.
  for (let changed = true; changed;) {
    changed = false;
    for (const { id, depends_on } of tasks) {
      const level = Math.max(0, ...depends_on.map((parent) => (levels.get(parent) ?? -1) + 1));
      if (levels.get(id) !== level) changed = !!levels.set(id, level);
    }
  }
  return levels;
}

const [COLUMN, ROW, RADIUS] = [72, 28, 7];

function Picture({ graph, store }: { graph: TaskGraph; store: Store }): JSX.Element {
  const levels = levelsOf(graph.tasks);
  const rows: number[] = [];
  const places = new Map(graph.tasks.map(({ id }) => {
    const level = levels.get(id)!;
    rows[level] = (rows[level] ?? 0) + 1;
    return [id, { x: level * COLUMN + 16, y: rows[level] * ROW - 12 }];
  }));
  const width = rows.length * COLUMN - COLUMN + 32;
  const height = Math.max(...rows) * ROW;
  return (
    <div class="scroll" tabIndex={-1}>
      <svg
        class="graph"
        width={width}
        height={height}
        viewBox={`0 0 ${width} ${height}`}
        role="img"
        aria-label={`${count(graph.tasks.length, "task")} in ${count(rows.length, "step")}; the tree below names them`}
      >
        {graph.tasks.flatMap(({ id, depends_on }) =>
          depends_on.filter((parent) => places.has(parent)).map((parent) => {
            const [from, to] = [places.get(parent)!, places.get(id)!];
            const middle = (from.x + to.x) / 2;
            return (
              <path
                key={parent + id}
                d={`M${from.x} ${from.y}C${middle} ${from.y} ${middle} ${to.y} ${to.x} ${to.y}`}
              />
            );
          })
        )}
        {graph.tasks.map(({ id, title, status }) => {
          const { x, y } = places.get(id)!;
          const isOpen = id === store.view.value.task;
          return (
            <circle
              key={id}
              cx={x}
              cy={y}
              r={isOpen ? RADIUS + 2 : RADIUS}
              class={`${status.toLowerCase()}${isOpen ? " here" : ""}`}
              onClick={() => actions().open(id)}
            >
              <title>{`${title}: ${status}`}</title>
            </circle>
          );
        })}
      </svg>
    </div>
  );
}

/** Levels of a tree that are shown at once. */
const DEPTH = 6;

function Tree({ ids, next, nodes, store, depth = 0 }: {
  ids: string[];
  next: (id: string) => string[];
  nodes: ReadonlyMap<string, Node>;
  store: Store;
  depth?: number;
}): JSX.Element | null {
  if (ids.length === 0) return null;
  if (depth === DEPTH) return <p class="muted">and more, see the graph</p>;
  return (
    <ul class="branch">
      {ids.map((id) => {
        const node = nodes.get(id);
        return (
          <li key={id}>
            {node
              ? (
                <span class="line">
                  <StatusBadge status={node.status} />
                  <a href={hrefOf(store.view.value, { task: id })}>{node.title}</a>
                </span>
              )
              : <span class="muted">task {shortId(id)}, deleted</span>}
            <Tree ids={next(id)} next={next} nodes={nodes} store={store} depth={depth + 1} />
          </li>
        );
      })}
    </ul>
  );
}

/** What the open task depends on, and what depends on it. */
export function Dependencies({ task, store }: { task: Task; store: Store }): JSX.Element {
  const [graph, setGraph] = useState<TaskGraph | null>(null);
  const [failed, setFailed] = useState<string | null>(null);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout>;
    let gone = false;
    const read = async () => {
      if (!document.hidden && store.paused.value === null) {
        try {
          const answer = await fetch(`api/tasks/${task.id}/graph`);
          if (!answer.ok) throw new Error(await problemOf(answer));
          const found: TaskGraph = await answer.json();
          if (gone) return;
          setGraph(found);
          setFailed(null);
        } catch (error) {
          if (!gone) setFailed(reasonOf(error));
        }
      }
      if (!gone) timer = setTimeout(read, READ_MS);
    };
    void read();
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [task.id, task.status]);
  if (!graph) {
    return failed
      ? <p class="banner error">Could not load the dependencies: {failed}</p>
      : <p class="muted">{typeof document === "undefined" ? "This requires JavaScript." : "Loading…"}</p>;
  }
  if (graph.tasks.length + graph.deleted.length < 2) {
    return <p class="muted">It depends on no other task, and no task depends on it.</p>;
  }
  const nodes = new Map(graph.tasks.map((node) => [node.id, node]));
  const parents = (id: string) => nodes.get(id)?.depends_on ?? [];
  const children = (id: string) => graph.tasks.filter(({ depends_on }) => depends_on.includes(id)).map(({ id }) => id);
  const trees = [["Depends on", parents], ["Needed by", children]] as const;
  return (
    <>
      {graph.partial && <p class="note warn">Only a part is shown: there are too many tasks.</p>}
      <Picture graph={graph} store={store} />
      {trees.map(([title, next]) => (
        <section key={title}>
          <h3>{title}</h3>
          {next(task.id).length === 0 && <p class="muted">No task.</p>}
          <Tree ids={next(task.id)} next={next} nodes={nodes} store={store} />
        </section>
      ))}
    </>
  );
}
