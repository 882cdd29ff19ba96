/**
 * The way of rows from a reader to a target: gathers them into batches, keeps a bounded number of
 * batches under way, counts what became of each row, and saves the place.
 *
 * Promise: every row is counted once, as accepted, refused or dropped, and only when it is durable
 * (a dropped one: when all before it are). A place is saved only behind rows that are counted.
 *
 * Order of effects: read, send, durable, count, save. Killed
 * - before `send` or during it: the rows are read again from the saved place;
 * - when durable and not saved: the same, and they have the same event ids. An embedded target
 *   finds them in the log and does not send them again; behind a server the fold drops them;
 * - while saving: SQLite keeps the place before or this one.
 */

import type { EventResult } from '../collect/collect-batch.ts'
import { rowEventId } from '../collect/import-id.ts'
import { type DropReason, type ImportRow, refusedItem } from '../collect/import-row.ts'
import { assert } from '../lib/assert.ts'
import type { Clock } from '../lib/clock.ts'
import type { JsonObject } from '../lib/json.ts'
import type { ImportReport } from './import-report.ts'
import { hashTail, type ImportCounts, tailBytesMax } from './import-state.ts'
import type { ImportTarget, KnownItems } from './import-target.ts'

/** What `save` is told; the rest of a place belongs to the file. */
export interface LanePlace {
  readonly offset: number
  readonly line: number
  readonly tail: string
  readonly tailBytes: number
  readonly counts: ImportCounts
  readonly ends: readonly number[]
}

export interface LaneDeps {
  readonly clock: Clock
  readonly target: ImportTarget
  readonly report: ImportReport
  /** Called with a place that is durable; not more often than the interval, and by `finish`. */
  readonly save: (place: LanePlace) => void
}

export interface LaneOptions {
  readonly name: string
  readonly identity: string
  readonly from: { readonly offset: number; readonly line: number }
  readonly counts: ImportCounts
  /** Items behind the saved place that are durable already. */
  readonly known: KnownItems
  /** Where the logs ended before those; saved again until all that is in doubt is passed. */
  readonly knownEnds: readonly number[]
}

type Counts = {
  -readonly [Name in keyof ImportCounts]: ImportCounts[Name]
} & { dropped: Partial<Record<DropReason, number>> }

/** The rows of a batch, as columns: one object for each row would cost more than it tells. */
interface Batch {
  readonly items: JsonObject[]
  /** For each row: its line, and how many of the items are its own; negative = all known. */
  readonly rows: { readonly line: number; readonly itemCount: number; status?: 'rejected' }[]
  readonly dropped: Partial<Record<DropReason, number>>
  bytes: number
  rowCount: number
  knownCount: number
  /** Known items of these rows. */
  metCount: number
  offset: number
  line: number
  ends: readonly number[]
}

const saveMs = 1000
/** What an item takes at least besides its texts. */
const itemBytes = 120

export class ImportLane {
  readonly #deps: LaneDeps
  readonly #options: LaneOptions
  readonly #counts: Counts
  readonly #underWay: { readonly batch: Batch; readonly done: Promise<readonly EventResult[]> }[] =
    []
  readonly #tails: TailKeeper
  #batch: Batch
  #savedAtMs: number
  #offset: number
  #line: number
  /** Of the known items, how many stand before the place; no doubt is left when all do. */
  #metCount = 0
  #isDoubtOver: boolean

  constructor(deps: LaneDeps, options: LaneOptions) {
    this.#deps = deps
    this.#options = options
    this.#counts = { ...options.counts, dropped: { ...options.counts.dropped } }
    this.#offset = options.from.offset
    this.#line = options.from.line
    this.#tails = new TailKeeper(options.from.offset)
    this.#batch = emptyBatch(this.#offset, this.#line)
    this.#savedAtMs = deps.clock.monotonicMs()
    this.#isDoubtOver = options.known.size === 0
  }

