/**
 * Handles the page's plain forms, without JavaScript: submit with files, example, cancel, retry. Each redirects to the
 * view that shows the result; errors are shown at their fields.
 *
 * @module
 */

import { Hono } from "hono";
import { SUBMIT_OPTIONS } from "../../islands/form/schema/submit_options.ts";
import { checkFields, readFields } from "../../islands/form/schema/read_fields.ts";
import type { Schema } from "../../islands/form/schema/schema.ts";
import { HOME, hrefOf } from "../../islands/app/url.ts";
import { REDO_ONLY } from "../../queue/define.ts";
import { paramsSchema } from "../../queue/params.ts";
import { IllegalTransitionError, InvalidInputError, NotFoundError, TooLargeError } from "../../queue/task/errors.ts";
import { fingerprint } from "../../queue/submit/deduplication.ts";
import { assertType, requireRole } from "../access/auth.ts";
import { withBase } from "../http/address.ts";
import { readForm } from "../http/body.ts";
import { addIssues, readerOf, readParams, readSentForm } from "./form_body.ts";
import type { AppEnv, AppOptions } from "../env.ts";
import type { Pages } from "./pages.tsx";
import type { Quotas } from "../limits/quotas.ts";
import { Problem } from "../http/problem.ts";
import { parseSubmission, toSubmission } from "../../queue/submit/submission.ts";
import { returnTo } from "./return_to.ts";

/** The routes that forms post to. */
export function pageFormRoutes(options: AppOptions, pages: Pages, quotas: Quotas): Hono<AppEnv> {
  const { queue, clock, publicUrl } = options;
  const app = new Hono<AppEnv>({ strict: false });

  app.post("/tasks", requireRole("operator"), async (c) => {
    const sent = await readSentForm(c, options, quotas);
    const one = (name: string) => sent.fields.get(name)?.[0];
    const type = one("task_type") ?? "";
    const definition = queue.registry.get(type);
    if (!definition || definition.internal) {
      throw new Problem(422, "invalid_input", `There is no task type ${type.slice(0, 64)}.`);
    }
    assertType(c, type);
    const schema = paramsSchema(definition) as Schema;
    const { values: input_params, texts, errors } = readParams(sent, schema);
    const more = readFields(SUBMIT_OPTIONS, readerOf(sent), errors);
    checkFields(SUBMIT_OPTIONS, more, errors);
    const from = one("retried_from");
    if (Object.keys(errors).length === 0) {
      const body = { task_type: type, input_params, ...more, ...from ? { retried_from: from } : {} };
      const key = one("idempotency_key")?.slice(0, 200);
      try {
        const parsed = parseSubmission(body);
        await quotas.takeTasks(c, [type]);
        const { task } = await queue.submit(
          { ...toSubmission(parsed, clock.now()), submitted_by: c.get("principal").name },
          // The same form sent twice is one task, though its file was stored twice.
          key
            ? { scope: `form:${c.get("principal").name}`, key, body: fingerprint([type, texts, sent.hashes]) }
            : undefined,
        );
        c.set("target", task.task.id);
        return c.redirect(withBase(hrefOf(HOME, { task: task.task.id }), publicUrl), 303);
      } catch (error) {
        if (error instanceof TooLargeError) errors[""] = error.message;
        else if (error instanceof InvalidInputError) addIssues(errors, error.issues, texts);
        else throw error;
      }
    }
    const query = new URLSearchParams({ new: type, ...from ? { from } : {} });
    return c.html(
      await pages.render(await pages.read(c, query, { texts: { ...texts, data: one("data") ?? "" }, errors })),
      422,
    );
  });

  app.post("/examples", requireRole("operator"), async (c) => {
    const type = (await readForm(c)).get("task_type") ?? "";
    const definition = queue.registry.public().find((one) => one.type === type);
    if (!definition?.example) throw new NotFoundError(`An example of ${type.slice(0, 64)}`);
    assertType(c, type);
    await quotas.takeTasks(c, [type]);
    const submitted_by = c.get("principal").name;
    const { task } = await queue.submit({ task_type: type, input_params: definition.example, submitted_by });
    c.set("target", task.task.id);
    return c.redirect(withBase(hrefOf(HOME, { task: task.task.id }), publicUrl), 303);
  });

  for (const action of ["cancel", "retry"] as const) {
    app.post(`/tasks/:id/${action}`, requireRole("operator"), async (c) => {
      const form = await readForm(c);
      const back = form.get("back");
      const only = REDO_ONLY.find((each) => each === form.get("only"));
      const { name } = c.get("principal");
      try {
        const { task_type } = (await queue.get(c.req.param("id"))).task;
        assertType(c, task_type);
        if (action === "cancel") await queue.cancel(c.req.param("id"), name);
        else {
          await quotas.takeTasks(c, [task_type]);
          if (only) {
            const { task } = await queue.redo(c.req.param("id"), only, name);
            return c.redirect(withBase(hrefOf(HOME, { task: task.id }), publicUrl), 303);
          }
          await queue.retry(c.req.param("id"), "checkpoint", name);
        }
      } catch (error) {
        // The task has changed in the meantime: the next view shows its state.
        if (!(error instanceof IllegalTransitionError)) throw error;
      }
      return c.redirect(withBase(returnTo(back), publicUrl), 303);
    });
  }

  return app;
}
