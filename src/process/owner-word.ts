/**
 * The owner's next word on time, looked for ahead in the log.
 *
 * A record that lies further ahead of the owner's last word than `aheadMsMax` came after a time in
 * which nothing made the owner speak: nothing arrived, nobody owned the partition, or the fold lay
 * far behind. It is bounded by the owner's next word instead, which lies behind it in the log. So
 * its time is its own and the log alone decides it. Where the log has no such word yet the fold
 * waits, and the owner, seeing that, appends a tick.
 *
 * Which word that is does not depend on where the search began: between a record and the word that
 * bounds it lies no other, so one search serves all records up to it.
 */

import type { EventLog } from '../log/event-log.ts'
import type { LogRecord } from '../log/record.ts'
import { aheadMsMax, type PartitionMeta } from './meta.ts'

interface FoundWord {
  /** Offset of the record for which it was looked for. */
  readonly from: number
  readonly offset: number
  readonly atMs: number
}

/** Records of the first read ahead, since a word is mostly near, and of one at most. */
const scanCountMin = 16
const scanCountMax = 1000

export class OwnerWord {
  readonly #log: EventLog
  readonly #partition: number
  #found: FoundWord | undefined
  /** The record that waits for a word, and how far the log was searched for one. */
  #waiting: { readonly offset: number; readonly scannedTo: number } | undefined

  constructor(log: EventLog, partition: number) {
    this.#log = log
    this.#partition = partition
  }

  /** Offset behind which the word is to come; undefined where none is waited for. */
  get awaitedBehind(): number | undefined {
    return this.#waiting?.scannedTo
  }

  /**
   * Returns the time of the word that bounds `record`, 0 where the last one does; undefined where
   * the log does not have it yet. `given` holds some records, itself among them. At once where the
   * log need not be asked, as mostly: it is looked for before each record.
   */
  find(
    meta: PartitionMeta,
    record: LogRecord,
    given: readonly LogRecord[],
  ): number | undefined | Promise<number | undefined> {
    const waiting = this.#waiting
    this.#waiting = undefined
    if (!isFarAhead(meta, record)) return 0
    const known = this.#found
    if (known !== undefined && known.from <= record.offset && record.offset < known.offset) {
      return known.atMs
    }
    const isAgain = waiting?.offset === record.offset
    return this.#search(meta, record, given, isAgain ? waiting.scannedTo : record.offset)
  }

  async #search(
    meta: PartitionMeta,
    record: LogRecord,
    given: readonly LogRecord[],
    after: number,
  ): Promise<number | undefined> {
    let at = after
    let countMax = scanCountMin
    for (let page = given; ; page = await this.#log.read(this.#partition, at, countMax)) {
      if (page !== given) countMax = Math.min(2 * countMax, scanCountMax)
      const word = page.find((each) => each.offset > at && isNextWord(meta, each))
      if (word !== undefined) {
        const atMs = Math.floor(word.recordedAtMs)
        this.#found = { from: record.offset, offset: word.offset, atMs }
        return atMs
      }
      at = Math.max(at, page.at(-1)?.offset ?? 0)
      if ((page !== given && page.length === 0) || !this.#log.hasMore(this.#partition, at)) break
    }
    this.#waiting = { offset: record.offset, scannedTo: at }
    return undefined
  }

  /** Forgets what is waited for: other records may come next. */
  reset(): void {
    this.#waiting = undefined
  }
}

function isFarAhead(meta: PartitionMeta, { kind, recordedAtMs }: LogRecord): boolean {
  // Before the first owner there is no word to bound by, and a word itself needs none.
  if (meta.ownerMs === 0 || kind === 'owner' || kind === 'tick') return false
  const atMs = Math.floor(recordedAtMs)
  return atMs > meta.ownerMs + aheadMsMax && atMs > meta.foldMs
}

function isNextWord({ epoch }: PartitionMeta, { kind, skeleton }: LogRecord): boolean {
  if (kind !== 'owner' && kind !== 'tick') return false
  const { epoch: found } = skeleton as { readonly epoch: number }
  return kind === 'owner' ? found > epoch : found === epoch
}
