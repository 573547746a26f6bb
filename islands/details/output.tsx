/**
 * The output of a task: files, images, statistics, the results of a mailing, or any JSON.
 *
 * @module
 */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { ArtifactInfo, Task } from "../../queue/task/summary.ts";
import { absolute, bytes, number } from "../app/format.ts";
import { Icon } from "../shell/icons.tsx";
import { CloseButton, Dialog } from "../shell/overlay.tsx";
import type { Store } from "../app/state.ts";
import { CsvOutput, type CsvResult, isCsv } from "./csv.tsx";
import { address, type ImageOutcome, isImages, isMail, MailOutput, type MailResult, Outcomes } from "./outcomes.tsx";
import { FieldList } from "./value.tsx";

/** Pictures that browsers show. */
const PICTURE = /^image\/(png|jpeg|webp|avif|gif)$/;

interface Picture {
  file: string;
  alt: string;
  width: number;
  height: number;
}

function picturesOf(task: Task): Picture[] {
  const { images = [] } = (task.result ?? {}) as { images?: ImageOutcome[] };
  const sizes = new Map(images.flatMap(({ file, resized, sizes = [] }) => [
    [file, resized] as const,
    ...sizes.map((size) => [size.file, size] as const),
  ]));
  // The result lists the requested images; the originals are among the files.
  const wanted = ({ name, media_type }: ArtifactInfo) =>
    PICTURE.test(media_type) && (sizes.size === 0 || sizes.has(name));
  return task.artifacts.filter(wanted).map(({ name, media_type, size }, i) => {
    const known = sizes.get(name);
    const kind = media_type.slice("image/".length).toUpperCase();
    return {
      file: name,
      alt: `Output ${i + 1}, ${kind}${known ? ` ${known.width}×${known.height}` : ""}, ${bytes(size)}`,
      width: known?.width ?? 4,
      height: known?.height ?? 3,
    };
  });
}

const THUMBNAIL = 96;

function Pictures({ task }: { task: Task }): JSX.Element | null {
  const pictures = picturesOf(task);
  const [shown, setShown] = useState<number | null>(null);
  if (pictures.length === 0) return null;
  const at = shown === null ? null : pictures[shown];
  const step = (by: number) => setShown((shown! + by + pictures.length) % pictures.length);
  return (
    <>
      <ul class="images">
        {pictures.map(({ file, alt, width, height }, i) => {
          const scale = THUMBNAIL / Math.max(width, height);
          return (
            <li key={file}>
              <a
                href={address(task, file)}
                target="_blank"
                onClick={(event) => {
                  event.preventDefault();
                  setShown(i);
                }}
              >
                <img
                  src={address(task, file)}
                  alt={alt}
                  width={Math.max(1, Math.round(width * scale))}
                  height={Math.max(1, Math.round(height * scale))}
                  loading="lazy"
                />
              </a>
            </li>
          );
        })}
      </ul>
      {at && (
        <Dialog label="Picture" onClose={() => setShown(null)} kind="viewer">
          <header class="dialog-head">
            <h2>{at.file}</h2>
            <CloseButton onClose={() => setShown(null)} />
          </header>
          <img
            src={address(task, at.file)}
            alt={at.alt}
            width={at.width}
            height={at.height}
            tabIndex={0}
            onKeyDown={({ key }) => {
              if (key === "ArrowLeft") step(-1);
              if (key === "ArrowRight") step(1);
            }}
          />
          <div class="buttons">
            <button type="button" onClick={() => step(-1)}>
              <Icon name="back" /> Previous
            </button>
            <span class="muted">{shown! + 1} of {pictures.length} · {at.alt}</span>
            <button type="button" onClick={() => step(1)}>
              Next <Icon name="next" />
            </button>
          </div>
        </Dialog>
      )}
    </>
  );
}

function Files({ task, store }: { task: Task; store: Store }): JSX.Element | null {
  if (task.artifacts.length === 0) return null;
  // What sums up the others comes before single messages and pictures.
  const isSingle = ({ name }: ArtifactInfo) => /\.eml$|^image-|^message-/.test(name);
  const shown = task.artifacts.toSorted((a, b) => Number(isSingle(a)) - Number(isSingle(b))).slice(0, 100);
  return (
    <section aria-label="Files">
      <h3>Files</h3>
      <p class="result-line">
        <span class="muted">
          {task.delete_at && `Kept until ${absolute(Date.parse(task.delete_at), store.preferences.value.time)}`}
        </span>
        {task.artifacts.length > 1 && (
          <a href={`api/tasks/${task.id}/artifacts.zip`} download>Download all {number(task.artifacts.length)} files</a>
        )}
      </p>
      <table class="rows files">
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col">Type</th>
            <th scope="col" class="number">Size</th>
          </tr>
        </thead>
        <tbody>
          {shown.map(({ name, size, media_type }: ArtifactInfo) => (
            <tr key={name}>
              <td>
                <a href={address(task, name)} download={name}>{name}</a>
              </td>
              <td>{media_type}</td>
              <td class="number">{bytes(size)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {task.artifacts.length > shown.length && (
        <p class="muted">and {number(task.artifacts.length - shown.length)} more in the zip</p>
      )}
    </section>
  );
}

/** The output of a task. */
export function Output({ task, store }: { task: Task; store: Store }): JSX.Element {
  const { result } = task;
  if (result === null && task.artifacts.length === 0) {
    return <p class="muted">{task.completed_at ? "No output." : "No output yet."}</p>;
  }
  return (
    <>
      {result !== null && (
        isCsv(result)
          ? <CsvOutput result={result as unknown as CsvResult} />
          : isMail(result)
          ? <MailOutput result={result as unknown as MailResult} task={task} />
          : isImages(result)
          ? <Outcomes result={result} />
          : <FieldList of={typeof result === "object" && !Array.isArray(result) ? result : { result }} />
      )}
      <Pictures task={task} />
      <Files task={task} store={store} />
    </>
  );
}