  get counts(): ImportCounts {
    return this.#counts
  }

  /** Behind the last row that is durable. */
  get offset(): number {
    return this.#offset
  }

  /** Tells the lane of bytes before the rows that are in them. */
  keepBytes(chunk: Buffer): void {
    this.#tails.add(chunk)
  }

  /** Takes rows in their order; resolves when there is room for more. */
  async add(rows: readonly ImportRow[], lineBehind: number): Promise<void> {
    const { target } = this.#deps
    for (const [index, row] of rows.entries()) {
      this.#put(row, rows[index + 1]?.line ?? lineBehind)
      const { items, bytes, rowCount } = this.#batch
      const isFull =
        items.length + 2 > target.batchCountMax ||
        bytes >= target.batchBytesMax ||
        rowCount >= target.batchCountMax * 20
      if (isFull) await this.#send()
    }
  }

  /**
   * Sends what is gathered, and resolves when all is durable and its place saved. `isEnd` tells
   * that nothing stands behind it in the file.
   */
  async finish(isEnd: boolean): Promise<void> {
    await this.#send()
    while (this.#underWay.length > 0) await this.#settle()
    this.#isDoubtOver ||= isEnd
    await this.#save()
  }

  /** The same, where something came since; for a file that has nothing more now. */
  async rest(): Promise<void> {
    if (this.#batch.rowCount > 0 || this.#underWay.length > 0) await this.finish(true)
  }

  #put(row: ImportRow, lineBehind: number): void {
    const batch = this.#batch
    const { outcome, line, endOffset } = row
    batch.rowCount++
    batch.offset = endOffset
    batch.line = lineBehind
    if (outcome.kind === 'dropped') {
      batch.dropped[outcome.reason] = (batch.dropped[outcome.reason] ?? 0) + 1
      return
    }
    if (outcome.kind === 'refused') {
      const { identity, name } = this.#options
      const messageId = rowEventId(identity, endOffset, outcome.text)
      const item = { messageId, ...refusedItem(outcome, { file: name, line }) }
      this.#deps.report.refuse({ file: name, line, path: outcome.path, says: outcome.says })
      this.#putItems([item], { line, text: outcome.text.length })
      return
    }
    this.#putItems(outcome.items, { line, text: 0 })
  }

  #putItems(items: readonly JsonObject[], row: { readonly line: number; readonly text: number }) {
    const batch = this.#batch
    const { known } = this.#options
    let itemCount = 0
    let isRefused = false
    for (const item of items) {
      const status = known.size === 0 ? undefined : known.get(String(item['messageId']))
      if (status === 'rejected') isRefused = true
      if (status !== undefined) {
        batch.metCount++
        continue
      }
      batch.items.push(item)
      batch.bytes += this.#deps.target.windowCountMax === 1 ? bytesOf(item) : itemBytes
      itemCount++
    }
    batch.bytes += row.text
    if (itemCount === 0) batch.knownCount++
    batch.rows.push({ line: row.line, itemCount, ...(isRefused ? { status: 'rejected' } : {}) })
  }

  async #send(): Promise<void> {
    const batch = this.#batch
    if (batch.rowCount === 0) return
    this.#batch = emptyBatch(batch.offset, batch.line)
    const { target } = this.#deps
    while (this.#underWay.length >= target.windowCountMax) await this.#settle()
    batch.ends = await target.ends()
    const done = batch.items.length === 0 ? Promise.resolve([]) : target.write(batch.items)
    // The failure is met where the batch is settled; until then nobody else may see it.
    done.catch(() => {})
    this.#underWay.push({ batch, done })
  }

  /** Waits for the oldest batch, counts it, and saves the place now and then. */
  async #settle(): Promise<void> {
    const oldest = this.#underWay[0]
    assert(oldest !== undefined, 'a batch is under way')
    const results = await oldest.done
    this.#underWay.shift()
    this.#count(oldest.batch, results)
    this.#offset = oldest.batch.offset
    this.#line = oldest.batch.line
    this.#deps.report.progress(this.#counts)
    const nowMs = this.#deps.clock.monotonicMs()
    if (nowMs - this.#savedAtMs >= saveMs) await this.#save()
  }

