/**
 * The parameters of a CSV task.
 *
 * @module
 */

import * as z from "zod";
import { DATE_ORDERS } from "./columns/readings.ts";
import { DELIMITERS, ESCAPES, QUOTES } from "./text/dialect.ts";
import { ENCODINGS } from "./text/encoding.ts";
import { compile } from "./row_check.ts";

const READ = { "x-group": "File format" };

const columnName = z.string().min(1).max(200);

/** What a CSV task takes. */
export const params = z.strictObject({
  num_rows: z.int().min(100).max(10_000).default(1_000)
    .meta({ title: "Sample rows", description: "Number of sample orders.", "x-data": "sample" }),
  processing_time: z.number().min(5).max(60).default(10)
    .meta({
      title: "Simulated duration",
      description: "How long the sample run takes.",
      "x-unit": "s",
      "x-data": "sample",
    }),
  upload_id: z.string().length(26).optional()
    .meta({
      title: "CSV file",
      description: "Of any size.",
      "x-data": "own",
      "x-file": { accept: ".csv,.tsv,.txt,.gz,.zip,text/csv,text/tab-separated-values" },
    }),
  delimiter: z.enum(DELIMITERS).optional()
    .meta({
      title: "Delimiter",
      ...READ,
      description: "Detected if not given.",
      "x-enumLabels": ["comma", "semicolon", "tab", "pipe"],
    }),
  encoding: z.enum(ENCODINGS).optional().meta({ title: "Encoding", ...READ, description: "Detected if not given." }),
  quote: z.enum(QUOTES).optional().meta({
    title: "Quote",
    ...READ,
    description: "What values are quoted with. Default: the double quote.",
    "x-enumLabels": ["double quote", "single quote", "none"],
  }),
  escape: z.enum(ESCAPES).optional().meta({
    title: "Escape",
    ...READ,
    description: "How a quote within a quoted value is written. Detected if not given.",
  }),
  comment: z.string().length(1).regex(/^[!-~]$/, "One visible ASCII character.").optional()
    .meta({
      title: "Comment",
      ...READ,
      description: "Lines that begin with this character are skipped.",
      examples: ["#"],
    }),
  skip_rows: z.int().min(0).max(1_000).optional().meta({
    title: "Lines to skip",
    ...READ,
    description: "At the beginning of the file. Titles that are narrower than the table are detected.",
  }),
  decimal: z.enum([".", ","]).optional()
    .meta({
      title: "Decimal separator",
      ...READ,
      description: "Detected from the columns if not given; a column that stays ambiguous is read as text.",
      "x-enumLabels": ["point", "comma"],
    }),
  thousands: z.enum([".", ","]).optional()
    .meta({
      title: "Thousands separator",
      ...READ,
      description: "Detected like the decimal separator.",
      "x-enumLabels": ["point", "comma"],
    }),
  date_order: z.enum(DATE_ORDERS).optional()
    .meta({
      title: "Order of dates",
      ...READ,
      description: "31/12/2023 is day first. Detected if not given; dates that stay ambiguous are read as text.",
      "x-enumLabels": ["day first", "month first"],
    }),
  null_values: z.array(z.string().min(1).max(100)).max(100).optional().meta({
    title: "Missing values",
    ...READ,
    description:
      "Words that stand for a missing value, one per line. Default: NULL, NA, N/A, NaN, None, - and the like.",
  }),
  header: z.boolean().default(true).meta({
    title: "First row is a header",
    ...READ,
  }),
  max_bad_rows: z.int().min(0).max(1_000_000_000).default(100_000)
    .meta({ title: "Max bad rows", description: "The task fails above this.", ...READ }),
  schema: z.string().min(2).max(20_000).refine(isSchema, "This must be a JSON Schema, written as JSON.").optional()
    .meta({
      title: "JSON Schema",
      ...READ,
      description: "Rows that do not match are bad rows. A row is an object with its columns as properties.",
      "x-multiline": true,
    }),
  cleaned: z.boolean().default(false)
    .meta({
      title: "Write a cleaned copy",
      description: "As an artifact, in UTF-8; a CSV has the same delimiter.",
      "x-group": "Cleaned copy",
    }),
  cleaned_as: z.enum(["csv", "json_lines"]).default("csv").meta({
    title: "Format",
    description: "JSON lines have numbers as numbers and missing values as null.",
    "x-group": "Cleaned copy",
    "x-enumLabels": ["CSV", "JSON lines"],
  }),
  columns: z.array(columnName).min(1).max(2_000).optional()
    .meta({
      title: "Columns to keep",
      description: "In the cleaned copy, one per line, in this order. Default: all.",
      "x-group": "Cleaned copy",
    }),
  rename: z.record(columnName, columnName).optional()
    .meta({
      title: "New names",
      description: "In the cleaned copy: old=new, one per line.",
      "x-group": "Cleaned copy",
    }),
  drop_bad_rows: z.boolean().default(true)
    .meta({
      title: "Drop bad rows",
      description: "Otherwise they are padded or truncated.",
      "x-group": "Cleaned copy",
    }),
  escape_formulas: z.boolean().default(false)
    .meta({
      title: "Prefix formulas with '",
      "x-group": "Cleaned copy",
      description: "So that spreadsheets do not run them.",
    }),
}).refine(({ decimal, thousands }) => decimal === undefined || decimal !== thousands, {
  path: ["thousands"],
  message: "It must differ from the decimal separator.",
}).refine(({ cleaned, cleaned_as, drop_bad_rows }) => !cleaned || cleaned_as === "csv" || drop_bad_rows, {
  path: ["drop_bad_rows"],
  message: "JSON lines hold good rows only.",
}).meta({ "x-order": ["upload_id", "num_rows", "processing_time"] });

/** The parameters of a CSV task. */
export type Params = z.output<typeof params>;

function isSchema(text: string): boolean {
  try {
    const schema = JSON.parse(text);
    if (typeof schema !== "object" || schema === null || Array.isArray(schema)) return false;
    compile(schema);
    return true;
  } catch {
    return false;
  }
}
