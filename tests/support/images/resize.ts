/** A plain Lanczos scaler in floating point: the reference that pictures are held against. */

interface Picture {
  data: Uint8ClampedArray;
  width: number;
  height: number;
}

/** The light of an sRGB value and back (IEC 61966-2-1), both from 0 to 1. */
const toLight = (value: number) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
const toCode = (light: number) => light <= 0.0031308 ? light * 12.92 : 1.055 * light ** (1 / 2.4) - 0.055;

function kernel(x: number): number {
  if (x === 0) return 1;
  if (Math.abs(x) >= 3) return 0;
  const angle = Math.PI * x;
  return 3 * Math.sin(angle) * Math.sin(angle / 3) / (angle * angle);
}

/** The weights of the source samples for each target sample: the kernel is as wide as what a new pixel covers. */
function weights(from: number, to: number): [first: number, weights: number[]][] {
  const scale = Math.max(1, from / to);
  return Array.from({ length: to }, (_, i) => {
    const centre = (i + 0.5) * from / to;
    const first = Math.max(0, Math.ceil(centre - 3 * scale - 0.5));
    const last = Math.min(from - 1, Math.floor(centre + 3 * scale - 0.5));
    const raw = Array.from({ length: last - first + 1 }, (_, k) => kernel((first + k + 0.5 - centre) / scale));
    const sum = raw.reduce((a, b) => a + b, 0);
    return [first, raw.map((weight) => weight / sum)];
  });
}

/** Scales an opaque picture. */
export function lanczos3({ data, width, height }: Picture, toWidth: number, toHeight: number): Picture {
  const across = weights(width, toWidth);
  const down = weights(height, toHeight);
  const out = new Uint8ClampedArray(toWidth * toHeight * 4).fill(255);
  for (let channel = 0; channel < 3; channel++) {
    const rows = Array.from(
      { length: height },
      (_, y) =>
        across.map(([first, all]) =>
          all.reduce((sum, weight, k) => sum + weight * toLight(data[(y * width + first + k) * 4 + channel] / 255), 0)
        ),
    );
    for (let y = 0; y < toHeight; y++) {
      const [first, all] = down[y];
      for (let x = 0; x < toWidth; x++) {
        const light = all.reduce((sum, weight, k) => sum + weight * rows[first + k][x], 0);
        out[(y * toWidth + x) * 4 + channel] = Math.round(toCode(Math.min(1, Math.max(0, light))) * 255);
      }
    }
  }
  return { data: out, width: toWidth, height: toHeight };
}
