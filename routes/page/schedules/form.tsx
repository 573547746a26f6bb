/**
 * The form that makes and changes a schedule. It needs no script: fields that do not count are hidden by the style sheet.
 *
 * @module
 */

import type { JSX } from "preact";
import type { FieldProps } from "../../../islands/form/controls.tsx";
import { DataChoice } from "../../../islands/form/data_choice.tsx";
import { ErrorSummary } from "../../../islands/form/error_summary.tsx";
import { FieldError, Fields } from "../../../islands/form/fields.tsx";
import { FileField } from "../../../islands/form/files.tsx";
import type { Schema } from "../../../islands/form/schema/schema.ts";
import { SUBMIT_OPTIONS } from "../../../islands/form/schema/submit_options.ts";
import { MISSED_POLICIES } from "../../../queue/actions/schedules.ts";
import type { TypeInfo } from "../../../queue/task/api_types.ts";
import { SCHEDULE_CHARS } from "../../../queue/task/limits.ts";
import type { Json } from "../../../queue/task/record.ts";
import { type Chosen, cronOf, cronWords, REPEATS, WEEKDAYS } from "./repeat.ts";
import { NextTimes } from "./times.tsx";

/** What a form shows. */
export interface ScheduleForm {
  /** The schedule that it changes; null for a new one. */
  id: string | null;
  type: TypeInfo;
  name: string;
  chosen: Chosen;
  timezone: string;
  /** Whether the zone is not that of the reader, which a script knows. */
  isZoneUnknown: boolean;
  missed: string;
  params: Record<string, Json>;
  options: Record<string, Json>;
  /** Whether own data is chosen, though none may be given. */
  own: boolean;
  /** What was entered, by pointer. */
  texts: Record<string, string>;
  errors: Record<string, string>;
  /** The next times, milliseconds since the epoch; null: not asked for. */
  times: number[] | null;
}

/** A schedule's own options: those of a task but for the start. */
const { run_at: _, ...options } = SUBMIT_OPTIONS.properties!;
/** As a schema. */
export const SCHEDULE_OPTIONS: Schema = {
  ...SUBMIT_OPTIONS,
  properties: {
    max_lateness: {
      type: "number",
      minimum: 1,
      maximum: 366 * 86_400,
      title: "Missed if later than",
      description: "What starts later was missed. Default: 60.",
      "x-unit": "s",
    },
    ...options,
  },
};

const MISSED: Record<(typeof MISSED_POLICIES)[number], string> = {
  skip: "Skip missed times",
  once: "Run once for all missed times",
};

const ZONES = ["UTC", ...Intl.supportedValuesOf("timeZone").filter((zone) => zone !== "UTC")];

function Choice({ name, label, value, options, className }: {
  name: string;
  label: string;
  value: string;
  options: Record<string, string>;
  className?: string;
}): JSX.Element {
  return (
    <div class={`field ${className ?? ""}`}>
      <label for={name}>{label}</label>
      <select id={name} name={name}>
        {Object.entries(options).map(([option, text]) => (
          <option key={option} value={option} selected={option === value}>{text}</option>
        ))}
      </select>
    </div>
  );
}

