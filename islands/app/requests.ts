/**
 * The user's requests to the server, their confirmation prompts, and the messages when they fail.
 *
 * @module
 */

import { alert } from "../shell/announce.ts";
import { problemOf } from "./navigate.ts";
import type { Question, Store } from "./state.ts";
import { toast } from "./store.ts";

/** Sends requests and shows their failures. */
export class Requests {
  constructor(private readonly store: Store) {}

  /** Asks a question and gives the answer. */
  async confirm(question: Omit<Question, "answer">): Promise<boolean> {
    return await this.ask(question) !== null;
  }

  /** Asks a question and gives the text that was entered with a yes; null for no. */
  ask(question: Omit<Question, "answer">): Promise<string | null> {
    // What an earlier action failed with is over.
    this.store.toasts.value = this.store.toasts.value.filter(({ kind }) => kind !== "error");
    return new Promise((resolve) => {
      this.store.question.value = {
        ...question,
        answer: (text) => {
          this.store.question.value = null;
          resolve(text);
        },
      };
    });
  }

  /** Why nothing can be done now; null if it can. */
  get unavailableReason(): string | null {
    const { value } = this.store.connection;
    return value === "offline" ? "You are offline." : value === "signed_out" ? "You were signed out." : null;
  }

  /** Calls the API; rejects at once while nothing can be done. */
  call(path: string, method: string, body?: unknown): Promise<Response> {
    if (this.unavailableReason) return Promise.reject(new Error(this.unavailableReason));
    return fetch(path, {
      method,
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  }

  /** Shows an error and announces it. */
  refuse(text: string, details?: string[]): void {
    toast(this.store, { kind: "error", text, details });
    alert(this.store, text);
  }

  /** Shows why the server rejected something. */
  async refused(answer: Response, what: string): Promise<void> {
    const detail = await problemOf(answer);
    if (answer.status === 401) this.store.connection.value = "signed_out";
    this.refuse(answer.status === 403 ? `You may not ${what}. ${detail}` : detail);
  }
}
