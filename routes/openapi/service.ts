/**
 * The operations on the service itself: types, numbers, health, the stream.
 *
 * @module
 */

import * as z from "zod";
import { pauseSchema } from "../api/system.ts";
import { seriesQuery } from "../http/query.ts";
import * as answers from "./answers.ts";
import { about } from "./basics.ts";
import type { Operations } from "./operation.ts";

const typePath = z.object({ type: about(z.string(), "The name of the type.").meta({ example: "csv_processing" }) });

/** The operations. */
export const SERVICE_OPERATIONS: Operations = {
  "GET /api/task-types": {
    id: "listTaskTypes",
    tag: "Service",
    summary: "List task types with the schemas of their parameters",
    answers: { 200: { description: "All of them.", schema: answers.typeInfos } },
  },
  "POST /api/task-types/{type}/pause": {
    id: "pauseTaskType",
    tag: "Service",
    summary: "Start no more tasks of a type",
    role: "operator",
    path: typePath,
    body: { schema: pauseSchema, optional: true, examples: { "with a reason": { reason: "the mail server moves" } } },
    answers: { 200: { description: "The type.", schema: answers.typeInfo } },
    problems: ["not_found"],
  },
  "POST /api/task-types/{type}/resume": {
    id: "resumeTaskType",
    tag: "Service",
    summary: "Start tasks of a type again",
    role: "operator",
    path: typePath,
    answers: { 200: { description: "The type.", schema: answers.typeInfo } },
    problems: ["not_found"],
  },
  "GET /api/stats": {
    id: "getStats",
    tag: "Service",
    summary: "Read how many tasks there are",
    answers: { 200: { description: "Exact counts.", schema: answers.stats } },
  },
  "GET /api/series": {
    id: "getSeries",
    tag: "Service",
    summary: "Read what happened over time",
    query: seriesQuery,
    answers: { 200: { description: "Bucket by bucket, oldest first.", schema: answers.series } },
  },
  "GET /api/me": {
    id: "getCaller",
    tag: "Service",
    summary: "Read who you are and what you may do",
    answers: { 200: { description: "The caller.", schema: answers.caller } },
  },
  "GET /api/health": {
    id: "getHealth",
    tag: "Service",
    summary: "Read whether the service works",
    description: "To anyone the status; to a caller with a token also the checks.",
    role: "anyone",
    answers: {
      200: { description: "It works.", schema: answers.health },
      503: { description: "It does not.", schema: answers.health },
    },
  },
  "GET /metrics": {
    id: "getMetrics",
    tag: "Service",
    summary: "Read the metrics of this instance",
    answers: { 200: { description: "The text format of Prometheus.", media: ["text/plain"] } },
  },
  "GET /livez": {
    id: "getLiveness",
    tag: "Service",
    summary: "Read whether the process lives",
    role: "anyone",
    answers: { 200: { description: "It answers.", schema: answers.liveness } },
  },
  "GET /readyz": {
    id: "getReadiness",
    tag: "Service",
    summary: "Read whether this instance takes requests",
    description: "Not while the store cannot be used, or once the service stops.",
    role: "anyone",
    answers: {
      200: { description: "It does.", schema: answers.readiness },
      503: { description: "It does not.", schema: answers.readiness },
    },
  },
  "GET /openapi.json": {
    id: "getDescription",
    tag: "Service",
    summary: "Read this description",
    answers: {
      200: { description: "OpenAPI 3.1.", schema: z.record(z.string(), z.unknown()) },
      304: { description: "You have it already." },
    },
  },
  "GET /ws": {
    id: "openSocket",
    tag: "Service",
    summary: "Open the WebSocket of changes",
    description: "A handshake (RFC 6455). `routes/README.md` says what the frames are.",
    answers: { 101: { description: "The socket is open." } },
    problems: ["not_a_websocket", "foreign_origin", "too_many_streams", "stopping"],
  },
};
