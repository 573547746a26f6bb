/**
 * The icons of the page: one sprite, drawn once, that every icon refers to.
 *
 * @module
 */

import type { JSX } from "preact";

const SHAPES = {
  PENDING: (
    <>
      <circle cx="8" cy="8" r="6" class="line" />
      <path d="M8 4.5V8l2.5 1.5" class="line" />
    </>
  ),
  RUNNING: (
    <>
      <circle cx="8" cy="8" r="6" class="line" />
      <path d="M8 2a6 6 0 0 1 0 12z" />
    </>
  ),
  SUCCESS: (
    <>
      <circle cx="8" cy="8" r="7" />
      <path d="M4.8 8.2l2.2 2.2 4.2-4.6" class="mark" />
    </>
  ),
  FAILED: (
    <>
      <path d="M5 1h6l4 4v6l-4 4H5l-4-4V5z" />
      <path d="M5.5 5.5l5 5m0-5l-5 5" class="mark" />
    </>
  ),
  CANCELLED: (
    <>
      <circle cx="8" cy="8" r="6" class="line dashed" />
      <path d="M4.5 11.5l7-7" class="line" />
    </>
  ),
  close: <path d="M4 4l8 8m0-8l-8 8" class="line" />,
  more: (
    <>
      <circle cx="3.5" cy="8" r="1.4" />
      <circle cx="8" cy="8" r="1.4" />
      <circle cx="12.5" cy="8" r="1.4" />
    </>
  ),
  plus: <path d="M8 3v10M3 8h10" class="line" />,
  pause: <path d="M5.5 3.5v9m5-9v9" class="line" />,
  play: <path d="M5 3l8 5-8 5z" />,
  search: (
    <>
      <circle cx="7" cy="7" r="4" class="line" />
      <path d="M10 10l3.5 3.5" class="line" />
    </>
  ),
  copy: (
    <>
      <rect x="5.5" y="5.5" width="8" height="8" rx="1.5" class="line" />
      <path d="M3.5 10.5h-1v-8h8v1" class="line" />
    </>
  ),
  gear: (
    <>
      <path d="M2 4.5h12M2 11.5h12" class="line" />
      <circle cx="6" cy="4.5" r="2" class="knob" />
      <circle cx="10" cy="11.5" r="2" class="knob" />
    </>
  ),
  back: <path d="M10 3L5 8l5 5" class="line" />,
  next: <path d="M6 3l5 5-5 5" class="line" />,
  file: <path d="M4 1.5h5l3 3v10H4zM9 1.5v3h3" class="line" />,
  clock: (
    <>
      <circle cx="8" cy="8" r="6" class="line" />
      <path d="M8 4.5V8h3" class="line" />
    </>
  ),
  chart: <path d="M2.5 13.5h11M4 11V8m3.3 3V4m3.4 7V6.500" class="line" />,
};

/** Name of an icon. */
export type IconName = keyof typeof SHAPES;

/** All icons; included once per page. */
export function Sprite(): JSX.Element {
  return (
    <svg class="sprite" width="0" height="0" aria-hidden="true">
      {Object.entries(SHAPES).map(([name, shape]) => (
        <symbol key={name} id={`i-${name}`} viewBox="0 0 16 16">{shape}</symbol>
      ))}
    </svg>
  );
}

/** One icon. It is decorative: there is text beside it, or its control has a label. */
export function Icon({ name }: { name: IconName }): JSX.Element {
  return (
    <svg class="icon" width="16" height="16" aria-hidden="true">
      <use href={`#i-${name}`} />
    </svg>
  );
}
