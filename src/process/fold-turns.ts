/**
 * Lets partitions that are folded side by side take turns.
 *
 * Where a read and a commit are round trips, many partitions are in hand at a time, so that one is
 * folded while others wait for the store. If all whose values have come were folded at once, a
 * record of each in turn, they would end together, and nobody would have anything to do while all
 * their commits are on the way. So one folds to the end of what was loaded for it, lets its commit
 * leave, and the next one begins; and what is made for a record is dropped soon. Who reads the
 * state within a turn gives it away until the answer is there.
 *
 * What is folded does not depend on it: no partition sees another.
 */

import { assert } from '../lib/assert.ts'
import type { StateReader } from '../state/state-store.ts'

export class FoldTurns {
  readonly #handOver: () => Promise<void>
  /** In the order in which they came; as many as are folded side by side at most. */
  readonly #waiting: (() => void)[] = []
  #isTaken = false

  /** `handOver` lets what was written so far leave, before the next one begins. */
  constructor(handOver: () => Promise<void>) {
    this.#handOver = handOver
  }

  /** Nothing to wait for where nobody has the turn. */
  take(): Promise<void> | undefined {
    if (this.#isTaken) return new Promise((resolve) => this.#waiting.push(resolve))
    this.#isTaken = true
    return undefined
  }

  give(): void {
    assert(this.#isTaken, 'who gives the turn has it')
    const next = this.#waiting.shift()
    if (next === undefined) this.#isTaken = false
    else void this.#handOver().then(next)
  }
}

/** What one partition takes its turns by, and reads the state by. */
export class TurnReader implements StateReader {
  readonly #turns: FoldTurns
  readonly #state: StateReader
  #isMine = false

  constructor(turns: FoldTurns, state: StateReader) {
    this.#turns = turns
    this.#state = state
  }

  /** Runs `work` in a turn. */
  async run<Result>(work: () => Promise<Result>): Promise<Result> {
    await this.#take()
    try {
      return await work()
    } finally {
      this.#give()
    }
  }

  head(partition: number): ReturnType<StateReader['head']> {
    return this.#aside(this.#state.head(partition))
  }

  get(partition: number, keys: readonly string[]): ReturnType<StateReader['get']> {
    return this.#aside(this.#state.get(partition, keys))
  }

  scan(
    partition: number,
    prefix: string,
    after: string,
    countMax: number,
  ): ReturnType<StateReader['scan']> {
    return this.#aside(this.#state.scan(partition, prefix, after, countMax))
  }

  async #aside<Answer>(reading: Promise<Answer>): Promise<Answer> {
    if (!this.#isMine) return await reading
    this.#give()
    try {
      return await reading
    } finally {
      await this.#take()
    }
  }

  async #take(): Promise<void> {
    await this.#turns.take()
    this.#isMine = true
  }

  #give(): void {
    this.#isMine = false
    this.#turns.give()
  }
}
