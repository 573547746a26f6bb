/** Assertions: those of Node, which Deno has built in, with the names of the field. */

import assert from "node:assert/strict";

export const assertEquals: <T>(actual: T, expected: T, message?: string) => void = assert.deepEqual;
export const assertNotEquals = assert.notDeepEqual;
export const assertRejects = assert.rejects;
export const assertThrows = assert.throws;

export function assertMatch(actual: string, expected: RegExp): void {
  assert.match(actual, expected);
}

// A declaration, so that TypeScript narrows by it.
export function ok(value: unknown, message?: string): asserts value {
  assert.ok(value, message);
}
