import { ssim } from "ssim.js";
import { FITS } from "../../../../queue/handlers/image/fit.ts";
import { OUTPUT_FORMATS } from "../../../../queue/handlers/image/formats.ts";
import { kindOf } from "../../../../queue/handlers/image/read/kind.ts";
import { assertEquals, ok } from "../../../support/assert.ts";
import { type Pixels, pixelsOf, runImage } from "../../../support/images/run.ts";
import { packageFolder } from "../../../support/packages.ts";
import { lanczos3 } from "../../../support/images/resize.ts";

const photos = await packageFolder("exif-parser@0.1.12");
const pictures = await packageFolder("vega-datasets@3.2.1");
const FILES = [
  `${photos}test/starfish.jpg`,
  `${pictures}data/7zip.png`,
  `${pictures}data/ffox.png`,
  `${pictures}data/gimp.png`,
];

const TARGET = { width: 240, height: 180 };

for (const path of FILES) {
  const name = path.split("/").pop();
  for (const fit of FITS) {
    for (const format of OUTPUT_FORMATS) {
      Deno.test(`${name}: ${fit} to ${format}`, async () => {
        const file = await Deno.readFile(path);
        const job = { sizes: [TARGET], fit, format, quality: 90, background: "#ffffff" };
        const { original, files: [resized], file: result, pixels } = await runImage(file, job);
        const source = await pixelsOf(file);
        const { width, height } = source;
        assertEquals(original, { width, height, bytes: file.length, format: await kindOf(file) });
        const inside = Math.min(1, TARGET.width / width, TARGET.height / height);
        const expected = fit === "inside"
          ? { width: Math.round(width * inside), height: Math.round(height * inside) }
          : TARGET;
        assertEquals(await kindOf(result), format);
        assertEquals({ width: pixels.width, height: pixels.height }, expected);
        assertEquals({ width: resized.width, height: resized.height, format: resized.format }, { ...expected, format });
        if (fit !== "fill") return;
        // What is seen is what a plain scaler in floating point makes of the same picture on white.
        const { mssim } = ssim(pixels, lanczos3(onWhite(source), TARGET.width, TARGET.height));
        // 256 colours are not a photo.
        const least = { png: 0.99, gif: 0.9, jpeg: 0.95, webp: 0.95, avif: 0.95 }[format];
        ok(mssim > least, `SSIM ${mssim}`);
      });
    }
  }
}

/** The picture as it is, with white behind what is transparent. */
function onWhite({ data, width, height }: Pixels): Pixels {
  const mixed = data.map((value, i) => i % 4 === 3 ? 255 : 255 + (value - 255) * data[i - i % 4 + 3] / 255);
  return { data: mixed, width, height };
}
