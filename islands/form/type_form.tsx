/**
 * The fields of one task type, and what happens when they are submitted.
 *
 * @module
 */

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { TypeInfo } from "../../queue/task/api_types.ts";
import type { Json } from "../../queue/task/record.ts";
import type { Task, TaskSummary } from "../../queue/task/summary.ts";
import { actions } from "../app/actions.ts";
import { alert, say } from "../shell/announce.ts";
import { count } from "../app/format.ts";
import type { FormErrors, Store } from "../app/state.ts";
import { mergeTasks, toast } from "../app/store.ts";
import { hrefOf, type View } from "../app/url.ts";
import type { FieldProps } from "./controls.tsx";
import { Fields } from "./fields.tsx";
import { type Chosen, FileField } from "./files.tsx";
import { SUBMIT_OPTIONS } from "./schema/submit_options.ts";
import { checkFields, dropUnused, type FormReader, readFields } from "./schema/read_fields.ts";
import type { Schema } from "./schema/schema.ts";
import { DataChoice } from "./data_choice.tsx";
import { fileComplaint, previewOf, UploadError, uploadFile } from "./upload.ts";
import { focusRow } from "../list/focus_row.ts";
import { dropDraft, keepDraft, readDraft } from "./draft.ts";
import { ErrorSummary } from "./error_summary.tsx";
import { newKey, postOnce } from "./post.ts";

type Files = Record<string, Chosen[]>;

