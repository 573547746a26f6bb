/**
 * Every problem that the API answers with, by its code.
 *
 * @module
 */

/** Each code: the statuses that it comes with, and when. */
export const PROBLEMS = {
  aborted: { status: [400], when: "The client went away in the middle of the request." },
  bad_host: { status: [400], when: "The request has no Host, or one that is not valid." },
  bad_idempotency_key: {
    status: [400],
    when: "The Idempotency-Key is too long or has characters that are not visible.",
  },
  bad_query: { status: [400], when: "The query is not valid; `errors` names each parameter." },
  broken_encoding: { status: [400], when: "The body is not complete, valid gzip." },
  broken_json: { status: [400], when: "The body is not JSON." },
  broken_multipart: { status: [400], when: "The body is not multipart/form-data." },
  no_file: { status: [400], when: "There is no file in the request." },
  not_a_websocket: { status: [400], when: "The request is not a WebSocket handshake." },
  unauthorized: { status: [401], when: "There is no valid token and no sign-in." },
  sign_in_failed: { status: [401], when: "The identity provider did not sign the person in." },
  forbidden: { status: [403], when: "The role of the caller does not allow this." },
  foreign_origin: { status: [403], when: "The request comes from a page of another origin." },
  not_found: { status: [404], when: "There is no such thing, or nothing at this address." },
  method_not_allowed: { status: [405], when: "The address exists, but not for this method; see `Allow`." },
  not_acceptable: { status: [406], when: "`Accept` allows none of the media types of this address." },
  conflict: { status: [409], when: "Another change came first; nothing was written." },
  illegal_transition: { status: [409], when: "The task is in a status that does not allow this." },
  no_authentication: { status: [409], when: "Nobody needs a token here, so that none can be made." },
  too_large: { status: [413], when: "The body, a file or a value is over its limit." },
  too_many_parts: { status: [413], when: "The form has too many fields or files." },
  unsupported_encoding: { status: [415], when: "The body is packed in another way than by gzip." },
  unsupported_media_type: { status: [415], when: "The body is not JSON." },
  range_not_satisfiable: { status: [416], when: "The file is shorter than the range that was asked for." },
  misdirected: { status: [421], when: "Without tokens the service answers only to local names." },
  idempotency_mismatch: { status: [422], when: "The Idempotency-Key was used for another request." },
  invalid_input: { status: [422], when: "The body is well-formed but not valid; `errors` names each field." },
  refused_write: { status: [422], when: "The store refused the write; nothing was written." },
  too_many_guesses: { status: [429], when: "Too many wrong tokens came from here; see `Retry-After`." },
  too_many_of_type: { status: [429], when: "Too many tasks of a type are submitted a minute." },
  too_many_open_tasks: { status: [429], when: "The caller has too many unfinished tasks." },
  too_many_requests: { status: [429], when: "The address, or the token, makes too many requests per second." },
  too_many_streams: {
    status: [429, 503],
    when: "The caller (429), or all callers together (503), have too many streams.",
  },
  too_many_tasks: { status: [429], when: "The caller submits too many tasks per second." },
  too_many_uploads_at_once: { status: [429], when: "The caller has too many uploads under way." },
  internal: { status: [500], when: "An error of the service, which has logged it." },
  busy: { status: [503], when: "The service has too much to do; try again." },
  closed: { status: [503], when: "The service stops; try again." },
  fenced: { status: [503], when: "The instance was declared dead and comes back; try again." },
  no_identity_provider: { status: [503], when: "The identity provider does not answer." },
  outcome_unknown: {
    status: [503],
    when: "It is not known whether the write happened; send it again with the same Idempotency-Key.",
  },
  stopping: { status: [503], when: "The service stops and opens no more streams." },
  disk_full: { status: [507], when: "The store's disk has too little room." },
  too_many_uploads: { status: [507], when: "Uploads that no task uses take too much room." },
} as const satisfies Record<string, { status: number[]; when: string }>;

/** The code of a problem. */
export type ProblemCode = keyof typeof PROBLEMS;
