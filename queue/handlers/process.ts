/**
 * The module that the workers of the pool run as processes.
 *
 * @module
 */

import { serveJobs } from "../pool_worker.ts";
import { pipes } from "../process_worker.ts";
import { JOBS } from "./jobs.ts";

serveJobs(JOBS, pipes());
