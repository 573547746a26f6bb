/**
 * The module that the workers of the pool run as Web Workers.
 *
 * @module
 */

import { serveJobs } from "../workers/pool_worker.ts";
import { JOBS } from "./jobs.ts";

serveJobs(JOBS);
