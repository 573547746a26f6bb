/**
 * The module that the workers of the pool run as processes.
 *
 * @module
 */

import { serveJobs } from "../workers/pool_worker.ts";
import { pipes } from "../workers/process_worker.ts";
import { JOBS } from "./jobs.ts";

serveJobs(JOBS, pipes());
