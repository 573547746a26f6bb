/**
 * Claims on submit: if a slot is free and no task waits for it, a new task is stored as started, so that its submit
 * and its start are one commit.
 *
 * @module
 */

/** Reserves slots for tasks whose submit is in progress, and tracks whether others wait. */
export class ClaimOnSubmit {
  /** By type, tasks being submitted as started: each reserves a slot until its submit is answered. */
  readonly #starting = new Map<string, Map<string, { answered: Promise<void>; resolve: () => void }>>();
  /** By type, the most tasks that may wait for a slot, as far as this instance knows; missing: any number. */
  readonly #waiting = new Map<string, number>();
  /** By type, how many tasks have become ready. */
  readonly #arrivals = new Map<string, number>();

  /** How many slots of a type are reserved. */
  reserved(type: string): number {
    return this.#starting.get(type)?.size ?? 0;
  }

  /** Whether a new task may take one of `free` slots without overtaking waiting tasks. */
  mayReserve(type: string, free: number): boolean {
    return free > (this.#waiting.get(type) ?? Infinity);
  }

  /** Reserves a slot for a task until {@linkcode release}. */
  reserve(type: string, id: string): void {
    const { promise: answered, resolve } = Promise.withResolvers<void>();
    const starting = this.#starting.get(type) ?? new Map();
    this.#starting.set(type, starting.set(id, { answered, resolve }));
  }

  /** Releases a task's slot; false if it has none. */
  release(type: string, id: string): boolean {
    const starting = this.#starting.get(type);
    starting?.get(id)?.resolve();
    return starting?.delete(id) ?? false;
  }

  /** Resolves once every submit of these types that holds a slot now has been answered. */
  async settled(types: Iterable<string> = this.#starting.keys()): Promise<void> {
    const starting = [...types].flatMap((type) => [...this.#starting.get(type)?.values() ?? []]);
    await Promise.all(starting.map(({ answered }) => answered));
  }

  /** A task of a type has become ready. */
  arrived(type: string): void {
    this.#waiting.set(type, (this.#waiting.get(type) ?? Infinity) + 1);
    this.#arrivals.set(type, this.arrivalsOf(type) + 1);
  }

  /** How many tasks of a type have become ready since the start. */
  arrivalsOf(type: string): number {
    return this.#arrivals.get(type) ?? 0;
  }

  /** All waiting tasks were read: `count`, plus those that arrived since `arrivals` was read. */
  allRead(type: string, count: number, arrivals: number): void {
    this.#waiting.set(type, count + this.arrivalsOf(type) - arrivals);
  }

  /** Tasks of a type have been claimed. */
  claimed(type: string, count: number): void {
    const waiting = this.#waiting.get(type);
    if (waiting !== undefined) this.#waiting.set(type, Math.max(0, waiting - count));
  }
}
