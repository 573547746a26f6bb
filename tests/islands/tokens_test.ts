import { assertEquals, ok } from "../support/assert.ts";

const css = await Deno.readTextFile(new URL("../../static/tokens.css", import.meta.url));
const THEMES = ["light", "dark"] as const;

/** A colour of the page, `#rrggbb`. */
function token(name: string, theme: (typeof THEMES)[number]): string {
  const match = new RegExp(`--${name}: light-dark\\((#[0-9a-f]{6}), (#[0-9a-f]{6})\\)`).exec(css);
  ok(match, `--${name}`);
  return match[theme === "light" ? 1 : 2];
}

/** Contrast of two colours as WCAG 2.2 defines it. */
function contrast(a: string, b: string): number {
  const luminance = (hex: string) => {
    const [red, green, blue] = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255)
      .map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const [light, dark] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (light + 0.05) / (dark + 0.05);
}

Deno.test("black on white is 21 to 1", () => assertEquals(Math.round(contrast("#000000", "#ffffff")), 21));

Deno.test("text has 4.5 to 1 on every surface, what is drawn 3 to 1, light and dark", () => {
  const poor: string[] = [];
  const check = (theme: (typeof THEMES)[number], over: string, on: string, least: number) => {
    const ratio = contrast(token(over, theme), token(on, theme));
    if (ratio < least) poor.push(`${theme}: ${over} on ${on} is ${ratio.toFixed(2)}`);
  };
  for (const theme of THEMES) {
    for (const surface of ["bg", "surface", "hover", "selected"]) {
      for (const text of ["text", "muted", "accent"]) check(theme, text, surface, 4.5);
      for (const line of ["control", "focus"]) check(theme, line, surface, 3);
    }
    check(theme, "on-accent", "accent", 4.5);
    check(theme, "on-danger", "danger", 4.5);
    for (const status of ["pending", "running", "success", "failed", "cancelled"]) {
      for (const surface of ["surface", "hover", "selected", `${status}-tint`]) check(theme, status, surface, 4.5);
      for (const surface of ["surface", "hover", `${status}-tint`]) check(theme, `${status}-solid`, surface, 3);
    }
  }
  assertEquals(poor, []);
});
