/** What a process runs in the tests of the pool. */

import { serveJobs } from "../../queue/pool_worker.ts";
import { pipes } from "../../queue/process_worker.ts";
import { KINDS } from "./pool_jobs.ts";

serveJobs(KINDS, pipes());
