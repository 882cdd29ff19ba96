/**
 * The state's index of due messages, and which partitions of it are to be looked through: those
 * newly owned, and those of which not all fitted into the queue.
 */

import { duePrefix } from '../campaign/message.ts'
import type { Clock } from '../lib/clock.ts'
import { isRetryable } from '../lib/errors.ts'
import type { Logger } from '../lib/logger.ts'
import type { StateReader } from '../state/state-store.ts'

export interface DueIndexDeps {
  readonly state: StateReader
  readonly clock: Clock
  readonly logger: Logger
  found(messageId: string): void
  /** True where no more can be taken now. */
  isFull(): boolean
}

const scanCount = 1000
const retryMs = 500

export class DueIndex {
  readonly #deps: DueIndexDeps
  readonly #toScan = new Set<number>()

  constructor(deps: DueIndexDeps) {
    this.#deps = deps
  }

  /** Has a partition looked through, or looked through again. */
  add(partition: number): void {
    this.#toScan.add(partition)
  }

  delete(partition: number): void {
    this.#toScan.delete(partition)
  }

  /**
   * Looks through the partitions that are to be now; what is added meanwhile is left to the next
   * call. Answers false, after a pause, where the state cannot be reached: call again.
   */
  async scan(signal: AbortSignal): Promise<boolean> {
    const { clock, logger, isFull } = this.#deps
    for (const partition of [...this.#toScan]) {
      try {
        await this.#scanOne(partition)
      } catch (error) {
        if (!isRetryable(error)) throw error
        this.#toScan.add(partition)
        logger.warn({ partition, error: String(error) }, 'due messages cannot be read')
        await clock.sleep(retryMs, signal)
        return false
      }
      if (isFull()) break
    }
    return true
  }

  async #scanOne(partition: number): Promise<void> {
    this.#toScan.delete(partition)
    for (let after = ''; ; ) {
      const page = await this.#deps.state.scan(partition, duePrefix, after, scanCount)
      for (const { key } of page) this.#deps.found(key.slice(duePrefix.length))
      if (page.length < scanCount || this.#toScan.has(partition)) return
      after = page.at(-1)?.key ?? ''
    }
  }
}
