/** What a Web Worker runs in the tests of the pool. */

import { serveJobs } from "../../../queue/workers/pool_worker.ts";
import { KINDS } from "./pool_jobs.ts";

serveJobs(KINDS);
