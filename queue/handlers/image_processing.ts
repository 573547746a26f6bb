/**
 * Task type `image_processing`: resizes uploaded images, or draws some first. The work runs in the worker pool.
 *
 * @module
 */

import * as z from "zod";
import type { Clock } from "../task/clock.ts";
import { defineTask, type OpenedFile, type RedoSource, type TaskContext, type TaskDefinition } from "../define.ts";
import { NonRetryableError } from "../task/errors.ts";
import type { Json } from "../task/record.ts";
import { JobError, JobTimeoutError, type Pool } from "../workers/pool.ts";
import { FITS, PLACES, POSITIONS, type Size } from "./image/fit.ts";
import { ANIMATIONS, OUTPUT_FORMATS, type OutputFormat } from "./image/formats.ts";
import type { ImageJob } from "./image/worker.ts";
import { seedOf } from "./random.ts";
import type { ImageJobs } from "./jobs.ts";

const ACCEPTED = "image/png,image/jpeg,image/gif,image/webp,image/avif,image/heic,image/heif,image/tiff,image/bmp";
const WRITABLE = "Latin, Greek and Cyrillic letters, digits and common signs; for others, use a picture.";

/** Width or height that is asked for. */
const side = (title: string) => z.int().min(100).max(2_000).meta({ title, "x-unit": "px" });
/** `800x600`. */
const SIZE = /^([1-9]\d{2}|1\d{3}|2000)x([1-9]\d{2}|1\d{3}|2000)$/;
const WATERMARK = "Watermark";
const MORE = "Quality and colours";

