/**
 * The parameters of a CSV task.
 *
 * @module
 */

import * as z from "zod";
import { DELIMITERS, ENCODINGS } from "./encoding.ts";

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
      "x-file": { accept: ".csv,.tsv,.txt,text/csv,text/tab-separated-values" },
    }),
  delimiter: z.enum(DELIMITERS).optional()
    .meta({
      title: "Delimiter",
      "x-group": "How to read the file",
      description: "Detected if not given.",
      "x-enumLabels": ["comma", "semicolon", "tab", "pipe"],
    }),
  encoding: z.enum(ENCODINGS).optional()
    .meta({
      title: "Encoding",
      "x-group": "How to read the file",
      description: "Detected if not given.",
      "x-enumLabels": ["UTF-8", "UTF-16, little endian", "UTF-16, big endian", "Latin-1 (windows-1252)"],
    }),
  decimal: z.enum([".", ","]).optional()
    .meta({
      title: "Decimal separator",
      "x-group": "How to read the file",
      description: "With comma, 1,5 is also a number. Default: comma if the delimiter is a semicolon.",
      "x-enumLabels": ["point", "comma or point"],
    }),
  header: z.boolean().default(true).meta({
    title: "Header row",
    description: "The first row contains the column names.",
    "x-group": "How to read the file",
  }),
  max_bad_rows: z.int().min(0).max(1_000_000_000).default(100_000)
    .meta({ title: "Maximum bad rows", description: "With more, the task fails.", "x-group": "How to read the file" }),
  cleaned: z.boolean().default(false)
    .meta({
      title: "Write a cleaned CSV",
      description: "As an artifact, in UTF-8, with the same delimiter.",
      "x-group": "A cleaned copy",
    }),
  columns: z.array(columnName).min(1).max(2_000).optional()
    .meta({
      title: "Columns to keep",
      description: "In the cleaned CSV, one per line, in this order. Default: all.",
      "x-group": "A cleaned copy",
    }),
  rename: z.record(columnName, columnName).optional()
    .meta({
      title: "New names",
      description: "In the cleaned CSV: old=new, one per line.",
      "x-group": "A cleaned copy",
    }),
  drop_bad_rows: z.boolean().default(true)
    .meta({
      title: "Drop bad rows",
      description: "From the cleaned CSV; otherwise they are padded or cut.",
      "x-group": "A cleaned copy",
    }),
  escape_formulas: z.boolean().default(false)
    .meta({
      title: "Escape formulas",
      "x-group": "A cleaned copy",
      description: "In the cleaned CSV, put an apostrophe before values that a spreadsheet would run as formulas.",
    }),
}).meta({ "x-order": ["upload_id", "num_rows", "processing_time"] });

/** The parameters of a CSV task. */
export type Params = z.output<typeof params>;
