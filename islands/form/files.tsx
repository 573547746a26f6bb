/**
 * A field for files: chosen or dropped, previewed before they are sent, with the progress of each.
 *
 * @module
 */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Json } from "../../queue/task/record.ts";
import { bytes } from "../app/format.ts";
import { Icon } from "../shell/icons.tsx";
import { controlProps, type FieldProps } from "./controls.tsx";
import { labelOf } from "./schema/schema.ts";
import type { FilePreview } from "./upload.ts";

/** A chosen file and its progress. */
export interface Chosen {
  file: File;
  complaint: string | null;
  preview: FilePreview | null;
  /** Bytes sent; null: not started. */
  sent: number | null;
  id: string | null;
  failed: string | null;
}

function FileList({ chosen, onRemove, disabled }: {
  chosen: Chosen[];
  onRemove: (file: File) => void;
  disabled: boolean;
}): JSX.Element | null {
  if (chosen.length === 0) return null;
  return (
    <ul class="uploads">
      {chosen.map(({ file, complaint, preview, sent, id, failed }) => (
        <li key={`${file.name} ${file.size} ${file.lastModified}`}>
          <span class="upload-name">
            <Icon name="file" />
            {preview?.text ?? `${file.name}, ${bytes(file.size)}`}
          </span>
          {sent !== null && (
            <progress max={file.size} value={id ? file.size : sent} aria-label={`Sending ${file.name}`} />
          )}
          {id && <span class="muted">sent</span>}
          {(complaint ?? failed) && <span class="error">Error: {complaint ?? failed}</span>}
          <button
            type="button"
            class="quiet"
            aria-label={`Remove ${file.name}`}
            disabled={disabled}
            onClick={() =>
              onRemove(file)}
          >
            <Icon name="close" />
          </button>
          {preview && preview.rows.length > 0 && (
            <div class="scroll" tabIndex={0} role="region" aria-label={`First rows of ${file.name}`}>
              <table class="rows">
                <thead>
                  <tr>{preview.rows[0].map((cell, i) => <th key={i} scope="col">{cell}</th>)}</tr>
                </thead>
                <tbody>
                  {preview.rows.slice(1).map((row, i) => (
                    <tr key={i}>{row.map((cell, j) => <td key={j}>{cell}</td>)}</tr>
                  ))}
                </tbody>
              </table>
            </div>
          )}
        </li>
      ))}
    </ul>
  );
}

/** The field: the browser's own control, a place to drop files on, and the files that were chosen. */
export function FileField(
  props: FieldProps & {
    chosen: Chosen[];
    kept: Json | undefined;
    busy: boolean;
    onChoose: (files: File[]) => void;
  },
): JSX.Element {
  const { schema, pointer, chosen, kept, busy, onChoose, name } = props;
  const { accept, multiple } = schema["x-file"]!;
  const [over, setOver] = useState(false);
  const ids = (Array.isArray(kept) ? kept : [kept]).filter((id) => typeof id === "string");
  return (
    <div
      class={over ? "drop over" : "drop"}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        if (!busy && event.dataTransfer) onChoose([...event.dataTransfer.files]);
      }}
    >
      <input
        {...controlProps(props)}
        type="file"
        accept={accept}
        // With JavaScript, a single-file field accepts several files and creates a task for each.
        multiple={multiple || typeof document !== "undefined"}
        disabled={busy}
        aria-label={labelOf(name, schema)}
        onInput={undefined}
        onBlur={undefined}
        onChange={({ currentTarget }) => {
          const list = [...currentTarget.files ?? []];
          if (list.length > 0) onChoose(list);
        }}
      />
      <span class="js muted">or drop {multiple ? "files" : "a file"} here</span>
      {chosen.length === 0 && ids.map((id) => (
        <span key={id} class="note">
          <input type="hidden" name={`kept${pointer}`} value={id} />
          Uses the original file unless you choose a new one.
        </span>
      ))}
      <FileList
        chosen={chosen}
        disabled={busy}
        onRemove={(file) => onChoose(chosen.map((one) => one.file).filter((other) => other !== file))}
      />
    </div>
  );
}