/** The form of one task type. */
export function TypeForm({ info, store, onChange }: {
  info: TypeInfo;
  store: Store;
  onChange?: (change: Partial<View>) => void;
}): JSX.Element {
  const schema = info.params as Schema;
  const from = store.view.value.from;
  const given = store.form;
  const [source, setSource] = useState<{ title: string; params: Record<string, Json> } | null>(given.source);
  const [missing, setMissing] = useState(false);
  const [errors, setErrors] = useState<FormErrors>(given.errors);
  const [files, setFiles] = useState<Files>({});
  const [busy, setBusy] = useState<string | null>(null);
  const [texts] = useState(() =>
    typeof sessionStorage === "undefined" || from || Object.keys(given.texts).length > 0
      ? given.texts
      : readDraft(info.type)
  );
  const form = useRef<HTMLFormElement>(null);
  const summary = useRef<HTMLDivElement>(null);
  const key = useRef(typeof document === "undefined" ? given.idempotency_key : newKey());
  const abort = useRef<AbortController | null>(null);
  const tried = useRef(Object.keys(given.errors).length > 0);
  const edited = useRef(new Set<string>());
  /** Whether the buttons below are being pressed: leaving a field for them moves nothing. */
  const pressing = useRef(false);

  useEffect(() => {
    if (!from || source) return;
    void fetch(`api/tasks/${from}`).then(async (answer) => {
      if (!answer.ok) return setMissing(true);
      const task: Task = await answer.json();
      setSource({ title: task.title, params: task.input_params as Record<string, Json> });
    }, () => setMissing(true));
  }, []);
  useEffect(() => {
    const warn = (event: BeforeUnloadEvent) => event.preventDefault();
    if (busy) addEventListener("beforeunload", warn);
    return () => removeEventListener("beforeunload", warn);
  }, [busy]);
  useEffect(() => () => abort.current?.abort(), []);

  const isFile = (pointer: string) => (files[pointer] ?? []).length > 0;
  const fileIds = (pointer: string) => {
    const ids = (files[pointer] ?? []).map(({ id, file }) => id ?? file.name);
    if (ids.length > 0) return ids;
    return form.current ? [...new FormData(form.current).getAll(`kept${pointer}`)].map(String) : [];
  };

  const reader = (): FormReader => {
    const element = form.current!;
    const data = new FormData(element);
    return {
      text: (pointer) => {
        const value = data.get(`params${pointer}`);
        if (typeof value !== "string") return null;
        // A time without a zone is in the reader's time zone.
        return /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?$/.test(value) ? new Date(value).toISOString() : value;
      },
      files: fileIds,
      groups: (pointer) =>
        Number(element.querySelector<HTMLElement>(`[data-groups="${CSS.escape(pointer)}"]`)?.dataset.count ?? 0),
    };
  };

  /** Reads everything that was entered, and what is wrong with it. */
  const read = () => {
    const found: FormErrors = {};
    const values = readFields(schema, reader(), found, "/input_params");
    checkFields(schema, values, found, "/input_params");
    const data = new FormData(form.current!).get("data") as string | null;
    dropUnused(schema, values, found, data, "/input_params");
    const more = readFields(SUBMIT_OPTIONS, reader(), found);
    checkFields(SUBMIT_OPTIONS, more, found);
    for (const [pointer, chosen] of data === "sample" ? [] : Object.entries(files)) {
      const complaint = chosen.find(({ complaint }) => complaint)?.complaint;
      if (complaint) found[pointer] = complaint;
    }
    return { values, more, found, isSample: data === "sample" };
  };

  const onEdit = (pointer: string, left: boolean) => {
    if (!form.current) return;
    if (!left) {
      edited.current.add(pointer);
      key.current = newKey();
      const secret = Object.entries(schema.properties ?? {}).filter(([, field]) => field.writeOnly);
      keepDraft(info.type, form.current, secret.map(([name]) => `/input_params/${name}`));
      // A field with an error is checked on each change until it is valid.
      if (!errors[pointer]) return;
    } else if (!edited.current.has(pointer) || pressing.current) return;
    const { found } = read();
    setErrors(({ [pointer]: _, ...others }) => found[pointer] ? { ...others, [pointer]: found[pointer] } : others);
  };

  const choose = async (pointer: string, schema: Schema, list: File[]) => {
    const { accept, maxBytes = Infinity } = schema["x-file"]!;
    key.current = newKey();
    const limit = Math.min(maxBytes, store.limits.upload);
    const chosen: Chosen[] = list.map((file) => ({
      file,
      complaint: fileComplaint(file, accept, limit),
      preview: null,
      sent: null,
      id: null,
      failed: null,
    }));
    setFiles((all) => ({ ...all, [pointer]: chosen }));
    const complaint = chosen.find(({ complaint }) => complaint)?.complaint;
    setErrors(({ [pointer]: _, ...others }) => complaint ? { ...others, [pointer]: complaint } : others);
    for (const { file } of chosen.filter(({ complaint }) => !complaint).slice(0, 5)) {
      const preview = await previewOf(file).catch(() => null);
      change(pointer, file, { preview });
    }
  };

  const change = (pointer: string, file: File, what: Partial<Chosen>) =>
    setFiles((all) => ({
      ...all,
      [pointer]: (all[pointer] ?? []).map((one) => one.file === file ? { ...one, ...what } : one),
    }));

  const refuse = (found: FormErrors) => {
    tried.current = true;
    setErrors(found);
    setBusy(null);
    alert(store, `Not submitted: ${count(Object.keys(found).length, "thing")} to fix.`);
    requestAnimationFrame(() => summary.current?.focus());
  };

  /** Sends what has not been sent. */
  const sendFiles = async (files: Files): Promise<Map<File, string>> => {
    const ids = new Map<File, string>();
    const all = Object.entries(files).flatMap(([pointer, list]) => list.map((one) => ({ pointer, ...one })));
    for (const { pointer, file, id } of all) {
      if (id) {
        ids.set(file, id);
        continue;
      }
      setBusy(`${ids.size} of ${all.length} uploaded…`);
      change(pointer, file, { sent: 0, failed: null });
      try {
        const sent = await uploadFile(file, (sent) => change(pointer, file, { sent }), abort.current!.signal);
        ids.set(file, sent);
        change(pointer, file, { id: sent });
      } catch (error) {
        change(pointer, file, { sent: null, failed: (error as Error).message });
        throw error;
      }
    }
    if (all.length > 0) say(store, `${count(all.length, "file")} uploaded.`);
    return ids;
  };

  const submit = async (stay: boolean) => {
    if (busy) return;
    pressing.current = false;
    const { values, more, found, isSample } = read();
    if (Object.keys(found).length > 0) return refuse(found);
    setErrors({});
    setBusy("Submitting…");
    abort.current = new AbortController();
    try {
      const sent = isSample ? {} : files;
      const ids = await sendFiles(sent);
      setBusy("Submitting…");
      // If a single-file field has several files, a task is created for each.
      let several: { name: string; ids: string[] } | null = null;
      for (const [pointer, chosen] of Object.entries(sent)) {
        const name = pointer.replace("/input_params/", "");
        const sent = chosen.map(({ file }) => ids.get(file)!);
        if (sent.length === 0) continue;
        if (schema.properties?.[name]?.type === "array") values[name] = sent;
        else if (sent.length === 1) values[name] = sent[0];
        else several = { name, ids: sent };
      }
      const body = { task_type: info.type, input_params: values, ...more, ...from ? { retried_from: from } : {} };
      const [path, what] = several
        ? ["api/tasks/batch", {
          tasks: several.ids.map((id) => ({ ...body, input_params: { ...values, [several.name]: id } })),
        }] as const
        : ["api/tasks/submit", body] as const;
      await finish(await postOnce(path, what, key.current, abort.current.signal), stay);
    } catch (error) {
      setBusy(null);
      if (error instanceof UploadError && error.status === -1) return;
      const text = error instanceof UploadError
        ? error.message
        : "Can't reach the server. Your entries are kept; try again.";
      refuse({ "": text });
    }
  };

  const finish = async (answer: Response, stay: boolean) => {
    const body = await answer.json();
    if (!answer.ok) {
      if (answer.status === 401) store.connection.value = "signed_out";
      const found: FormErrors = {};
      for (const { pointer = "", detail } of body.errors ?? []) {
        const at = pointer.replace(/^\/tasks\/\d+/, "");
        const known = form.current!.querySelector(`[id="${CSS.escape(`field${at}`)}"]`) || isFile(at);
        const place = known ? at : /^\/input_params\/[^/]+/.exec(at)?.[0] ?? "";
        found[place] ??= detail;
      }
      if (Object.keys(found).length === 0) found[""] = body.detail ?? `The service answered ${answer.status}.`;
      return refuse(found);
    }
    dropDraft(info.type);
    key.current = newKey();
    setBusy(null);
    const tasks: TaskSummary[] = "tasks" in body ? body.tasks : [body];
    actions().submitted(tasks);
    mergeTasks(store, tasks);
    actions().showNew();
    const [first] = tasks;
    const shown = store.rows.has(first.id);
    if (!shown || tasks.length > 1 || stay) {
      const text = tasks.length > 1
        ? `${count(tasks.length, "task")} created.`
        : `Task ${first.id.slice(-6).toLowerCase()} created.`;
      toast(store, {
        kind: "done",
        text,
        link: { href: hrefOf(store.view.value, { task: first.id, form: null, from: null }), text: "Open" },
      });
    }
    if (stay) return;
    onChange?.({ form: null, from: null });
    focusRow(first.id);
  };

  const values = source?.params ?? {};
  const context = {
    texts,
    errors,
    maxUpload: store.limits.upload,
    onEdit: typeof document === "undefined" ? undefined : onEdit,
    file: (props: FieldProps) => (
      <FileField
        {...props}
        chosen={files[props.pointer] ?? []}
        kept={values[props.name]}
        busy={busy !== null}
        onChoose={(list) => void choose(props.pointer, props.schema, list)}
      />
    ),
  };
  const listed = Object.entries(errors);
  const many = Object.entries(files).find(([pointer, list]) =>
    list.length > 1 && schema.properties?.[pointer.replace("/input_params/", "")]?.type !== "array"
  );
  const failed = Object.values(files).flat().some((one) => one.failed);
  if (from && !source && !missing) return <p class="muted">Loading the parameters…</p>;
  return (
    <form
      ref={form}
      method="post"
      action="tasks"
      encType="multipart/form-data"
      noValidate={typeof document !== "undefined"}
      onSubmit={(event) => {
        event.preventDefault();
        void submit((event.submitter as HTMLButtonElement | null)?.value === "stay");
      }}
      onKeyDown={(event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
          event.preventDefault();
          void submit(false);
        }
      }}
    >
      <p class="muted">{info.description}</p>
      {missing && <p class="note warn">The task to copy is gone. These are the defaults.</p>}
      {source && <p class="note">Copy of {source.title}</p>}
      {listed.length > 0 && tried.current && <ErrorSummary errors={listed} box={summary} />}
      <input type="hidden" name="task_type" value={info.type} />
      <input type="hidden" name="idempotency_key" value={key.current} />
      {from && <input type="hidden" name="retried_from" value={from} />}
      <DataChoice schema={schema} values={values} own={given.texts.data === "own" || store.view.value.own} />
      <Fields schema={schema} pointer="/input_params" values={values} context={context} />
      <details class="more">
        <summary>More options</summary>
        <Fields schema={SUBMIT_OPTIONS} values={{}} context={context} />
      </details>
      {many && <p class="note">Creates {count(many[1].length, "task")}, one for each file.</p>}
      <div
        class="buttons form-foot"
        onPointerDown={() => {
          pressing.current = true;
          addEventListener("pointerup", () => pressing.current = false, { once: true });
        }}
      >
        <button type="submit" class="primary" value="go">
          {busy ?? (failed ? "Try again" : "Submit")}
        </button>
        {!busy && <button type="submit" class="js" value="stay">Submit and create another</button>}
        {busy && <button type="button" onClick={() => abort.current?.abort()}>Cancel</button>}
      </div>
    </form>
  );
}
