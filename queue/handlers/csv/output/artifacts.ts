/**
 * Files that a CSV task writes while it reads.
 *
 * @module
 */

import type { TaskContext } from "../../../define.ts";
import type { Pool } from "../../../workers/pool.ts";
import type { CsvJobs } from "../../jobs.ts";
import type { Params } from "../params.ts";
import { BLOCK_BYTES, cleaningOf, JOB_TIMEOUT_MS, type Reading, type Saved } from "../reading.ts";
import { buffersOf, type ReadingState } from "../state.ts";
import { blocksOf } from "../text/blocks.ts";
import type { JsonLinesJob } from "../worker.ts";
import { chosenColumns } from "./cleaned.ts";

/** Reads the file once more from `stream`, now that its types are known, and writes its good rows as JSON lines. */
export async function writeJsonLines(
  ctx: TaskContext<Params, Saved>,
  pool: Pool<CsvJobs>,
  reading: Reading,
  stream: ReadableStream<Uint8Array>,
): Promise<void> {
  const { columns, types } = reading.result!;
  const chosen = chosenColumns(columns.map(({ name }) => name), cleaningOf(ctx.params));
  const lines = chosen.map(({ at, name }) => ({ at, name, type: columns[at].type, reading: types[at] }));
  const dialect = reading.dialect!;
  const output = artifactStream(ctx, "cleaned.jsonl", "application/jsonl");
  let state: ReadingState | null = null;
  let offset = 0;
  try {
    for await (const { bytes: fresh, last } of blocksOf(stream, BLOCK_BYTES)) {
      ctx.signal.throwIfAborted();
      const bytes: Uint8Array<ArrayBuffer> = offset === 0 && dialect.mark > 0 ? fresh.slice(dialect.mark) : fresh;
      offset += fresh.length;
      const { header, nullValues } = reading.options!;
      const job: JsonLinesJob = {
        ...{ dialect, columns: lines, names: columns.map(({ name }) => name), header, nullValues, state, bytes, last },
        schema: reading.schema,
        commaFirst: reading.options!.commaFirst,
        offset: offset - bytes.length,
      };
      const answer: CsvJobs["csv_json_lines"]["out"] = await pool.run("csv_json_lines", job, {
        transfer: [bytes.buffer, ...state ? buffersOf(state) : []],
        signal: ctx.signal,
        timeoutMs: JOB_TIMEOUT_MS,
      });
      state = answer.state;
      await output.write(answer.lines);
    }
    await output.close();
  } catch (error) {
    await output.abort(error);
    throw error;
  } finally {
    await stream.cancel().catch(() => {});
  }
}

/** An artifact that is written piece by piece; a slow store applies back pressure. */
export function artifactStream(ctx: TaskContext<Params, Saved>, name: string, mediaType: string) {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const stored = ctx.artifact(name, readable, mediaType);
  stored.catch(() => {});
  const writer = writable.getWriter();
  writer.closed.catch(() => {});
  return {
    // If storing fails, the writer only reports a cancellation: `stored` has the reason.
    write: (bytes: Uint8Array) => Promise.race([writer.write(bytes), stored]),
    close: async () => {
      await writer.close();
      await stored;
    },
    abort: async (reason: unknown) => {
      await writer.abort(reason).catch(() => {});
      await stored.catch(() => {});
    },
  };
}
