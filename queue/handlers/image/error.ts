/**
 * Why a picture is not processed.
 *
 * @module
 */

/** A picture that will not be read; the message says why. */
export class ImageError extends Error {
  override name = "ImageError";
  /** Whether the decoder may have taken much memory before it gave up. */
  readonly retire: boolean;

  constructor(message: string, retire = false, cause?: unknown) {
    super(message, { cause });
    this.retire = retire;
  }
}
