/**
 * Follows the feeds of all partitions from the state, for an index that lives in another process
 * than the folds, or begins after them.
 *
 * First it notes how far each feed goes, then it reads what is there: what commits add meanwhile is
 * read by the first call of `catchUp`. So nothing comes twice or is left out. Where entries were
 * dropped before they were read, because the follower was away for long, it goes on behind the gap
 * and counts it: somebody may have been erased by what is gone, so an index then begins again.
 */

import type { Item } from '../catalog/item.ts'
import type { Interaction } from '../recommend/recommender.ts'
import type { Entry, StateReader } from '../state/state-store.ts'
import { decodeFeed, feedKey, numberOf } from './feed.ts'
import { type ErasedProfiles, mergeFeeds } from './merge-feeds.ts'
import { readMeta } from './meta.ts'
import { feedPrefix, itemCodec, itemPrefix } from './scope.ts'

export interface FeedListener {
  learn(interactions: readonly Interaction[]): void
  erase(profileIds: readonly string[]): void
  follow(item: Item): void
}

const scanCount = 2000

export class FeedFollower {
  /** Entries that were gone before they were read. */
  missedCount = 0
  readonly #state: StateReader
  /** By partition: number of the next entry to read. */
  readonly #next: number[]
  /** The log's incarnation of which the feeds are; '' before the first commit. */
  #incarnation = ''
  /** By partition: the head's offset when its feed was read; while it stays, nothing came. */
  readonly #readAt = new Map<number, number>()

  constructor(state: StateReader, partitionCount: number) {
    this.#state = state
    this.#next = Array.from({ length: partitionCount }, () => 1)
  }

  /** Notes where the feeds end: `fill` reads up to there, `catchUp` from there. */
  async open(): Promise<void> {
    const ends = await Promise.all(this.#next.map((_, partition) => this.#readEnd(partition)))
    ends.forEach((end, partition) => {
      this.#next[partition] = end
    })
  }

  /** By partition: number of the next entry to read. */
  get next(): readonly number[] {
    return this.#next
  }

  /** Answers '' before the first commit. */
  async readIncarnation(): Promise<string> {
    if (this.#incarnation !== '') return this.#incarnation
    const heads = await Promise.all(this.#next.map((_, partition) => this.#state.head(partition)))
    this.#incarnation = heads.find(({ incarnation }) => incarnation !== '')?.incarnation ?? ''
    return this.#incarnation
  }

  /**
   * Tells whether the feeds still hold all from these numbers on. Where they do not, an erasure may
   * be among what is gone.
   */
  async holdsFrom(from: readonly number[]): Promise<boolean> {
    const held = this.#next.map(async (end, partition) => {
      const first = from[partition] ?? 1
      if (first >= end) return true
      const [oldest] = await this.#state.scan(partition, feedPrefix, feedKey(first - 1), 1)
      return oldest?.key === feedKey(first)
    })
    return (await Promise.all(held)).every((isHeld) => isHeld)
  }

  /**
   * Tells all items, and all interactions up to where it was opened, in the order of time. `from`
   * are the numbers of the first entries to tell, where those before are known.
   */
  async fill(listener: FeedListener, from?: readonly number[]): Promise<void> {
    const pages = this.#next.map((end, partition) => {
      const entries = this.#scan(partition, feedPrefix, feedKey((from?.[partition] ?? 1) - 1))
      let expected = from?.[partition]
      return async (): Promise<readonly (Interaction | ErasedProfiles)[]> => {
        const page: (Interaction | ErasedProfiles)[] = []
        while (page.length < scanCount) {
          const entry = await entries.next()
          if (entry.done === true || entry.value.key >= feedKey(end)) {
            if (expected !== undefined) this.missedCount += end - expected
            expected = undefined
            break
          }
          const number = numberOf(entry.value.key)
          if (expected !== undefined) this.missedCount += number - expected
          if (expected !== undefined) expected = number + 1
          const { interactions, erased } = decodeFeed(entry.value.value)
          page.push(...interactions)
          if (erased !== undefined) page.push({ erased })
        }
        return page
      }
    })
    for (const partition of this.#next.keys()) {
      for await (const { value } of this.#scan(partition, itemPrefix, '')) {
        listener.follow(itemCodec.decode(value))
      }
    }
    await mergeFeeds(pages, listener)
  }

  /** Tells what has come since the last call. */
  async catchUp(listener: FeedListener): Promise<void> {
    const heads = await Promise.all(this.#next.map((_, partition) => this.#state.head(partition)))
    await Promise.all(
      heads.map(async ({ offset }, partition) => {
        if (this.#readAt.get(partition) === offset) return
        const end = await this.#readEnd(partition)
        if (end > (this.#next[partition] ?? 1)) await this.#read(partition, end, listener)
        this.#readAt.set(partition, offset)
      }),
    )
  }

  async #read(partition: number, end: number, listener: FeedListener): Promise<void> {
    const first = this.#next[partition] ?? 1
    let readCount = 0
    const changed = new Set<string>()
    for await (const { key, value } of this.#scan(partition, feedPrefix, feedKey(first - 1))) {
      if (key >= feedKey(end)) break
      readCount++
      const { interactions, itemId, erased } = decodeFeed(value)
      if (itemId !== undefined) changed.add(itemPrefix + itemId)
      if (interactions.length > 0) listener.learn(interactions)
      if (erased !== undefined) listener.erase(erased)
    }
    const items = await this.#state.get(partition, [...changed])
    for (const bytes of items) if (bytes !== undefined) listener.follow(itemCodec.decode(bytes))
    this.missedCount += end - first - readCount
    this.#next[partition] = end
  }

  async #readEnd(partition: number): Promise<number> {
    return (await readMeta(this.#state, partition))?.feedNext ?? 1
  }

  async *#scan(partition: number, prefix: string, from: string): AsyncGenerator<Entry> {
    for (let after = from; ; ) {
      const page = await this.#state.scan(partition, prefix, after, scanCount)
      yield* page
      if (page.length < scanCount) return
      after = page.at(-1)?.key ?? ''
    }
  }
}
