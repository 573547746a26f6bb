/**
 * Task type `image_processing`: resizes uploaded images, or draws some first. The work runs in the worker pool.
 *
 * @module
 */

import * as z from "zod";
import type { Clock } from "../task/clock.ts";
import { defineTask, type OpenedFile, type TaskContext, type TaskDefinition } from "../define.ts";
import { JobError, JobTimeoutError, type Pool } from "../workers/pool.ts";
import { FITS } from "./image/fit.ts";
import type { ImageJob } from "./image/worker.ts";
import { seedOf } from "./random.ts";
import type { ImageJobs } from "./jobs.ts";

const params = z.strictObject({
  num_images: z.int().min(1).max(20).default(3).meta({
    title: "Images",
    description: "How many to draw if there are no files.",
  }),
  target_width: z.int().min(100).max(2_000).default(800).meta({ title: "Width", "x-unit": "px" }),
  target_height: z.int().min(100).max(2_000).default(600).meta({ title: "Height", "x-unit": "px" }),
  fit: z.enum(FITS).default("cover")
    .meta({ title: "Fit", description: "Cover crops, contain pads, inside never enlarges, fill distorts." }),
  format: z.enum(["png", "jpeg", "webp"]).default("png").meta({ title: "Format" }),
  upload_ids: z.array(z.string().length(26)).min(1).max(20).optional().meta({
    title: "Image files",
    description: "PNG, JPEG, GIF, TIFF or WebP. Without files, pictures are drawn.",
    "x-file": { accept: "image/png,image/jpeg,image/gif,image/tiff,image/webp", multiple: true },
  }),
  quality: z.int().min(1).max(100).default(85).meta({
    title: "Quality",
    description: "For JPEG and WebP.",
    "x-slider": true,
    "x-group": "Quality and colours",
  }),
  background: z.string().regex(/^#[0-9a-fA-F]{6}$/, "A colour such as #ffffff.").optional()
    .meta({
      title: "Background",
      description: "Behind transparent areas; JPEG always has one.",
      examples: ["#ffffff"],
      "x-group": "Quality and colours",
    }),
  keep_metadata: z.boolean().default(false)
    .meta({
      title: "Keep metadata",
      description: "EXIF and colour profile; otherwise they are removed.",
      "x-group": "Quality and colours",
    }),
}).meta({ "x-order": ["upload_ids"] });

type Params = z.output<typeof params>;

/** The most pixels of an image that is read, by default. */
export const MAX_IMAGE_PIXELS = 40_000_000;
/** The largest file that is read. */
const MAX_BYTES = 64 * 1024 * 1024;
/** Images of a task that are worked on at once. */
const LANES = 2;
/** Longest work on one image in milliseconds. */
const JOB_TIMEOUT_MS = 60_000;

/** A file that is rejected before it goes to a worker. */
class ImageFileError extends Error {
  override name = "ImageFileError";
}

const size = { width: z.int(), height: z.int(), bytes: z.int() };

/** What has become of each image so far; null: nothing yet. */
const checkpoint = z.array(
  z.discriminatedUnion("ok", [
    z.strictObject({
      name: z.string(),
      ok: z.literal(true),
      original: z.strictObject({ ...size, format: z.string() }),
      resized: z.strictObject(size),
      milliseconds: z.int(),
      file: z.string(),
    }),
    z.strictObject({ name: z.string(), ok: z.literal(false), error: z.string() }),
  ]).nullable(),
);

type Outcome = NonNullable<z.output<typeof checkpoint>[number]>;

/** Creates the definition. Images of up to `maxPixels` are processed in `pool`. */
export function imageProcessing(
  pool: Pool<ImageJobs>,
  clock: Clock,
  maxPixels: number,
): TaskDefinition<typeof params, typeof checkpoint> {
  return defineTask({
    type: "image_processing",
    title: "Resize images",
    description: "Uploaded images, or drawn ones, resized to fit.",
    params,
    checkpoint,
    concurrency: 2,
    checkpointVersion: 2,
    timeoutMs: 30 * 60_000,
    example: { num_images: 6, target_width: 480, target_height: 360, format: "jpeg" },
    titleOf: ({ num_images, upload_ids, target_width, target_height }, files) => {
      const count = upload_ids?.length ?? num_images;
      const what = count === 1 && files[0] ? files[0] : `${count} ${upload_ids ? "" : "drawn "}images`;
      return `${what} → ${target_width}×${target_height}`;
    },
    async run(ctx) {
      const total = ctx.params.upload_ids?.length ?? ctx.params.num_images;
      const outcomes: (Outcome | null)[] = ctx.resume ?? Array(total).fill(null);
      const done = () => outcomes.filter((outcome) => outcome !== null).length;
      const left = outcomes.flatMap((outcome, index) => outcome === null ? [index] : []);
      const lane = async () => {
        for (let index = left.shift(); index !== undefined; index = left.shift()) {
          const outcome = await one(ctx, pool, clock, maxPixels, index);
          outcomes[index] = outcome;
          if (!outcome.ok) ctx.log.warn(`${outcome.name}: ${outcome.error}`);
          else ctx.log.info(`${outcome.file}: ${outcome.resized.width}×${outcome.resized.height}`);
          await ctx.checkpoint(outcomes);
          ctx.progress(done() / total * 100, `${done()} of ${total} images`);
        }
      };
      ctx.progress(done() / total * 100, `${done()} of ${total} images`);
      await Promise.all(Array.from({ length: LANES }, lane));
      const failed = outcomes.filter((outcome) => !outcome?.ok).length;
      return { images: outcomes, failed };
    },
  });
}

async function one(
  ctx: TaskContext<Params, z.output<typeof checkpoint>>,
  pool: Pool<ImageJobs>,
  clock: Clock,
  maxPixels: number,
  index: number,
): Promise<Outcome> {
  const { upload_ids, target_width, target_height, fit, format, quality, background, keep_metadata } = ctx.params;
  const number = String(index + 1).padStart(2, "0");
  let name = `drawn-${number}.png`;
  try {
    let source: ArrayBuffer | null = null;
    if (upload_ids) {
      const file = await ctx.openUpload(upload_ids[index]);
      name = file.name;
      source = await readImage(file);
    }
    const started = clock.monotonic();
    const job: ImageJob = {
      source,
      seed: seedOf(ctx.id) + index,
      width: target_width,
      height: target_height,
      fit,
      format,
      quality,
      background: background ?? null,
      keepMetadata: keep_metadata,
      maxPixels,
    };
    const output = await pool.run("image", job, {
      transfer: source ? [source] : [],
      signal: ctx.signal,
      timeoutMs: JOB_TIMEOUT_MS,
    });
    const milliseconds = Math.round(clock.monotonic() - started);
    if (output.drawn) await ctx.artifact(name, new Uint8Array(output.drawn), "image/png");
    const file = `resized-${number}.${format === "jpeg" ? "jpg" : format}`;
    await ctx.artifact(file, new Uint8Array(output.file), `image/${format}`);
    return { name, ok: true, original: output.original, resized: output.resized, milliseconds, file };
  } catch (error) {
    if (ctx.signal.aborted) throw ctx.signal.reason;
    // A broken image fails only that image, not the task. Errors of the store or the pool are not the image's fault.
    const ofImage = error instanceof JobError && ["ImageError", "OutOfMemory", "WorkerCrash"].includes(error.name) ||
      error instanceof JobTimeoutError || error instanceof ImageFileError;
    if (!ofImage) throw error;
    return { name, ok: false, error: error.message };
  }
}

async function readImage({ name, size, stream }: OpenedFile): Promise<ArrayBuffer> {
  if (size > MAX_BYTES) {
    await stream.cancel();
    throw new ImageFileError(
      `${name} has ${size.toLocaleString("en")} bytes; the limit is ${MAX_BYTES.toLocaleString("en")}.`,
    );
  }
  return await new Response(stream).arrayBuffer();
}
