/**
 * The rules of the architecture as a lint plugin: which room may import which, and who alone may touch time and the
 * store.
 *
 * @module
 */

const ROOT = new URL("../../..", import.meta.url).pathname;

/** A path below the root, with `/` on every system. */
function pathOf(file: string): string {
  return file.replaceAll("\\", "/").replace(ROOT, "");
}

/** The first folder of a path, or the file's own name at the root. */
function roomOf(file: string): string {
  return pathOf(file).split("/")[0];
}

/** For each room of `queue/`, the other rooms that it may import. What lies beside the rooms is for all but `task/`. */
const QUEUE_ROOMS: Record<string, string[]> = {
  task: [],
  store: ["task"],
  watch: ["store", "task"],
  submit: ["store", "task"],
  run: ["watch", "store", "task"],
  actions: ["submit", "run", "watch", "store", "task"],
  background: ["actions", "submit", "run", "watch", "store", "task"],
  access: ["store", "task"],
  alerts: ["background", "actions", "submit", "watch", "store", "task"],
  workers: ["task"],
  // Of `alerts/` what a rule is: there is a handler that delivers what it says.
  handlers: ["workers", "alerts", "task"],
  tools: ["actions", "run", "submit", "watch", "store", "task"],
};
/** Files of `queue/` that put rooms together: no room imports them. */
const COMPOSERS = ["queue/queue.ts", "queue/mod.ts"];

/** Whether a file may import another one of `queue/`. */
function mayImportInQueue(file: string, target: string): boolean {
  const room = pathOf(file).split("/")[1];
  if (!(room in QUEUE_ROOMS)) return true;
  if (COMPOSERS.includes(pathOf(target))) return false;
  const other = pathOf(target).split("/")[1];
  return other === room || (other in QUEUE_ROOMS ? QUEUE_ROOMS[room].includes(other) : room !== "task");
}

/** For each top room, what its files may import. */
const IMPORTS: Record<string, (target: string, file: string) => boolean> = {
  queue: (target, file) => roomOf(target) === "queue" && mayImportInQueue(file, target),
  routes: (target) => ["routes", "queue", "islands"].includes(roomOf(target)),
  islands: (target) => roomOf(target) === "islands" || pathOf(target).startsWith("queue/task/"),
};

function endsWith(context: Deno.lint.RuleContext, name: string): boolean {
  return context.filename.replace(/\\/g, "/").endsWith(`/${name}`);
}

function isProduct(context: Deno.lint.RuleContext): boolean {
  return ["queue", "routes", "islands", "main.ts"].includes(roomOf(context.filename));
}

const plugin: Deno.lint.Plugin = {
  name: "millrace",
  rules: {
    "import-direction": {
      create(context) {
        const room = roomOf(context.filename);
        const allowed = IMPORTS[room];
        const check = (node: Deno.lint.Node, source: string) => {
          if (!allowed || !source.startsWith(".")) return;
          const target = new URL(source, `file://${context.filename}`).pathname;
          if (!allowed(target, context.filename)) context.report({ node, message: `This may not import ${source}.` });
        };
        return {
          ImportDeclaration: (node) => check(node, node.source.value),
          ExportNamedDeclaration: (node) => node.source && check(node, node.source.value),
          ExportAllDeclaration: (node) => check(node, node.source.value),
        };
      },
    },
    "only-a-clock-tells-the-time": {
      create(context) {
        // The page has the browser's own time; islands/ never runs in tests with a fake clock.
        if (!isProduct(context) || roomOf(context.filename) === "islands" || endsWith(context, "queue/task/clock.ts")) {
          return {};
        }
        const message = "Only a Clock tells the time: take one as a parameter.";
        return {
          "CallExpression[callee.name=/^set(Timeout|Interval)$/]": (node) => context.report({ node, message }),
          'CallExpression[callee.object.name=/^(Date|performance)$/][callee.property.name="now"]': (node) =>
            context.report({ node, message }),
          'NewExpression[callee.name="Date"][arguments.length=0]': (node) => context.report({ node, message }),
        };
      },
    },
    "only-commit-commits": {
      create(context) {
        if (!isProduct(context) || pathOf(context.filename).startsWith("queue/store/commit/")) return {};
        const message = "Only queue/store/commit/ writes to the store.";
        return {
          'CallExpression[callee.property.name="atomic"]': (node) => context.report({ node, message }),
          "CallExpression[callee.property.name=/^(set|delete|enqueue|sum)$/]": (node) => {
            const text = context.sourceCode.getText(node);
            if (/^(this\.)?#?kv\.|\.#kv\./.test(text)) context.report({ node, message });
          },
        };
      },
    },
    "exports-are-documented": {
      create(context) {
        if (!isProduct(context)) return {};
        return {
          ExportNamedDeclaration(node) {
            if (!node.declaration) return;
            const documented = context.sourceCode.getCommentsBefore(node).some(({ value }) => value.startsWith("*"));
            if (!documented) context.report({ node, message: "An export says what it is for in a doc comment." });
          },
        };
      },
    },
    "only-main-opens-kv": {
      create(context) {
        // The check of a store is a program of its own.
        if (
          !isProduct(context) ||
          ["main.ts", "tools/check_store.ts", "tools/migrate.ts"].some((name) => endsWith(context, name))
        ) return {};
        return {
          'MemberExpression[property.name="openKv"]': (node) =>
            context.report({ node, message: "Only main.ts opens the store." }),
        };
      },
    },
  },
};

export default plugin;
