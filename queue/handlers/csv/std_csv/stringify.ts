/**
 * Writes CSV.
 *
 * @module
 */

/** An index of an array, or a key of an object. */
export type PropertyAccessor = number | string;

/** A column: its name, and where its value is found. Without a name, the last accessor is the name. */
export type ColumnDetails = { header?: string; prop: PropertyAccessor | PropertyAccessor[] };

/** Where a column's value is found: an accessor, a path of them, or that with a name. */
export type Column = ColumnDetails | PropertyAccessor | PropertyAccessor[];

/** An item that becomes a record. */
export type DataItem = Readonly<Record<string, unknown> | unknown[]>;

/** How records are written. */
export type StringifyOptions = {
  /** Write the names of the columns first, if there are columns. Default true. */
  headers?: boolean;
  /** What stands between two values. Default: a comma. */
  separator?: string;
  /** The columns, in order. Default: none, for items that are arrays. */
  columns?: readonly Column[];
  /** Begin with a byte order mark. Default false. */
  bom?: boolean;
};

/**
 * Writes items as CSV, each record ended by CRLF.
 *
 * @throws {TypeError} If the separator holds a quote or CRLF, an object comes without columns, or an array is read by a
 * text.
 */
export function stringify(data: readonly DataItem[], options: StringifyOptions = {}): string {
  const { headers = true, separator = ",", columns = [], bom = false } = options;
  if (separator.includes('"') || separator.includes("\r\n")) {
    throw new TypeError(
      [
        "Separator cannot include the following strings:",
        '  - U+0022: Quotation mark (")',
        "  - U+000D U+000A: Carriage Return + Line Feed (\\r\\n)",
      ].join("\n"),
    );
  }
  const details = columns.map(detailsOf);
  const line = (values: readonly unknown[]) => `${values.map((value) => field(value, separator)).join(separator)}\r\n`;
  let output = bom ? "\ufeff" : "";
  if (headers && details.length > 0) output += line(details.map(({ header }) => header));
  for (const item of data) output += line(valuesOf(item, details));
  return output;
}

function detailsOf(column: Column): { header: string; path: PropertyAccessor[] } {
  const { header, prop }: ColumnDetails = typeof column === "object" && !Array.isArray(column)
    ? column
    : { prop: column };
  const path = Array.isArray(prop) ? prop : [prop];
  return { header: typeof header === "string" ? header : String(path.at(-1)), path };
}

function valuesOf(item: unknown, columns: { path: PropertyAccessor[] }[]): unknown[] {
  if (columns.length > 0) return columns.map(({ path }) => path.reduce(valueAt, item));
  if (Array.isArray(item)) return item;
  if (typeof item === "object") throw new TypeError("No property accessor function was provided for object");
  return [item];
}

function valueAt(value: unknown, accessor: PropertyAccessor): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value) && typeof accessor !== "number") {
    throw new TypeError('Property accessor is not of type "number"');
  }
  return (value as Record<PropertyAccessor, unknown>)[accessor];
}

function field(value: unknown, separator: string): string {
  if (value === undefined || value === null) return "";
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  const isPlain = !text.includes(separator) && !text.includes("\n") && !text.includes('"');
  return isPlain ? text : `"${text.replaceAll('"', '""')}"`;
}
