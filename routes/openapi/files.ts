/**
 * The operations on files: uploads and what tasks make.
 *
 * @module
 */

import * as z from "zod";
import { uploads } from "./answers.ts";
import { about, id } from "./basics.ts";
import { artifacts } from "./task_answers.ts";
import { idempotencyKey, idPath, type Operation, type Operations } from "./operation.ts";

const tag = "Files";

const BYTES = z.string().meta({ override: { type: "string", format: "binary" } });

/** What is the same for every file. */
const download: Pick<Operation, "headers" | "answers" | "problems"> = {
  headers: z.object({
    Range: z.string().optional().meta({ description: "The part that is wanted: `bytes=0-99`." }),
    "If-None-Match": z.string().optional().meta({ description: "The ETag of a file that you have." }),
    "If-Range": z.string().optional().meta({ description: "The ETag that `Range` is about." }),
  }),
  answers: {
    200: {
      description: "The file.",
      media: ["application/octet-stream"],
      headers: z.object({
        ETag: z.string(),
        "Repr-Digest": about(z.string(), "SHA-256 of the whole file (RFC 9530)."),
        "Content-Disposition": z.string(),
        "Accept-Ranges": z.literal("bytes"),
      }),
    },
    206: {
      description: "The part of it that was asked for.",
      media: ["application/octet-stream"],
      headers: z.object({ "Content-Range": z.string() }),
    },
    304: { description: "You have it already." },
  },
  problems: ["not_found", "range_not_satisfiable"],
};

/** The operations. */
export const FILE_OPERATIONS: Operations = {
  "POST /api/uploads": {
    id: "upload",
    tag,
    summary: "Store files for tasks",
    description: "All files of a request are stored, or none. An upload that no task names is removed after 24 hours.",
    role: "operator",
    query: z.object({
      name: z.string().optional().meta({ description: "The name of a file that is the whole body." }),
    }),
    headers: z.object(idempotencyKey),
    body: {
      content: {
        "multipart/form-data": {
          schema: z.object({ file: about(z.array(BYTES).min(1).max(20), "Up to 20 files.") }),
        },
        "application/octet-stream": { schema: BYTES },
      },
    },
    answers: { 201: { description: "What was stored.", schema: uploads } },
    problems: [
      ...["no_file", "broken_multipart", "broken_encoding", "unsupported_encoding", "too_large"] as const,
      ...["too_many_parts", "too_many_uploads", "too_many_uploads_at_once", "disk_full"] as const,
    ],
  },
  "GET /api/tasks/{id}/artifacts": {
    id: "listArtifacts",
    tag,
    summary: "List the files that a task has made",
    path: idPath,
    answers: { 200: { description: "The files.", schema: artifacts } },
    problems: ["not_found"],
  },
  "GET /api/tasks/{id}/artifacts.zip": {
    id: "downloadArtifacts",
    tag,
    summary: "Download all files that a task has made",
    path: idPath,
    answers: { 200: { description: "A zip.", media: ["application/zip"] } },
    problems: ["not_found"],
  },
  "GET /api/tasks/{id}/artifacts/{name}": {
    id: "downloadArtifact",
    tag,
    summary: "Download a file that a task has made",
    path: idPath.extend({ name: about(z.string(), "The name of the file.") }),
    query: z.object({
      show: z.string().optional().meta({ description: "An HTML file as text that a browser shows." }),
    }),
    ...download,
  },
  "GET /api/tasks/{id}/files/{upload}": {
    id: "downloadInput",
    tag,
    summary: "Download a file that a task was given",
    role: "operator",
    path: idPath.extend({ upload: about(id, "The id of the upload.") }),
    ...download,
  },
};
