import { ssim } from "ssim.js";
import { decode, encode, OUTPUT_FORMATS } from "../../../../queue/handlers/image/codecs.ts";
import { FITS } from "../../../../queue/handlers/image/fit.ts";
import { formatOf, readHeader } from "../../../../queue/handlers/image/header.ts";
import { work } from "../../../../queue/handlers/image/worker.ts";
import { assertEquals, ok } from "../../../support/assert.ts";
import { packageFolder } from "../../../support/packages.ts";
import { lanczos3 } from "../../../support/resize.ts";

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
        const { value } = await work({
          source: file.slice().buffer,
          seed: 0,
          ...TARGET,
          fit,
          format,
          quality: 90,
          background: "#ffffff",
          keepMetadata: false,
          maxPixels: 40_000_000,
        });
        const { width, height } = readHeader(file)!;
        assertEquals(value.original, { width, height, bytes: file.length, format: formatOf(file)! });
        const inside = Math.min(1, TARGET.width / width, TARGET.height / height);
        const expected = fit === "inside"
          ? { width: Math.round(width * inside), height: Math.round(height * inside) }
          : TARGET;
        const result = new Uint8Array(value.file);
        assertEquals(readHeader(result), { format, ...expected, animated: false });
        assertEquals(value.resized, { ...expected, bytes: result.length });
        if (fit !== "fill") return;
        // What is seen is what a plain scaler in floating point makes of the same picture on white.
        const opaque = await decode(await encode(await onWhite(file), "png", 100), "png");
        const { mssim } = ssim(await decode(result, format), lanczos3(opaque, TARGET.width, TARGET.height));
        ok(mssim > (format === "png" ? 0.99 : 0.95), `SSIM ${mssim}`);
      });
    }
  }
}

/** The picture as it is, with white behind what is transparent. */
async function onWhite(file: Uint8Array<ArrayBuffer>) {
  const { data, width, height } = await decode(file, formatOf(file)!);
  const mixed = data.map((value, i) => i % 4 === 3 ? 255 : 255 + (value - 255) * data[i - i % 4 + 3] / 255);
  return { data: mixed, width, height };
}
