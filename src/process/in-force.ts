/**
 * What rules see beside the person, from each place of the log on: which segments trigger nothing
 * yet, which properties of events are being filled, and which lists are in force. It is noted where
 * it changes, so that what was folded under it can be folded again.
 */

import type { NamedProperty } from '../profile/computed/computed-trait.ts'
import type { StateReader } from '../state/state-store.ts'
import { findFilling } from './fill-property.ts'
import { type ListInForce, readMeta } from './meta.ts'
import { pendingOf } from './pending.ts'
import { type FoldScope, hex, jsonCodec } from './scope.ts'

export interface InForce {
  readonly pending: readonly string[]
  /** Absent for none. */
  readonly filling?: readonly NamedProperty[]
  readonly lists: Readonly<Record<string, Pick<ListInForce, 'hash'>>>
}

/** An entry counts for the records behind its offset. */
type Entry = InForce & { readonly offset: number }

/** Entries that a partition keeps: ten new lists a day for a year and more. */
export const inForceCountMax = 10_000
const prefix = 'in-force/'
const entryCodec = jsonCodec<Entry>()
const nothing: InForce = { pending: [], lists: {} }

/** Applies a record that may change what is in force, and notes it where it did. */
export async function noteInForce(scope: FoldScope, apply: () => Promise<void>): Promise<void> {
  const { view, meta, offset } = scope
  const before = JSON.stringify(inForceOf(scope))
  await apply()
  await followPending(scope)
  const after = inForceOf(scope)
  if (JSON.stringify(after) === before) return
  const number = meta.inForceNext ?? 1
  meta.inForceNext = number + 1
  view.write(keyOf(number), { ...after, offset }, entryCodec)
  if (number > inForceCountMax) view.remove(keyOf(number - inForceCountMax))
}

/** Where some of the people are read again, segments are pending as long as they were. */
async function followPending(scope: FoldScope): Promise<void> {
  const { meta, offset, nowMs, extraTraits } = scope
  const pending = await extraTraits?.pendingBehind?.(offset)
  if (pending === undefined) return
  const begun = { number: offset, after: '', doneCount: 0, startedAtMs: nowMs }
  if (pending.length > 0) meta.evaluation = { ...(meta.evaluation ?? begun), pending }
  else if (pendingOf(scope).length > 0) delete meta.evaluation
}

function inForceOf(scope: FoldScope): InForce {
  const lists = Object.entries(scope.meta.lists ?? {})
  const filling = findFilling(scope.computed.inForce)
  return {
    pending: pendingOf(scope),
    ...(filling.length > 0 ? { filling } : {}),
    lists: Object.fromEntries(lists.map(([name, { hash }]) => [name, { hash }])),
  }
}

/** Tells what was in force at places of one partition; made for one answer. */
export class InForceReader {
  readonly #state: StateReader
  readonly #partition: number
  readonly #entries = new Map<number, Entry | undefined>()
  #next: number | undefined

  constructor(state: StateReader, partition: number) {
    this.#state = state
    this.#partition = partition
  }

  /**
   * Returns what the record at an offset was folded under, and the timers before it; undefined
   * where it is not kept. Reads an entry for each halving of what is kept.
   */
  async at(offset: number): Promise<InForce | undefined> {
    this.#next ??= await this.#readNext()
    const next = this.#next
    const oldest = Math.max(1, next - inForceCountMax)
    let low = oldest
    let high = next
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      const entry = await this.#read(middle)
      if (entry === undefined || entry.offset < offset) low = middle + 1
      else high = middle
    }
    if (low > oldest) return await this.#read(low - 1)
    return oldest === 1 ? nothing : undefined
  }

  async #readNext(): Promise<number> {
    const meta = await readMeta(this.#state, this.#partition)
    return meta?.inForceNext ?? 1
  }

  /** Undefined where it was taken away since the count was read. */
  async #read(number: number): Promise<Entry | undefined> {
    if (this.#entries.has(number)) return this.#entries.get(number)
    const [bytes] = await this.#state.get(this.#partition, [keyOf(number)])
    const entry = bytes && entryCodec.decode(bytes)
    this.#entries.set(number, entry)
    return entry
  }
}

function keyOf(number: number): string {
  return prefix + hex(number, 12)
}
