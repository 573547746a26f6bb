/**
 * Task type `image_processing`: resizes uploaded images, or draws some first. The work runs in the worker pool.
 *
 * @module
 */

import * as z from "zod";
import { defineTask, type TaskContext, type TaskDefinition } from "../define.ts";
import type { Pool } from "../pool.ts";

import { readDimensions } from "./image/dimensions.ts";
import type { ImageJob, ImageOutput } from "./image/worker.ts";
import { seedOf } from "./random.ts";

const params = z.strictObject({
  num_images: z.int().min(1).max(20).default(3).meta({ title: "Images", description: "Images to draw and resize." }),
  target_width: z.int().min(100).max(2_000).default(800).meta({ title: "Width", "x-unit": "px" }),
  target_height: z.int().min(100).max(2_000).default(600).meta({ title: "Height", "x-unit": "px" }),
  fit: z.enum(["cover", "contain", "inside", "fill"]).default("cover")
    .meta({ title: "Fit", description: "Cover cuts off, contain fills up, inside never enlarges, fill distorts." }),
  format: z.enum(["png", "jpeg", "webp"]).default("png").meta({ title: "Format" }),
  upload_ids: z.array(z.string().length(26)).min(1).max(20).optional().meta({
    title: "Image files",
    description: "Resize these PNG or JPEG files instead.",
    "x-file": { accept: "image/png,image/jpeg", multiple: true },
  }),
});

type Params = z.output<typeof params>;

/** The most pixels that are decoded. */
const MAX_PIXELS = 40_000_000;
/** The largest file that is read. */
const MAX_BYTES = 64 * 1024 * 1024;
/** Longest work on one image in milliseconds. */
const JOB_TIMEOUT_MS = 60_000;

type Outcome =
  | {
    name: string;
    ok: true;
    original: ImageOutput["original"];
    resized: ImageOutput["resized"];
    milliseconds: number;
    file: string;
  }
  | { name: string; ok: false; error: string };

/** Makes the definition; its images are worked on in `pool`. */
export function imageProcessing(
  pool: Pool<ImageJob, ImageOutput>,
  monotonic: () => number,
): TaskDefinition<typeof params> {
  return defineTask({
    type: "image_processing",
    title: "Resize images",
    description: "Uploaded images, or drawn ones, resized to fit.",
    params,
    concurrency: 2,
    timeoutMs: 30 * 60_000,
    titleOf: ({ num_images, upload_ids, target_width, target_height }) =>
      `${upload_ids?.length ?? num_images} ${upload_ids ? "" : "drawn "}images → ${target_width}×${target_height}`,
    async run(ctx) {
      const total = ctx.params.upload_ids?.length ?? ctx.params.num_images;
      const outcomes = (ctx.resume as unknown as Outcome[] | undefined) ?? [];
      while (outcomes.length < total) {
        const index = outcomes.length;
        ctx.progress(index / total * 100, `image ${index + 1} of ${total}`);
        const outcome = await one(ctx, pool, monotonic, index);
        outcomes.push(outcome);
        if (!outcome.ok) ctx.log.warn(`${outcome.name}: ${outcome.error}`);
        else ctx.log.info(`${outcome.file}: ${outcome.resized.width}×${outcome.resized.height}`);
        await ctx.checkpoint(outcomes as unknown as { [key: string]: string }[]);
        ctx.progress((index + 1) / total * 100, `image ${index + 1} of ${total}`);
      }
      return { images: outcomes, failed: outcomes.filter(({ ok }) => !ok).length };
    },
  });
}

async function one(
  ctx: TaskContext<Params>,
  pool: Pool<ImageJob, ImageOutput>,
  monotonic: () => number,
  index: number,
): Promise<Outcome> {
  const { upload_ids, target_width, target_height, fit, format } = ctx.params;
  const number = String(index + 1).padStart(2, "0");
  let name = `drawn-${number}.png`;
  try {
    let source: ArrayBuffer | null = null;
    if (upload_ids) {
      const file = await ctx.openUpload(upload_ids[index]);
      name = file.name;
      source = await readImage(file);
    }
    const started = monotonic();
    const job: ImageJob = {
      source,
      seed: seedOf(ctx.id) + index,
      width: target_width,
      height: target_height,
      fit,
      format,
    };
    const output = await pool.run(job, {
      transfer: source ? [source] : [],
      signal: ctx.signal,
      timeoutMs: JOB_TIMEOUT_MS,
    });
    const milliseconds = Math.round(monotonic() - started);
    if (output.drawn) await ctx.artifact(name, new Uint8Array(output.drawn), "image/png");
    const file = `resized-${number}.${format === "jpeg" ? "jpg" : format}`;
    await ctx.artifact(file, new Uint8Array(output.file), `image/${format}`);
    return { name, ok: true, original: output.original, resized: output.resized, milliseconds, file };
  } catch (error) {
    if (ctx.signal.aborted) throw ctx.signal.reason;
    // One broken image fails that image, not the task.
    return { name, ok: false, error: error instanceof Error ? error.message : String(error) };
  }
}

async function readImage(file: { name: string; size: number; stream: ReadableStream<Uint8Array> }) {
  const limit = (what: string) => new Error(`${file.name} ${what}`);
  if (file.size > MAX_BYTES) {
    await file.stream.cancel();
    throw limit(`has ${file.size.toLocaleString("en")} bytes; the limit is ${MAX_BYTES.toLocaleString("en")}.`);
  }
  const source = await new Response(file.stream as BodyInit).arrayBuffer();
  const size = readDimensions(new Uint8Array(source));
  if (!size) throw limit("is not a PNG or JPEG file.");
  if (size.width * size.height > MAX_PIXELS) {
    throw limit(`is ${size.width}×${size.height}; the limit is ${MAX_PIXELS / 1e6} megapixels.`);
  }
  return source;
}
