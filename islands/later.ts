/**
 * What is loaded when it is first needed: the details, the form and the charts, in one chunk. It imports all that the
 * page needs at first, too, so that the bundler makes one chunk of that: gzip makes one large file smaller than several
 * small ones.
 *
 * @module
 */

import "./list/filters.tsx";
import "./list/strip.tsx";
import "./list/task_list.tsx";
import "./shell/header.tsx";
import "./shell/keyboard.ts";
import "./shell/overlay.tsx";
import "./shell/toolbars.ts";
import "./app/actions.ts";
import "./app/live.ts";
import "./app/navigate.ts";

export { Charts } from "./charts/charts.tsx";
export { TaskDetails } from "./details/details.tsx";
export { enterAgain, SubmitForm } from "./form/form.tsx";
