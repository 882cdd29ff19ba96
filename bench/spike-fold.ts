/**
 * A fold of the smallest kind, to measure what a state store and a layout of a person cost: read
 * the person, add an activity, write it back, all of a batch in one commit over the partitions of
 * the thread.
 */

import type { Change, PartitionCommit } from '../src/state/state-store.ts'

export interface SpikeStore {
  get(partition: number, keys: readonly string[]): Promise<readonly (Uint8Array | undefined)[]>
  commit(commits: readonly PartitionCommit[]): Promise<readonly string[]>
}

export interface PersonLayout {
  readonly name: string
  create(person: number): Uint8Array
  add(value: Uint8Array, item: number, occurredAtMs: number): Uint8Array
}

export interface FoldResult {
  readonly eventsPerSecond: number
  readonly batchMsMedian: number
  readonly batchMsMax: number
  readonly changesPerCommit: number
  readonly bytesPerCommit: number
}

export const personCount = 100_000
export const partitionCount = 64
const activityCountMax = 28
const packedBytes = 24
const packedCountMax = 75
const seenCountMax = 64

/** One JSON value of about 2 KB with the last 28 activities. */
export const jsonLayout: PersonLayout = {
  name: 'JSON row',
  create: (person) =>
    encodeJson({
      traits: traitsOf(person),
      activity: Array.from({ length: activityCountMax }, (_, n) => activityOf(n, n)),
    }),
  add(value, item, occurredAtMs) {
    const person = JSON.parse(Buffer.from(value).toString()) as {
      readonly traits: unknown
      readonly activity: unknown[]
    }
    person.activity.push(activityOf(item, occurredAtMs))
    if (person.activity.length > activityCountMax) person.activity.shift()
    return encodeJson(person)
  },
}

/**
 * u32 head bytes | JSON head | 75 activities of 24 bytes: the head is copied, not parsed. About 2
 * KB.
 */
export const packedLayout: PersonLayout = {
  name: 'packed value',
  create(person) {
    const head = encodeJson({ traits: traitsOf(person) })
    const bytes = Buffer.alloc(4 + head.length + packedCountMax * packedBytes)
    bytes.writeUInt32BE(head.length)
    bytes.set(head, 4)
    return bytes
  },
  add(value, item, occurredAtMs) {
    const bytes = Buffer.allocUnsafe(value.length)
    const source = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
    const begin = 4 + source.readUInt32BE(0)
    bytes.set(source.subarray(0, begin))
    bytes.set(source.subarray(begin + packedBytes), begin)
    const at = bytes.length - packedBytes
    bytes.writeDoubleBE(occurredAtMs, at)
    bytes.writeUInt32BE(1, at + 8)
    bytes.writeDoubleBE(item, at + 12)
    bytes.writeUInt32BE(1, at + 20)
    return bytes
  },
}

/**
 * The packed value with the ids of the last 64 events in front: a repeat is found without a key of
 * its own.
 */
export const packedSeenLayout: PersonLayout = {
  name: 'packed value, seen ids inside',
  create(person) {
    const rest = packedLayout.create(person)
    // Fewer activities, so that the whole is as large as without ids.
    return Buffer.concat([Buffer.alloc(seenCountMax * 8), rest.subarray(0, -seenCountMax * 8)])
  },
  add(value, item, occurredAtMs) {
    const source = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
    const ids = Buffer.allocUnsafe(seenCountMax * 8)
    const id = (occurredAtMs + 1) * 64 + item
    for (let at = 0; at < ids.length; at += 8) if (source.readDoubleBE(at) === id) return value
    ids.set(source.subarray(8, ids.length))
    ids.writeDoubleBE(id, ids.length - 8)
    const rest = packedLayout.add(source.subarray(ids.length), item, occurredAtMs)
    return Buffer.concat([ids, rest])
  },
}

