/**
 * What came of the parts of a task: messages that were sent or not, images that were resized or not.
 *
 * @module
 */

import type { JSX } from "preact";
import type { Json } from "../../queue/task/record.ts";
import type { Task } from "../../queue/task/summary.ts";
import { count, number } from "../app/format.ts";

/** Where a file of a task is. */
export function address(task: Task, name: string): string {
  return `api/tasks/${task.id}/artifacts/${encodeURIComponent(name)}`;
}

/** Pixels. */
export interface Size {
  width: number;
  height: number;
}

/** An entry of the result of a task that resizes images. */
export interface ImageOutcome {
  name: string;
  ok: boolean;
  error?: string;
  file?: string;
  resized?: Size;
  sizes?: (Size & { file: string })[];
  warnings?: string[];
}

/** The result of a mailing. */
export interface MailResult {
  sent: number;
  failed?: number;
  skipped?: number;
  unknown?: number;
  failures?: { [key: string]: Json }[];
}

/** Whether a result is that of a mailing. */
export function isMail(result: Json): boolean {
  return typeof result === "object" && result !== null && "sent" in result && !Array.isArray(result);
}

/** Whether a result is that of resized images. */
export function isImages(result: Json): boolean {
  return typeof result === "object" && result !== null && "images" in result && !Array.isArray(result);
}

function MailCounts({ result }: { result: MailResult }): JSX.Element {
  return (
    <ul class="outcomes">
      <li class="success">
        <strong>{number(result.sent)}</strong> sent
      </li>
      <li class={result.failed ? "failed" : undefined}>
        <strong>{number(result.failed ?? 0)}</strong> bounced
      </li>
      <li>
        <strong>{number(result.skipped ?? 0)}</strong> skipped
      </li>
      {(result.unknown ?? 0) > 0 && (
        <li class="failed">
          <strong>{number(result.unknown!)}</strong> unknown
        </li>
      )}
    </ul>
  );
}

/** The counts of a mailing, or what came of images. */
export function Outcomes({ result }: { result: Json }): JSX.Element {
  return isMail(result) ? <MailCounts result={result as unknown as MailResult} /> : <ImageOutcomes result={result} />;
}

/** The output of a mailing: counts, then what was not sent, then a message. */
export function MailOutput({ result, task }: { result: MailResult; task: Task }): JSX.Element {
  const failures = result.failures ?? [];
  const preview = task.artifacts.find(({ name }) => name === "preview.html");
  return (
    <section aria-label="Outcomes">
      <MailCounts result={result} />
      {failures.length > 0 && (
        <table class="rows">
          <caption>Not sent, or not known to be</caption>
          <thead>
            <tr>{Object.keys(failures[0]).map((name) => <th key={name} scope="col">{name}</th>)}</tr>
          </thead>
          <tbody>
            {failures.slice(0, 100).map((failure, i) => (
              <tr key={i}>{Object.values(failure).map((value, j) => <td key={j}>{String(value)}</td>)}</tr>
            ))}
          </tbody>
        </table>
      )}
      {preview && (
        <>
          <h3>First message</h3>
          <iframe
            class="message-frame"
            sandbox=""
            title="First message"
            src={`${address(task, preview.name)}?show`}
            loading="lazy"
          />
        </>
      )}
    </section>
  );
}

function ImageOutcomes({ result }: { result: Json }): JSX.Element {
  const { images } = result as unknown as { images: ImageOutcome[] };
  const bad = images.filter(({ ok }) => !ok);
  const notes = images.flatMap(({ name, error, warnings = [] }) =>
    (error ? [error] : warnings).map((text) => `${name}: ${text}`)
  );
  return (
    <section aria-label="Images">
      <p>
        {count(images.length - bad.length, "image")} resized{bad.length > 0 && (
          <>
            , <strong class="bad">{number(bad.length)} failed</strong>
          </>
        )}
      </p>
      {notes.length > 0 && <ul class="values">{notes.map((text, i) => <li key={i}>{text}</li>)}</ul>}
    </section>
  );
}
