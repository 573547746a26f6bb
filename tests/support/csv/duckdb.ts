/**
 * Statistics of CSV files by DuckDB, in a process of its own. It is not in deno.json or deno.lock, since whoever starts
 * the service would download it too.
 */

const DUCKDB = "npm:@duckdb/node-api@1.5.6-r.1";

/** A column as DuckDB sees it. Numbers are text, so that none loses a digit. */
export interface DuckColumn {
  name: string;
  /** DuckDB's type: BIGINT, DOUBLE, VARCHAR, DATE, … */
  type: string;
  count: string;
  distinct: string;
  min: string | null;
  max: string | null;
  /** Of number columns only, as are those that follow. */
  sum: string | null;
  mean: string | null;
  deviation: string | null;
  quantiles: string[] | null;
}

const SCRIPT = `
import { DuckDBInstance } from "${DUCKDB}";
const connection = await (await DuckDBInstance.create(":memory:")).connect();
const all = async (sql) => (await connection.runAndReadAll(sql)).getRowObjectsJson();
const found = [];
for (const { path, options, types } of JSON.parse(Deno.args[0])) {
  const source = "read_csv('" + path + "', sample_size = -1" + options + ")";
  const columns = [];
  for (const { column_name: name, column_type: sniffed } of await all("DESCRIBE SELECT * FROM " + source)) {
    const type = types[name] ?? sniffed;
    const c = 'CAST("' + name.replaceAll('"', '""') + '" AS ' + type + ")";
    const isNumber = /INT|DOUBLE|DECIMAL/.test(type);
    const wide = /INT/.test(type) ? "CAST(" + c + " AS HUGEINT)" : c;
    // DuckDB takes the deviation in doubles, which do not hold large numbers: it takes that of their distance to the least.
    const offset = /INT/.test(type) ? wide + " - (SELECT min(" + wide + ") FROM " + source + ")" : c;
    const numbers = isNumber
      ? ", CAST(sum(" + wide + ") AS VARCHAR) AS sum, CAST(avg(" + c + ") AS VARCHAR) AS mean, CAST(stddev_samp(" + offset +
        ") AS VARCHAR) AS deviation, CAST(quantile_cont(" + c + ", [0.25, 0.5, 0.75, 0.95, 0.99]) AS VARCHAR[]) AS quantiles"
      : "";
    const [row] = await all("SELECT CAST(count(" + c + ") AS VARCHAR) AS count, CAST(count(DISTINCT " + c +
      ") AS VARCHAR) AS distinct, CAST(min(" + c + ") AS VARCHAR) AS min, CAST(max(" + c + ") AS VARCHAR) AS max" +
      numbers + " FROM " + source);
    columns.push({ name, type, sum: null, mean: null, deviation: null, quantiles: null, ...row });
  }
  found.push(columns);
}
console.log(JSON.stringify(found));
Deno.exit(0);
`;

/** A file, how DuckDB is to read it beyond what it finds out, and the types of columns where it is not to choose. */
export interface DuckFile {
  path: string;
  /** More arguments of read_csv: `, delim = ';'`. */
  options?: string;
  types?: Record<string, string>;
}

/** Reads files with DuckDB. */
export async function summarize(files: DuckFile[]): Promise<DuckColumn[][]> {
  const sent = files.map(({ path, options = "", types = {} }) => ({ path, options, types }));
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-lock", "--no-config", "-", JSON.stringify(sent)],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = command.stdin.getWriter();
  await writer.write(new TextEncoder().encode(SCRIPT));
  await writer.close();
  const { success, stdout, stderr } = await command.output();
  if (!success) throw new Error(`DuckDB could not be used: ${new TextDecoder().decode(stderr)}`);
  return JSON.parse(new TextDecoder().decode(stdout).trim().split("\n").at(-1)!);
}
