/**
 * A local replacement for `@std/csv`, for environments that cannot reach JSR: the same names, options, results and
 * errors. Remove `links` from deno.json to use the original.
 *
 * @module
 */

export * from "./parse.ts";
export * from "./parse_stream.ts";
export * from "./stringify.ts";
export * from "./stringify_stream.ts";
