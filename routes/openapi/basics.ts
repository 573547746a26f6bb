/**
 * What the schemas of answers are made of.
 *
 * @module
 */

import * as z from "zod";
import { type Json, STATUSES } from "../../queue/task/record.ts";

/** Text that says something about a schema. */
export const about = <S extends z.ZodType>(schema: S, description: string): S => schema.meta({ description });

/** The id of a task, a schedule, an upload or a message. */
export const id = z.string().regex(/^[0-9A-HJKMNP-TV-Z]{26}$/).meta({ example: "01KB5T6Q3V8YJ4N0Z2M7R9XWCE" });
/** RFC 3339. */
export const time = z.string().meta({ format: "date-time", example: "2026-11-25T08:00:00.000Z" });
/** Any JSON. */
export const json = z.json().meta({ override: { description: "Any JSON value." } }) as unknown as z.ZodType<Json>;
/** The status of a task. */
export const status = z.enum(STATUSES).meta({ id: "Status", example: "SUCCESS" });
/** The name of a type. */
export const taskType = z.string().meta({ example: "csv_processing" });
/** A number of things. */
export const count = z.int().min(0);
/** A point in the stream of changes. */
export const headToken = z.string().regex(/^[0-9a-f]{20}$/).meta({
  description: "A point in the stream of changes: pass it as `since`, or as `as_of` of a bulk action.",
  example: "000000000000002a0000",
});
