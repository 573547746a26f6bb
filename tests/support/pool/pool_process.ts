/** What a process runs in the tests of the pool. */

import { serveJobs } from "../../../queue/workers/pool_worker.ts";
import { pipes } from "../../../queue/workers/process_worker.ts";
import { KINDS } from "./pool_jobs.ts";

serveJobs(KINDS, pipes());
