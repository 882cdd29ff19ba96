import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Item } from '../catalog/item.ts'
import type { Interaction } from '../recommend/recommender.ts'
import { createMemoryStateStore, type MemoryStateStore } from '../state/memory-state-store.ts'
import type { Change } from '../state/state-store.ts'
import { feedKey } from './feed.ts'
import { FeedFollower, type FeedListener } from './follow-feed.ts'
import { createMeta, encodeJson, metaKey } from './meta.ts'
import { itemPrefix } from './scope.ts'

const startMs = 1_800_000_000_000

class Listener implements FeedListener {
  readonly learned: string[] = []
  readonly prices: string[] = []

  learn(interactions: readonly Interaction[]): void {
    this.learned.push(...interactions.map(({ itemId }) => itemId))
  }

  erase(profileIds: readonly string[]): void {
    this.learned.push(`erased ${profileIds.join()}`)
  }

  follow({ itemId, price }: Item): void {
    this.prices.push(`${itemId} ${price}`)
  }
}

/** Writes feeds as the fold does, with the number of the next entry in the meta. */
class Feeds {
  readonly state: MemoryStateStore = createMemoryStateStore()
  readonly #next = [1, 1]

  async open(): Promise<this> {
    await this.state.acquire(0, 1, 'n')
    await this.state.acquire(1, 1, 'n')
    return this
  }

  async view(partition: number, itemId: string, atMs: number): Promise<void> {
    const entry = encodeJson([['user:ada', itemId, 'view', startMs + atMs]])
    await this.#commit(partition, [{ key: feedKey(this.#next[partition] ?? 1), value: entry }])
  }

  async erase(partition: number, profileIds: readonly string[]): Promise<void> {
    const entry = encodeJson({ erased: profileIds })
    await this.#commit(partition, [{ key: feedKey(this.#next[partition] ?? 1), value: entry }])
  }

  async price(partition: number, itemId: string, price: number): Promise<void> {
    const item = { itemId, name: itemId, price, stockCount: 1, updatedAtMs: startMs }
    await this.#commit(partition, [
      { key: itemPrefix + itemId, value: encodeJson(item) },
      { key: feedKey(this.#next[partition] ?? 1), value: encodeJson(itemId) },
    ])
  }

  async drop(partition: number, number: number): Promise<void> {
    const { offset } = await this.state.head(partition)
    await this.#write(partition, offset, [{ key: feedKey(number), value: undefined }])
  }

  async #commit(partition: number, changes: readonly Change[]): Promise<void> {
    const { offset } = await this.state.head(partition)
    const next = (this.#next[partition] ?? 1) + 1
    this.#next[partition] = next
    const meta = { key: metaKey, value: encodeJson({ ...createMeta(1), feedNext: next }) }
    await this.#write(partition, offset, [...changes, meta])
  }

  async #write(partition: number, offset: number, changes: readonly Change[]): Promise<void> {
    const owner = { partition, epoch: 1, nonce: 'n', incarnation: 'test' }
    const to = { previousOffset: offset, offset: offset + 1, lastRecordId: `${offset}` }
    assert.deepEqual(await this.state.commit([{ ...owner, ...to, changes }]), ['committed'])
  }
}

describe('a follower of the feeds', () => {
  it('learns all that is there in the order of time, then what comes, each once', async () => {
    const feeds = await new Feeds().open()
    await feeds.view(0, 'late', 9)
    await feeds.view(1, 'early', 1)
    await feeds.view(1, 'middle', 5)
    await feeds.price(0, 'cup', 3)
    const follower = new FeedFollower(feeds.state, 2)
    const listener = new Listener()
    await follower.open()
    // Between the note of the ends and the filling.
    await feeds.view(0, 'between', 2)
    await follower.fill(listener)
    assert.deepEqual(listener.learned, ['early', 'middle', 'late'])
    assert.deepEqual(listener.prices, ['cup 3'])
    await follower.catchUp(listener)
    await follower.catchUp(listener)
    assert.deepEqual(listener.learned.slice(3), ['between'])
    await feeds.view(1, 'new', 11)
    await feeds.price(0, 'cup', 4)
    await feeds.price(0, 'cup', 5)
    await follower.catchUp(listener)
    assert.deepEqual(listener.learned.slice(4), ['new'])
    assert.deepEqual(listener.prices.slice(1), ['cup 5'], 'as it is now, once')
    assert.equal(follower.missedCount, 0)
  })

  it('tells of an erasure where it stands in its feed, while filling and afterwards', async () => {
    const feeds = await new Feeds().open()
    await feeds.view(0, 'before', 1)
    await feeds.erase(0, ['user:ada'])
    await feeds.view(0, 'after', 0)
    await feeds.view(1, 'other', 5)
    const follower = new FeedFollower(feeds.state, 2)
    const listener = new Listener()
    await follower.open()
    await follower.fill(listener)
    assert.deepEqual(listener.learned, ['before', 'erased user:ada', 'after', 'other'])
    await feeds.view(0, 'again', 6)
    await feeds.erase(0, ['user:ada', 'anonymous:x'])
    await follower.catchUp(listener)
    assert.deepEqual(listener.learned.slice(4), ['again', 'erased user:ada,anonymous:x'])
  })

  it('tells whether all behind a place is still there', async () => {
    const feeds = await new Feeds().open()
    for (let index = 1; index <= 3; index++) await feeds.view(0, `item ${index}`, index)
    await feeds.drop(0, 1)
    const follower = new FeedFollower(feeds.state, 2)
    await follower.open()
    assert.equal(await follower.holdsFrom([1, 1]), false)
    assert.equal(await follower.holdsFrom([2, 1]), true)
    assert.equal(await follower.holdsFrom([4, 1]), true)
    await feeds.drop(0, 2)
    await feeds.drop(0, 3)
    assert.equal(await follower.holdsFrom([2, 1]), false)
  })

  it('goes on behind what was dropped before it was read, and counts it', async () => {
    const feeds = await new Feeds().open()
    const follower = new FeedFollower(feeds.state, 2)
    const listener = new Listener()
    await follower.open()
    await follower.fill(listener)
    for (let index = 1; index <= 4; index++) await feeds.view(0, `item ${index}`, index)
    await feeds.drop(0, 1)
    await feeds.drop(0, 2)
    await follower.catchUp(listener)
    assert.deepEqual(listener.learned, ['item 3', 'item 4'])
    assert.equal(follower.missedCount, 2)
  })

  it('goes on behind what is known already, and counts what was dropped since', async () => {
    const feeds = await new Feeds().open()
    for (let index = 1; index <= 5; index++) await feeds.view(0, `item ${index}`, index)
    await feeds.price(0, 'cup', 3)
    await feeds.view(1, 'other', 2)
    const follower = new FeedFollower(feeds.state, 2)
    await follower.open()
    assert.deepEqual(follower.next, [7, 2])
    const listener = new Listener()
    await follower.fill(listener, [4, 2])
    assert.deepEqual(listener.learned, ['item 4', 'item 5'])
    assert.deepEqual(listener.prices, ['cup 3'])
    assert.equal(follower.missedCount, 0)
    assert.equal(await follower.readIncarnation(), 'test')
    await feeds.drop(0, 4)
    await feeds.drop(1, 1)
    const late = new FeedFollower(feeds.state, 2)
    await late.open()
    await late.fill(new Listener(), [3, 1])
    // Of the first feed only the fourth entry is gone; of the second all.
    assert.equal(late.missedCount, 2)
  })
})