const params = z.strictObject({
  num_images: z.int().min(1).max(20).default(3).meta({
    title: "Sample images",
    description: "Number of images to draw.",
    "x-data": "sample",
  }),
  target_width: side("Width").default(800),
  target_height: side("Height").default(600),
  sizes: z.array(z.string().regex(SIZE, "A width and a height from 100 to 2,000, such as 800x600.")).min(1).max(10)
    .refine((sizes) => new Set(sizes).size === sizes.length, "Each size once.").optional().meta({
      title: "Several sizes",
      description: "One per line, such as 800x600: a file of each, instead of width and height.",
    }),
  fit: z.enum(FITS).default("cover")
    .meta({ title: "Fit", description: "Cover crops, contain adds borders, inside only shrinks, fill stretches." }),
  position: z.enum(POSITIONS).default("centre").meta({
    title: "Position",
    description: "Which part cover keeps. Attention looks for faces, edges and strong colours.",
  }),
  format: z.enum([...OUTPUT_FORMATS, "auto"]).default("png").meta({
    title: "Format",
    description: "Auto: WebP if animated or transparent, PNG for drawings of up to 256 colours, else JPEG.",
  }),
  animation: z.enum(ANIMATIONS).default("keep").meta({
    title: "Animations",
    description: "Keep needs the format WebP, GIF or auto.",
  }),
  upload_ids: z.array(z.string().length(26)).min(1).max(20).optional().meta({
    title: "Image files",
    description: "PNG, JPEG, GIF, WebP, AVIF, HEIC, TIFF or BMP.",
    "x-data": "own",
    "x-file": { accept: ACCEPTED, multiple: true },
  }),
  quality: z.int().min(1).max(100).default(85).meta({
    title: "Quality",
    description: "For JPEG, WebP and AVIF.",
    "x-slider": true,
    "x-group": MORE,
  }),
  sharpen: z.number().min(0).max(10).refine((sigma) => sigma === 0 || sigma >= 0.01, "Pass 0, or at least 0.01.")
    .default(0).meta({
      title: "Sharpen",
      description: "Radius in pixels, such as 0.5. 0: not sharpened.",
      "x-group": MORE,
    }),
  background: z.string().regex(/^#[0-9a-fA-F]{6}$/, "A colour such as #ffffff.").optional()
    .meta({
      title: "Background",
      description: "Fills transparent areas (always for JPEG).",
      examples: ["#ffffff"],
      "x-group": MORE,
    }),
  keep_metadata: z.boolean().default(false)
    .meta({ title: "Keep metadata", description: "Keeps EXIF, such as date and place.", "x-group": MORE }),
  keep_profile: z.boolean().default(false).meta({
    title: "Keep colour profile",
    description: "Otherwise colours are converted to sRGB, which looks right everywhere.",
    "x-group": MORE,
  }),
  watermark_text: z.string().min(1).max(100).regex(
    /^[\p{scx=Latin}\p{scx=Greek}\p{scx=Cyrillic}0-9 -~©®™–—·…]*$/u,
    WRITABLE,
  )
    .optional().meta({ title: "Watermark text", "x-group": WATERMARK }),
  watermark_upload_id: z.string().length(26).optional().meta({
    title: "Watermark picture",
    description: "Instead of a text.",
    "x-file": { accept: ACCEPTED },
    "x-group": WATERMARK,
  }),
  watermark_position: z.enum(PLACES).default("bottom-right").meta({ title: "Watermark place", "x-group": WATERMARK }),
  watermark_width: z.number().min(0.01).max(1).default(0.25)
    .meta({ title: "Watermark size", description: "Its width, as a share of the picture's.", "x-group": WATERMARK }),
  watermark_opacity: z.number().min(0.05).max(1).default(0.7).meta({
    title: "Watermark opacity",
    "x-group": WATERMARK,
  }),
}).meta({ "x-order": ["upload_ids"] }).refine(
  ({ watermark_text, watermark_upload_id }) => watermark_text === undefined || watermark_upload_id === undefined,
  { path: ["watermark_text"], error: "A watermark is a text or a picture, not both." },
);

type Params = z.output<typeof params>;

/** The most pixels of an image that is read, by default. */
export const MAX_IMAGE_PIXELS = 40_000_000;
/** The largest file that is read. */
const MAX_BYTES = 64 * 1024 * 1024;
/** Images of a task that are worked on at once. */
const LANES = 2;
/** Longest work on one image in milliseconds. */
const JOB_TIMEOUT_MS = 60_000;

/** Images that the error of a task names, if all have failed. */
const NAMED = 5;

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
      original: z.strictObject({ ...size, format: z.string(), frames: z.int().optional() }),
      // The file, or the first of several.
      resized: z.strictObject({ ...size, format: z.string() }),
      file: z.string(),
      /** All files, where several sizes were asked for. */
      sizes: z.array(z.strictObject({ ...size, format: z.string(), file: z.string() })).optional(),
      blurhash: z.string(),
      warnings: z.array(z.string()).optional(),
      milliseconds: z.int(),
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
    description: "Resizes your images, or sample images.",
    params,
    checkpoint,
    concurrency: 2,
    checkpointVersion: 3,
    timeoutMs: 30 * 60_000,
    example: { num_images: 6, target_width: 480, target_height: 360, format: "jpeg" },
    redo: { left: leftOf, params: (task, only) => Promise.resolve(only === "failed" ? redoParams(task) : null) },
    titleOf: ({ num_images, upload_ids, target_width, target_height, sizes }, files) => {
      const count = upload_ids?.length ?? num_images;
      const images = `${count} ${upload_ids ? "" : "sample "}${count === 1 ? "image" : "images"}`;
      const what = count === 1 && files[0] ? files[0] : images;
      return `${what} → ${
        sizes ? `${sizes.length} ${sizes.length === 1 ? "size" : "sizes"}` : `${target_width}×${target_height}`
      }`;
    },
    async run(ctx) {
      const total = ctx.params.upload_ids?.length ?? ctx.params.num_images;
      const outcomes: (Outcome | null)[] = ctx.resume ?? Array(total).fill(null);
      const watermark = await watermarkOf(ctx);
      const report = () => {
        const done = outcomes.filter((outcome) => outcome !== null).length;
        const failed = outcomes.filter((outcome) => outcome?.ok === false).length;
        const failures = failed > 0 ? `, ${failed} failed` : "";
        ctx.progress(done / total * 100, `${done} of ${total} ${total === 1 ? "image" : "images"}${failures}`);
        return failed;
      };
      const left = outcomes.flatMap((outcome, index) => outcome === null ? [index] : []);
      const lane = async () => {
        for (let index = left.shift(); index !== undefined; index = left.shift()) {
          const outcome = await one(ctx, pool, clock, { maxPixels, watermark, index });
          outcomes[index] = outcome;
          if (!outcome.ok) ctx.log.warn(`${outcome.name}: ${outcome.error}`);
          else ctx.log.info(`${outcome.file}: ${outcome.resized.width}×${outcome.resized.height}`);
          await ctx.checkpoint(outcomes);
          report();
        }
      };
      report();
      await Promise.all(Array.from({ length: LANES }, lane));
      const failed = report();
      if (failed === total) {
        const reasons = outcomes.map((outcome) => outcome?.ok === false && `${outcome.name}: ${outcome.error}`);
        const what = total === 1
          ? "The image could not be processed"
          : `None of the ${total} images could be processed`;
        throw new NonRetryableError(`${what}. ${reasons.slice(0, NAMED).join(" ")}`);
      }
      return { images: outcomes, failed };
    },
  });
}