/** The form. */
export function ScheduleFormPage({ form, types, maxUpload }: {
  form: ScheduleForm;
  types: TypeInfo[];
  maxUpload: number;
}): JSX.Element {
  const { id, type, name, chosen, timezone, isZoneUnknown, missed, params, options, own, texts, errors, times } = form;
  const context = {
    texts,
    errors,
    maxUpload,
    file: (props: FieldProps) => (
      <FileField {...props} chosen={[]} kept={params[props.name]} busy={false} onChoose={() => {}} />
    ),
  };
  const schema = type.params as Schema;
  const title = id ? `Edit schedule “${name}”` : "New schedule";
  const cron = cronOf(chosen);
  return (
    <main class="plain">
      <p>
        <a href="schedules">Schedules</a>
      </p>
      <h1>{title}</h1>
      {!id && (
        <nav class="tabs" aria-label="Task type">
          {types.map((one) => (
            <a
              key={one.type}
              href={`schedules?new=${one.type}`}
              aria-current={one.type === type.type ? "page" : undefined}
            >
              {one.title}
            </a>
          ))}
        </nav>
      )}
      <form method="post" action="schedules" encType="multipart/form-data" class="schedule-form">
        {Object.keys(errors).length > 0 && <ErrorSummary errors={Object.entries(errors)} box={null} />}
        {/* The first button is the one that Enter presses. */}
        <button type="submit" name="action" value="save" class="hidden" tabIndex={-1} aria-hidden="true">Save</button>
        <input type="hidden" name="task_type" value={type.type} />
        {id && <input type="hidden" name="id" value={id} />}
        <h2>When</h2>
        <div class="grid">
          <Choice name="repeat" label="Repeat" value={chosen.repeat} options={REPEATS} />
          <Choice
            name="weekday"
            label="Day of the week"
            className="weekday"
            value={chosen.weekday}
            options={Object.fromEntries(WEEKDAYS.map((day, i) => [i, day]))}
          />
          <Choice
            name="day"
            label="Day of the month"
            className="day"
            value={chosen.day}
            options={Object.fromEntries(Array.from({ length: 31 }, (_, i) => [i + 1, String(i + 1)]))}
          />
          <div class="field time">
            <label for="field/time">Time</label>
            <input
              id="field/time"
              name="time"
              type="time"
              value={chosen.time}
              aria-invalid={errors["/time"] ? true : undefined}
            />
            <FieldError pointer="/time" errors={errors} />
            <p class="help hourly">Of an hourly schedule only the minutes count.</p>
          </div>
          <div class="field cron">
            <label for="field/cron">Cron expression</label>
            <input
              id="field/cron"
              name="cron"
              value={chosen.cron}
              maxLength={SCHEDULE_CHARS.cron}
              spellcheck={false}
              autoComplete="off"
              aria-invalid={errors["/cron"] ? true : undefined}
              aria-describedby="help-cron"
            />
            <p class="help" id="help-cron">Minute, hour, day of the month, month, weekday.</p>
          </div>
          <div class="field">
            <label for="field/timezone">Time zone</label>
            <select id="field/timezone" name="timezone" data-preset={isZoneUnknown || undefined}>
              {(ZONES.includes(timezone) ? ZONES : [timezone, ...ZONES]).map((zone) => (
                <option key={zone} value={zone} selected={zone === timezone}>{zone}</option>
              ))}
            </select>
            <FieldError pointer="/timezone" errors={errors} />
          </div>
        </div>
        <FieldError pointer="/cron" errors={errors} />
        <div class="check-times">
          <button type="submit" name="action" value="check" formNoValidate>Show next times</button>
          {times && (
            <div role="status">
              <p>
                {cronWords(cron)} <code>{cron}</code>
              </p>
              <NextTimes times={times} timezone={timezone} />
            </div>
          )}
        </div>
        <h2>What: {type.title}</h2>
        <p class="muted">{type.description}</p>
        <DataChoice schema={schema} values={params} own={own} />
        <Fields schema={schema} pointer="/input_params" values={params} context={context} />
        <h2>Options</h2>
        <div class="grid">
          <div class="field">
            <label for="field/name">
              Schedule name <span class="muted">(optional)</span>
            </label>
            <input id="field/name" name="name" value={name} maxLength={SCHEDULE_CHARS.name} />
            <FieldError pointer="/name" errors={errors} />
          </div>
          <Choice name="missed" label="If the service was down" value={missed} options={MISSED} />
        </div>
        <Fields schema={SCHEDULE_OPTIONS} values={options} context={context} />
        <div class="buttons">
          <button type="submit" name="action" value="save" class="primary">
            {id ? "Save changes" : "Create schedule"}
          </button>
          <a class="button" href="schedules">Go back</a>
        </div>
      </form>
    </main>
  );
}
