/**
 * Sends a form to the API so that nothing is created twice.
 *
 * @module
 */

/** A new idempotency key. */
export function newKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Sends a submission. If its outcome is unknown, it is sent again with the same idempotency key. */
export async function postOnce(
  path: string,
  body: unknown,
  key: string,
  signal: AbortSignal,
): Promise<Response> {
  for (let tries = 1;; tries++) {
    const answer = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", "Idempotency-Key": key },
      body: JSON.stringify(body),
      signal: signal,
    });
    if (answer.status !== 503 || tries === 3) return answer;
    await answer.body?.cancel();
    // Wait as long as the service asks, with jitter so that pages do not all retry at once.
    const seconds = Number(answer.headers.get("Retry-After")) || 2;
    await pause(seconds * 1000 * (1 + Math.random() / 2), signal);
  }
}

/** Waits; rejects as soon as the signal is aborted. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    }, { once: true });
  });
}