/** How many images have failed. */
function leftOf(result: Json): { failed: number; unknown: number } {
  const { failed = 0 } = (result ?? {}) as Record<string, number>;
  return { failed, unknown: 0 };
}

/** The parameters of a task for the images that have failed; null if none has. */
function redoParams({ sent, result }: RedoSource<Params>): Record<string, Json> | null {
  const images = (result as { images?: { ok: boolean }[] } | null)?.images ?? [];
  const failed = images.flatMap(({ ok }, i) => ok ? [] : [i]);
  if (failed.length === 0) return null;
  const { upload_ids, num_images: _, ...others } = sent;
  const which = upload_ids ? { upload_ids: failed.map((i) => upload_ids[i]) } : { num_images: failed.length };
  return { ...others, ...which } as unknown as Record<string, Json>;
}

type Context = TaskContext<Params, z.output<typeof checkpoint>>;

/** The watermark that is asked for. */
async function watermarkOf(ctx: Context): Promise<ImageJob["watermark"]> {
  const { watermark_text: text, watermark_upload_id, watermark_position, watermark_width, watermark_opacity } =
    ctx.params;
  const how = { place: watermark_position, width: watermark_width, opacity: watermark_opacity };
  if (text !== undefined) return { content: { text }, ...how };
  if (watermark_upload_id === undefined) return null;
  try {
    return { content: { file: await readImage(await ctx.openUpload(watermark_upload_id)) }, ...how };
  } catch (error) {
    if (error instanceof ImageFileError) throw new NonRetryableError(`The watermark cannot be used. ${error.message}`);
    throw error;
  }
}

async function one(
  ctx: Context,
  pool: Pool<ImageJobs>,
  clock: Clock,
  { maxPixels, watermark, index }: { maxPixels: number; watermark: ImageJob["watermark"]; index: number },
): Promise<Outcome> {
  const { upload_ids, target_width, target_height, fit, position, format, quality, sharpen } = ctx.params;
  const { background, keep_metadata, keep_profile, animation } = ctx.params;
  const asked = ctx.params.sizes?.map((text) => {
    const [width, height] = text.split("x").map(Number);
    return { width, height };
  });
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
      sizes: asked ?? [{ width: target_width, height: target_height }],
      fit,
      position,
      format,
      quality,
      background: background ?? null,
      sharpen,
      watermark,
      keepMetadata: keep_metadata,
      keepProfile: keep_profile,
      animation,
      maxPixels,
    };
    const output = await pool.run("image", job, {
      transfer: source ? [source] : [],
      signal: ctx.signal,
      timeoutMs: JOB_TIMEOUT_MS,
    });
    const milliseconds = Math.round(clock.monotonic() - started);
    const { drawn, files, original, blurhash, warnings } = output;
    if (drawn) await ctx.artifact(name, drawn, "image/png");
    const sizes = files.map(({ bytes, ...others }, i) => ({
      ...others,
      bytes: bytes.length,
      file: nameOf(number, others.format, asked?.[i]),
    }));
    for (const [i, { bytes, format }] of files.entries()) await ctx.artifact(sizes[i].file, bytes, `image/${format}`);
    const { file, ...resized } = sizes[0];
    return {
      name,
      ok: true,
      original,
      resized,
      file,
      ...asked && { sizes },
      blurhash,
      ...warnings.length > 0 && { warnings },
      milliseconds,
    };
  } catch (error) {
    if (ctx.signal.aborted) throw ctx.signal.reason;
    // A broken image fails only that image, not the task. Errors of the store or the pool are not the image's fault.
    const ofImage = error instanceof JobError && ["ImageError", "OutOfMemory", "WorkerCrash"].includes(error.name) ||
      error instanceof JobTimeoutError || error instanceof ImageFileError;
    if (!ofImage) throw error;
    return { name, ok: false, error: error.message };
  }
}

/** `resized-01.png`; of several sizes, with the one that was asked for: `resized-01-800x600.png`. */
function nameOf(number: string, format: OutputFormat, size?: Size): string {
  const asked = size ? `-${size.width}x${size.height}` : "";
  return `resized-${number}${asked}.${format === "jpeg" ? "jpg" : format}`;
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
