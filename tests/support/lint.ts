/**
 * The rules of the architecture as a lint plugin: which room may import which, and who alone may touch time and the
 * store.
 *
 * @module
 */

const ROOT = new URL("../../", import.meta.url).pathname;

/** The first folder below the root, or the file's own name at the root. */
function roomOf(path: string): string {
  return path.replace(/\\/g, "/").replace(ROOT, "").split("/")[0];
}

/** For each room, the rooms that it may import. */
const IMPORTS: Record<string, (target: string) => boolean> = {
  queue: (target) => roomOf(target) === "queue",
  routes: (target) => ["routes", "queue", "islands"].includes(roomOf(target)),
  islands: (target) => roomOf(target) === "islands" || target.endsWith("/queue/task.ts"),
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
          if (!allowed(target)) context.report({ node, message: `${room}/ may not import ${source}.` });
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
        if (!isProduct(context) || roomOf(context.filename) === "islands" || endsWith(context, "queue/clock.ts")) {
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
        if (!isProduct(context) || endsWith(context, "queue/commit.ts")) return {};
        const message = "Only queue/commit.ts writes to the store.";
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
        if (!isProduct(context) || endsWith(context, "main.ts") || endsWith(context, "store/check_store.ts")) return {};
        return {
          'MemberExpression[property.name="openKv"]': (node) =>
            context.report({ node, message: "Only main.ts opens the store." }),
        };
      },
    },
  },
};

export default plugin;
