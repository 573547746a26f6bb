import {
  fitsText,
  HOME,
  hrefOf,
  listAddress,
  parseSearch,
  parseView,
  searchText,
  timeOf,
} from "../../../islands/app/url.ts";
import { filterWords } from "../../../islands/list/filter_words.ts";
import type { TaskSummary } from "../../../queue/task/summary.ts";
import { assertEquals } from "../../support/assert.ts";

const TYPES = ["csv_processing", "email_sending", "image_processing"];
const view = (query: string) => parseView(new URLSearchParams(query), TYPES);

Deno.test("a view is its address, and the other way round", () => {
  for (
    const address of [
      "./",
      "./?status=FAILED&status=CANCELLED&task_type=csv_processing&tag=weekly&q=orders&created_from=2h",
      "./?order=oldest&limit=100&cursor=01ARZ3NDEKTSV4RRFFQ69G5FAV&first=101",
      "./?task=01ARZ3NDEKTSV4RRFFQ69G5FAV&tab=logs&full=1&charts=24h&group=type",
      "./?new=email_sending&from=01ARZ3NDEKTSV4RRFFQ69G5FAV",
      "./?error=disk&schedule=01ARZ3NDEKTSV4RRFFQ69G5FAV&ended_from=1h&ended_to=2030-01-01",
    ]
  ) {
    const { view: parsed, ignored } = view(address.slice(2));
    assertEquals([hrefOf(parsed, {}), ignored], [address, []]);
  }
});

Deno.test("what is not known is left out and named", () => {
  const { view: parsed, ignored } = view("?status=BROKEN&task_type=none&limit=7&tab=x&created_from=soon&cursor=../x");
  assertEquals(parsed, HOME);
  assertEquals(ignored, [
    "status=BROKEN",
    "task_type=none",
    "created_from=soon",
    "limit=7",
    "cursor=../x",
    "tab=x",
  ]);
});

Deno.test("the search takes qualifiers, parts of names and quotes", () => {
  const { parts, ignored } = parseSearch(
    'status:fail type:csv tag:"two words" created:>2h id:8F3A more "and this"',
    TYPES,
  );
  assertEquals(parts, {
    statuses: ["FAILED"],
    task_types: ["csv_processing"],
    tag: "two words",
    error: "",
    schedule: "",
    ended_from: "",
    ended_to: "",
    created_from: "2h",
    q: "8F3A more and this",
  });
  assertEquals(ignored, []);
  assertEquals(parseSearch("status:odd type:none created:>never", TYPES).ignored, [
    "status:odd",
    "type:none",
    "created:>never",
  ]);
  assertEquals(searchText({ ...HOME, ...parts }), 'tag:"two words" 8F3A more and this');
  for (
    const text of [
      "error:timeout ended:>1h",
      'error:"disk is full" ended:<2d x',
      "https://example.com/a",
      '"re: hello"',
      "schedule:01ARZ3NDEKTSV4RRFFQ69G5FAV",
      '"error:x"',
      String.raw`error:"say \"hi\" now"`,
      String.raw`"a \\ b \"c\""`,
    ]
  ) {
    const { parts, ignored } = parseSearch(text, TYPES);
    assertEquals([searchText({ ...HOME, ...parts }), ignored], [text, []]);
  }
  assertEquals(parseSearch("Status:failed ERROR:x schedule:1", TYPES), {
    parts: { tag: "", error: "x", schedule: "", ended_from: "", ended_to: "", q: "", statuses: ["FAILED"] },
    ignored: ["schedule:1"],
  });
  assertEquals(view("?created_from=1h&created_to=2h").ignored, ["created_to=2h"]);
  assertEquals(parseSearch("priority:5 instance:a x", TYPES), {
    parts: { tag: "", error: "", schedule: "", ended_from: "", ended_to: "", q: "x" },
    ignored: ["priority:5", "instance:a"],
  });
  assertEquals(view("?search=status:failed+x").view, { ...HOME, statuses: ["FAILED"], q: "x" });
});

Deno.test("times are ages, dates or moments", () => {
  const now = Date.parse("2030-01-02T00:00:00Z");
  assertEquals(timeOf("2h", now), now - 7_200_000);
  assertEquals(timeOf("2030-01-01", now), now - 86_400_000);
  assertEquals(timeOf("2030-01-01T01:00:00+01:00", now), now - 86_400_000);
  for (const text of ["", "2", "h", "2030", "2030-13-01", "-2h"]) assertEquals(timeOf(text, now), NaN, text);
  assertEquals(
    listAddress({ ...HOME, created_from: "1d" }, now),
    "api/tasks/?created_from=2030-01-01T00%3A00%3A00.000Z&limit=50&facets=status",
  );
});

Deno.test("a filter in words, and whether a task fits it", () => {
  const parsed = view("?status=FAILED&task_type=csv_processing&q=orders&created_from=2h").view;
  assertEquals(
    filterWords(parsed, () => "Process a CSV"),
    "FAILED, Process a CSV, created in the last 2 hours, text “orders”",
  );
  assertEquals(
    filterWords(view("?error=disk&tag=a&created_from=1h&ended_to=1d&ended_from=2030-01-01").view, String),
    "tag a, error “disk”, created in the last hour, ended from 2030-01-01, ended more than 1 day ago",
  );
  const now = Date.parse("2030-01-02T00:00:00Z");
  const task = {
    id: "X",
    title: "ORDERS",
    task_type: "t",
    message: "",
    tags: [],
    created_at: "2030-01-01T23:00:00Z",
    error: null,
  };
  assertEquals(fitsText(parsed, task as unknown as TaskSummary, now), true);
  assertEquals(fitsText(parsed, { ...task, created_at: "2030-01-01T21:00:00Z" } as unknown as TaskSummary, now), false);
});