  #count(batch: Batch, results: readonly EventResult[]): void {
    const counts = this.#counts
    assert(results.length === batch.items.length, 'a target answers each item')
    counts.rows += batch.rowCount
    counts.known += batch.knownCount
    this.#metCount += batch.metCount
    for (const [reason, count] of Object.entries(batch.dropped)) {
      const known = reason as DropReason
      counts.dropped[known] = (counts.dropped[known] ?? 0) + count
    }
    let at = 0
    for (const { line, itemCount, status } of batch.rows) {
      let isRefused = status === 'rejected'
      for (const end = at + itemCount; at < end; at++) {
        const result = results[at]
        if (result?.status === 'accepted') counts.events++
        else if (result !== undefined) {
          isRefused = true
          this.#tell(line, result, batch.items[at])
        }
      }
      if (isRefused) counts.refused++
      else counts.accepted++
    }
  }

  #tell(
    line: number,
    result: Extract<EventResult, { readonly status: 'rejected' }>,
    item: JsonObject | undefined,
  ): void {
    // A row that is no event was told of when it was read.
    if (item?.['type'] === 'refused-row') return
    const { path, says } = result
    this.#deps.report.refuse({ file: this.#options.name, line, path, says })
  }

  async #save(): Promise<void> {
    this.#savedAtMs = this.#deps.clock.monotonicMs()
    const ends = await this.#endsToSave()
    const mark = this.#tails.mark(this.#offset)
    this.#deps.save({
      offset: this.#offset,
      line: this.#line,
      ...mark,
      counts: this.#counts,
      ends,
    })
    this.#tails.forgetBefore(this.#offset)
  }

  /**
   * What a killed process wrote and did not note lies behind the older ends, and not behind newer
   * ones: they stay until all of it was met in the file, since this process may be killed too.
   */
  async #endsToSave(): Promise<readonly number[]> {
    const { known, knownEnds } = this.#options
    this.#isDoubtOver ||= this.#metCount >= known.size
    if (!this.#isDoubtOver) return knownEnds
    return this.#underWay[0]?.batch.ends ?? (await this.#deps.target.ends())
  }
}

function emptyBatch(offset: number, line: number): Batch {
  const counts = { bytes: 0, rowCount: 0, knownCount: 0, metCount: 0 }
  return { items: [], rows: [], dropped: {}, ...counts, offset, line, ends: [] }
}

function bytesOf(item: JsonObject): number {
  try {
    return Buffer.byteLength(JSON.stringify(item)) + 1
  } catch {
    return itemBytes
  }
}

/** Keeps the bytes that a place may need for its hash, from the newest place that was saved on. */
class TailKeeper {
  readonly #chunks: { readonly start: number; readonly bytes: Buffer }[] = []
  #end: number

  constructor(offset: number) {
    this.#end = offset
  }

  add(bytes: Buffer): void {
    this.#chunks.push({ start: this.#end, bytes })
    this.#end += bytes.length
  }

  mark(offset: number): { readonly tail: string; readonly tailBytes: number } {
    const parts: Buffer[] = []
    for (const { start, bytes } of this.#chunks) {
      if (start >= offset || start + bytes.length <= offset - tailBytesMax) continue
      parts.push(bytes.subarray(Math.max(0, offset - tailBytesMax - start), offset - start))
    }
    const tail = Buffer.concat(parts)
    return { tail: hashTail(tail), tailBytes: tail.length }
  }

  forgetBefore(offset: number): void {
    while (this.#chunks.length > 0) {
      const first = this.#chunks[0]
      if (first === undefined || first.start + first.bytes.length > offset - tailBytesMax) return
      this.#chunks.shift()
    }
  }
}
