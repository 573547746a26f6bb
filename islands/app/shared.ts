/**
 * What the entry and the parts that are loaded later have in common. Each of them imports this module, so that the
 * bundler makes one chunk of it: gzip makes one large file smaller than four small ones.
 *
 * @module
 */

import "../list/status.tsx";
import "../shell/overlay.tsx";
import "./actions.ts";
import "./navigate.ts";
