/**
 * Writes a stream of CSV.
 *
 * @module
 */

import { type DataItem, stringify } from "./stringify.ts";

/** How {@linkcode CsvStringifyStream} writes. */
export interface CsvStringifyStreamOptions {
  /** What stands between two values. Default: a comma. */
  readonly separator?: string;
  /** The columns, which are also written first. Needed for items that are objects; default: none. */
  readonly columns?: Array<string>;
}

/** Writes each item as a record. Errors are those of `stringify`. */
export class CsvStringifyStream<TOptions extends CsvStringifyStreamOptions> extends TransformStream<
  TOptions["columns"] extends Array<string> ? Record<string, unknown> : Array<unknown>,
  string
> {
  constructor(options?: TOptions) {
    const { separator = ",", columns = [] } = options ?? {};
    const write = (controller: TransformStreamDefaultController<string>, item: DataItem, names: string[]) => {
      try {
        controller.enqueue(stringify([item], { separator, headers: false, columns: names }));
      } catch (error) {
        controller.error(error);
      }
    };
    super({
      start(controller) {
        if (columns.length > 0) write(controller, columns, []);
      },
      transform(item, controller) {
        write(controller, item, columns);
      },
    });
  }
}