/** Fills the store with all people, then folds `eventCount` events of uniform people. */
export async function measureFold(
  store: SpikeStore,
  layout: PersonLayout,
  options: { readonly hasSeen: boolean; readonly eventCount: number; readonly batchCount: number },
): Promise<FoldResult> {
  const offsets = new Array<number>(partitionCount).fill(0)
  for (let person = 0; person < personCount; person += 2000) {
    const batch = createBatch(offsets)
    for (let n = person; n < person + 2000; n++) batch.add(n, [put(personKey(n), layout.create(n))])
    await batch.commit(store)
  }
  const random = createRandom(7)
  const batchMs: number[] = []
  let changeCount = 0
  let byteCount = 0
  const beganAt = performance.now()
  for (let event = 0; event < options.eventCount; event += options.batchCount) {
    const at = performance.now()
    const batch = await foldBatch(store, layout, { ...options, event, offsets, random })
    await batch.commit(store)
    changeCount += batch.changeCount
    byteCount += batch.byteCount
    batchMs.push(performance.now() - at)
  }
  const seconds = (performance.now() - beganAt) / 1000
  batchMs.sort((left, right) => left - right)
  return {
    eventsPerSecond: Math.round(options.eventCount / seconds),
    batchMsMedian: round(batchMs[batchMs.length >> 1] ?? 0),
    batchMsMax: round(batchMs.at(-1) ?? 0),
    changesPerCommit: round(changeCount / batchMs.length / partitionCount),
    bytesPerCommit: Math.round(byteCount / batchMs.length / partitionCount),
  }
}

interface Batch {
  changeCount: number
  byteCount: number
  add(person: number, changes: readonly Change[]): void
  commit(store: SpikeStore): Promise<void>
}

async function foldBatch(
  store: SpikeStore,
  layout: PersonLayout,
  given: {
    readonly hasSeen: boolean
    readonly batchCount: number
    readonly event: number
    readonly offsets: number[]
    readonly random: () => number
  },
): Promise<Batch> {
  const wanted = new Map<number, { readonly people: number[]; readonly keys: string[] }>()
  for (let n = 0; n < given.batchCount; n++) {
    const person = Math.floor(given.random() * personCount)
    const partition = person % partitionCount
    const own = wanted.get(partition) ?? { people: [], keys: [] }
    wanted.set(partition, own)
    own.people.push(person)
    own.keys.push(personKey(person))
    if (given.hasSeen) own.keys.push(seenKey(given.event + n))
  }
  const answers = await Promise.all(
    Array.from(wanted, async ([partition, { people, keys }]) => ({
      people,
      keys,
      values: await store.get(partition, keys),
    })),
  )
  const batch = createBatch(given.offsets)
  for (const { people, keys, values } of answers) {
    const stride = given.hasSeen ? 2 : 1
    for (const [index, person] of people.entries()) {
      const value = values[index * stride]
      if (value === undefined) throw new Error('a person of the spike is missing')
      const changes = [put(personKey(person), layout.add(value, index, given.event))]
      if (given.hasSeen) changes.push(put(keys[index * stride + 1] ?? '', new Uint8Array(8)))
      batch.add(person, changes)
    }
  }
  return batch
}

function createBatch(offsets: number[]): Batch {
  const byPartition = new Map<number, Change[]>()
  return {
    changeCount: 0,
    byteCount: 0,
    add(person, changes) {
      const partition = person % partitionCount
      const own = byPartition.get(partition) ?? []
      byPartition.set(partition, own)
      own.push(...changes)
      this.changeCount += changes.length
      for (const { key, value } of changes) this.byteCount += key.length + (value?.length ?? 0)
    },
    async commit(store) {
      const commits = Array.from(byPartition, ([partition, changes]): PartitionCommit => {
        const previousOffset = offsets[partition] ?? 0
        offsets[partition] = previousOffset + changes.length
        return {
          partition,
          epoch: 1,
          nonce: 'n',
          previousOffset,
          offset: previousOffset + changes.length,
          lastRecordId: '00112233445566778899aabbccddeeff',
          incarnation: 'spike',
          changes,
        }
      })
      const answers = await store.commit(commits)
      if (answers.some((answer) => answer !== 'committed')) throw new Error('a commit was refused')
    },
  }
}

function put(key: string, value: Uint8Array): Change {
  return { key, value }
}

function personKey(person: number): string {
  return `person/user:${(person * 2654435761) % 2 ** 32}`
}

function seenKey(event: number): string {
  return `seen/${((event * 2654435761) % 2 ** 32).toString(36).padStart(8, '0')}-web`
}

function traitsOf(person: number): unknown {
  return { email: `person${person}@example.com`, firstName: 'Ada', plan: 'pro', city: 'Turin' }
}

function activityOf(item: number, occurredAtMs: number): unknown {
  return { name: 'Product Viewed', occurredAtMs: 1.79e12 + occurredAtMs, itemId: `sku-${item}` }
}

function encodeJson(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}

function createRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

function round(value: number): number {
  return Number(value.toFixed(1))
}
