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

const READ = { "x-group": "How to read the file" };

const columnName = z.string().min(1).max(200);

/** What a CSV task takes. */
export const params = z.strictObject({
  num_rows: z.int().min(100).max(10_000).default(1_000)
    .meta({ title: "Rows", description: "Number of sample orders." }),
  processing_time: z.number().min(5).max(60).default(10)
    .meta({ title: "Processing time", description: "How long processing the sample orders takes.", "x-unit": "s" }),
  upload_id: z.string().length(26).optional()
    .meta({
      title: "CSV file",
      description: "Processed at full speed. Without a file, sample orders are generated.",
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
      description: "Found out from the columns if not given; a column that stays ambiguous is read as text.",
      "x-enumLabels": ["point", "comma"],
    }),
  thousands: z.enum([".", ","]).optional()
    .meta({
      title: "Thousands separator",
      ...READ,
      description: "Found out like the decimal separator.",
      "x-enumLabels": ["point", "comma"],
    }),
  date_order: z.enum(DATE_ORDERS).optional()
    .meta({
      title: "Order of dates",
      ...READ,
      description:
        "Of 31/12/2023. Found out from the columns if not given; dates that stay ambiguous are read as text.",
      "x-enumLabels": ["day first", "month first"],
    }),
  null_values: z.array(z.string().min(1).max(100)).max(100).optional().meta({
    title: "Missing values",
    ...READ,
    description:
      "Words that stand for a missing value, one per line. Default: NULL, NA, N/A, NaN, None, - and the like.",
  }),
  header: z.boolean().default(true).meta({
    title: "Header row",
    description: "The first row contains the column names.",
    ...READ,
  }),
  max_bad_rows: z.int().min(0).max(1_000_000_000).default(100_000)
    .meta({ title: "Maximum bad rows", description: "With more, the task fails.", ...READ }),
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
      "x-group": "A cleaned copy",
    }),
  cleaned_as: z.enum(["csv", "json_lines"]).default("csv").meta({
    title: "Format",
    description: "JSON lines have numbers as numbers and missing values as null.",
    "x-group": "A cleaned copy",
    "x-enumLabels": ["CSV", "JSON lines"],
  }),
  columns: z.array(columnName).min(1).max(2_000).optional()
    .meta({
      title: "Columns to keep",
      description: "In the cleaned copy, one per line, in this order. Default: all.",
      "x-group": "A cleaned copy",
    }),
  rename: z.record(columnName, columnName).optional()
    .meta({
      title: "New names",
      description: "In the cleaned copy: old=new, one per line.",
      "x-group": "A cleaned copy",
    }),
  drop_bad_rows: z.boolean().default(true)
    .meta({
      title: "Drop bad rows",
      description: "From the cleaned copy; otherwise, in a CSV, they are padded or cut.",
      "x-group": "A cleaned copy",
    }),
  escape_formulas: z.boolean().default(false)
    .meta({
      title: "Escape formulas",
      "x-group": "A cleaned copy",
      description: "In the cleaned CSV, put an apostrophe before values that a spreadsheet would run as formulas.",
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
