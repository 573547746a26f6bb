import { duration, relative } from "../../../islands/app/format.ts";
import { assertEquals } from "../../support/assert.ts";

const [S, M, H, D] = [1_000, 60_000, 3_600_000, 86_400_000];

Deno.test("times from now are rounded, not cut: what starts in two hours is not said to start in one", () => {
  const cases: [number, string][] = [
    [1 * S, "just now"],
    [5.4 * S, "in 5 s"],
    [59.6 * S, "in 1 m"],
    [90 * S, "in 2 m"],
    [2 * H - 1 * S, "in 2 h"],
    [2.5 * H, "in 2 h 30 m"],
    [59 * M + 50 * S, "in 1 h"],
    [7 * D - 1 * S, "in 7 days"],
    [-3 * M, "3 m ago"],
    [-(1 * H + 59 * M), "1 h 59 m ago"],
  ];
  for (const [away, expected] of cases) assertEquals(relative(away, 0), expected);
  assertEquals([duration(7 * D - S), duration(2.4 * D)], ["7 days", "2 days"]);
});
