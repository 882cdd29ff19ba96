/**
 * Brings the outbox to its targets.
 *
 * Order of effects: an entry is committed with the state, then appended, then deleted by a later
 * commit. A crash between any two makes it be appended again with the same id, which the receiver
 * ignores.
 *
 * One append is under way at a time, oldest first, so ids reach each target in order.
 */

import { isRetryable } from '../lib/errors.ts'
import type { EventLog } from '../log/event-log.ts'
import { decodeRecord } from '../log/record.ts'
import type { StateReader } from '../state/state-store.ts'
import { outboxPrefix, parseOutboxKey } from './scope.ts'

const appendCountMax = 500
const scanCount = 1000

interface Waiting {
  readonly source: number
  readonly key: string
  readonly bytes: Uint8Array
}

export class Forwarder {
  readonly #log: EventLog
  #waiting: Waiting[] = []
  /** Entries of a source that were appended and not yet deleted by a commit. */
  readonly #forwarded = new Map<number, string[]>()
  readonly #pendingCounts = new Map<number, number>()

  constructor(log: EventLog) {
    this.#log = log
  }

  /** Takes up what a former owner left. */
  async open(state: StateReader, partition: number): Promise<void> {
    let after = ''
    for (;;) {
      const page = await state.scan(partition, outboxPrefix, after, scanCount)
      // Keys order by target; ids to one target are in order within the keys of that target.
      for (const { key, value } of page) this.add(partition, key, value)
      if (page.length < scanCount) return
      after = page.at(-1)?.key ?? ''
    }
  }

  /** Takes an entry that was committed. */
  add(source: number, key: string, bytes: Uint8Array): void {
    this.#waiting.push({ source, key, bytes })
    this.#pendingCounts.set(source, (this.#pendingCounts.get(source) ?? 0) + 1)
  }

  /** Number of entries of a source that have not reached the log. */
  pendingCount(source: number): number {
    return this.#pendingCounts.get(source) ?? 0
  }

  hasWaiting(): boolean {
    return this.#waiting.length > 0
  }

  /** Forgets a partition that is no longer owned. */
  drop(source: number): void {
    this.#waiting = this.#waiting.filter((entry) => entry.source !== source)
    this.#pendingCounts.delete(source)
    this.#forwarded.delete(source)
  }

  /** Appends all that waits. A retryable failure leaves the rest for the next call. */
  async run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.slice(0, appendCountMax)
      try {
        await this.#log.append(
          batch.map(({ key, bytes }) => decodeRecord(parseOutboxKey(key).target, 0, bytes)),
        )
      } catch (error) {
        if (isRetryable(error)) return
        throw error
      }
      // A partition may have been dropped meanwhile.
      if (this.#waiting[0] === batch[0]) this.#waiting.splice(0, batch.length)
      else this.#waiting = this.#waiting.filter((entry) => !batch.includes(entry))
      for (const { source, key } of batch) {
        const keys = this.#forwarded.get(source) ?? []
        keys.push(key)
        this.#forwarded.set(source, keys)
        this.#pendingCounts.set(source, this.pendingCount(source) - 1)
      }
    }
  }

  /**
   * Returns the keys that the next commit of `source` should delete; the caller must commit them.
   */
  takeForwarded(source: number): readonly string[] {
    const keys = this.#forwarded.get(source) ?? []
    this.#forwarded.delete(source)
    return keys
  }

  hasForwarded(source: number): boolean {
    return this.#forwarded.has(source)
  }
}
