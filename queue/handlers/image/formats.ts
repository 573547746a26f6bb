/**
 * What can be chosen for the output, without the libraries that make it.
 *
 * @module
 */

/** Encodings that are written. */
export const OUTPUT_FORMATS = ["png", "jpeg", "webp", "avif", "gif"] as const;

/** One of {@linkcode OUTPUT_FORMATS}. */
export type OutputFormat = (typeof OUTPUT_FORMATS)[number];

/** Encodings that hold an animation. */
export const ANIMATED_FORMATS: readonly OutputFormat[] = ["webp", "gif"];

/** What becomes of an animation: all frames, or the first one. */
export const ANIMATIONS = ["keep", "first"] as const;

/** One of {@linkcode ANIMATIONS}. */
export type Animation = (typeof ANIMATIONS)[number];
