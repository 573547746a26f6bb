/**
 * Where a form may send its reader back to.
 *
 * @module
 */

/** A place within this page that a form may send its reader back to. */
export function returnTo(value: string | null): string {
  return value && /^\.?\/(\?[\x21-\x7e]*)?$/.test(value) && !/[#\\]/.test(value) ? value : "/";
}
