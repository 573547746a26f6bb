/**
 * Sends files with progress, and previews them before they are sent.
 *
 * @module
 */

import { bytes, count, number } from "../app/format.ts";
import { kindsOf } from "./schema/schema.ts";

/** A file could not be sent. */
export class UploadError extends Error {
  constructor(message: string, readonly status: number) {
    super(message);
  }
}

/** Sends a file. Returns the id of the upload. */
export function uploadFile(file: File, onProgress: (sent: number) => void, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    // Unlike fetch, XMLHttpRequest reports upload progress.
    const request = new XMLHttpRequest();
    request.open("POST", `api/uploads?name=${encodeURIComponent(file.name)}`);
    if (file.type) request.setRequestHeader("Content-Type", file.type);
    request.upload.onprogress = ({ loaded }) => onProgress(loaded);
    request.onerror = () => reject(new UploadError(`${file.name}: the connection was lost.`, 0));
    request.onabort = () => reject(new UploadError(`${file.name}: cancelled.`, -1));
    request.onload = () => {
      let answer: { upload_id?: string; detail?: string } = {};
      try {
        answer = JSON.parse(request.responseText);
      } catch {
        // Not our response: a proxy's page, for example. The status is enough.
      }
      if (request.status === 201 && answer.upload_id) resolve(answer.upload_id);
      else reject(new UploadError(`${file.name}: ${answer.detail ?? `refused (${request.status})`}`, request.status));
    };
    signal.addEventListener("abort", () => request.abort());
    if (signal.aborted) request.abort();
    request.send(file);
  });
}

/** What is wrong with a file, before it is sent; null: nothing. */
export function fileComplaint(file: File, accept: string | undefined, maxBytes: number): string | null {
  if (file.size > maxBytes) return `${file.name} is ${bytes(file.size)}; the limit is ${bytes(maxBytes)}.`;
  if (file.size === 0) return `${file.name} is empty.`;
  const kinds = (accept ?? "").split(",").map((kind) => kind.trim().toLowerCase()).filter(Boolean);
  const fits = kinds.length === 0 ||
    kinds.some((kind) =>
      kind.startsWith(".")
        ? file.name.toLowerCase().endsWith(kind)
        : kind.endsWith("/*")
        ? file.type.startsWith(kind.slice(0, -1))
        : file.type === kind
    );
  return fits ? null : `${file.name} is of the wrong type. Use ${kindsOf(accept)}.`;
}

/** A preview of a file before it is sent: one line, and the first rows of a table. */
export interface FilePreview {
  text: string;
  rows: string[][];
}

const HEAD_BYTES = 64 * 1024;
const ROWS = 5;
const COLUMNS = 12;

/** Creates the preview of a file. */
export async function previewOf(file: File): Promise<FilePreview> {
  const plain = { text: `${file.name}, ${bytes(file.size)}`, rows: [] };
  if (/\.(csv|tsv|txt)$/i.test(file.name) || file.type.startsWith("text/")) {
    const head = await file.slice(0, HEAD_BYTES).text();
    const whole = file.size <= HEAD_BYTES;
    const rows = parseHead(head, whole);
    const [names = []] = rows;
    if (rows.length === 0) return { text: `${plain.text}: no line ends in its first ${bytes(HEAD_BYTES)}`, rows: [] };
    const estimate = Math.round((rows.length - 1) * file.size / HEAD_BYTES);
    const amount = whole ? count(Math.max(0, rows.length - 1), "row") : `about ${number(estimate)} rows`;
    return {
      text: `${plain.text}: ${amount}, ${count(names.length, "column")}`,
      rows: rows.slice(0, ROWS + 1).map((row) => row.slice(0, COLUMNS)),
    };
  }
  if (file.type.startsWith("image/")) {
    const size = await createImageBitmap(file).then((image) => {
      const size = `${image.width}×${image.height} px`;
      image.close();
      return size;
    }, () => "no preview in this browser");
    return { text: `${plain.text}: ${size}`, rows: [] };
  }
  return plain;
}

/** The rows of the head of a CSV; the last one only if the text is whole. Good enough for a preview only. */
function parseHead(text: string, whole: boolean): string[][] {
  const start = text.replace(/^\uFEFF/, "");
  const firstLine = start.slice(0, start.search(/\r?\n|$/));
  const delimiter = [",", ";", "\t", "|"].toSorted((a, b) => firstLine.split(b).length - firstLine.split(a).length)[0];
  const rows: string[][] = [];
  let row: string[] = [];
  let cell = "";
  let quoted = false;
  for (let i = 0; i < start.length; i++) {
    const char = start[i];
    if (quoted) {
      if (char !== '"') cell += char;
      else if (start[i + 1] === '"') cell += start[++i];
      else quoted = false;
    } else if (char === '"' && cell === "") quoted = true;
    else if (char === delimiter) {
      row.push(cell);
      cell = "";
    } else if (char === "\n") {
      row.push(cell.replace(/\r$/, ""));
      if (row.length > 1 || row[0] !== "") rows.push(row);
      row = [];
      cell = "";
    } else cell += char;
  }
  if (whole && (cell !== "" || row.length > 0)) rows.push([...row, cell]);
  return rows;
}
