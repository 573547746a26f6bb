import { RecentMap } from "../../queue/recent_map.ts";
import { assertEquals } from "../support/assert.ts";

Deno.test("a recent map keeps the entries that were set last", () => {
  const map = new RecentMap<string, number>(2);
  map.set("a", 1).set("b", 2).set("a", 3).set("c", 4);
  assertEquals([...map], [["a", 3], ["c", 4]]);
});
