/** One partition with people, events, campaigns and time, for tests of the past. */

import assert from 'node:assert/strict'
import { sha256Bytes } from '../lib/hash.ts'
import type { Random } from '../lib/random.ts'
import { createMemoryEventLog, type MemoryEventLog } from '../log/memory-event-log.ts'
import { decodeRecord, emptyBody, type NewRecord } from '../log/record.ts'
import { decodePerson, type Person, personPrefix } from '../profile/person.ts'
import { createMemoryStateStore, type MemoryStateStore } from '../state/memory-state-store.ts'
import { type CompiledDefinitions, compileDefinitions, emptyDocument } from './definitions.ts'
import type { KeyList } from './key-list.ts'
import { type PartitionMeta, readMeta } from './meta.ts'
import { PartitionFold } from './partition-fold.ts'
import { outboxPrefix } from './scope.ts'

export const startMs = 1_800_000_000_000
export const minuteMs = 60_000
export const dayMs = 86_400_000
const owner = { epoch: 1, nonce: 'n' }
export const keys = ['user:ada', 'user:bob', 'anonymous:a1', 'anonymous:a2'] as const
/** By the hash of a list, whom it names. */
const listed: Readonly<Record<string, string>> = { l1: 'user:ada', l2: 'anonymous:a1' }
const hashes = ['a'.repeat(64), 'b'.repeat(64)] as const
/** With a computed trait that no segment sees, and with one that a segment sees. */
export const countingHash = 'c'.repeat(64)
export const seeingHash = 'd'.repeat(64)
/** With a segment that names a property of events. */
export const pricingHash = 'e'.repeat(64)

export interface Seen {
  readonly person: Person
  readonly traits: unknown
}

/** One partition that sends to itself, folded record by record or in batches. */
export class PastWorld {
  readonly log: MemoryEventLog = createMemoryEventLog({
    identity: { incarnation: 'test', partitionCount: 1 },
  })
  readonly state: MemoryStateStore = createMemoryStateStore()
  /** By key, then by version: what a person was behind each record. */
  readonly seen = new Map<string, Map<number, Seen>>()
  readonly #historyMs: number
  /** Of the record that put the newest rules or list in force. */
  #rulesOffset = 0
  #fold: PartitionFold | undefined

  constructor(historyMs: number) {
    this.#historyMs = historyMs
  }

  definitionsOf = async (hash: string): Promise<CompiledDefinitions> => compile(hash)

  listOf = async (hash: string): Promise<KeyList> => ({
    keyCount: 1,
    has: (key) => key === listed[hash],
  })

  async append(record: NewRecord): Promise<void> {
    if ((await this.log.end(0)) === 0) {
      const skeleton = { ...owner, historyMs: this.#historyMs }
      await this.log.append([
        recordOf('owner', 'control:0', 0, skeleton),
        recordOf('definitions', 'control:0', 0, { hash: hashes[0], version: 1 }),
      ])
    }
    // The owner's word on time, without which fold time would stand still.
    const { recordedAtMs } = record
    const number = this.#rulesOffset
    const skeleton = record.kind === 'continue' ? { number, ...Object(record.skeleton) } : undefined
    await this.log.append([
      { ...tick(0), recordedAtMs },
      skeleton === undefined ? record : { ...record, skeleton },
    ])
    if (record.kind === 'definitions') this.#rulesOffset = await this.log.end(0)
  }

  /** Folds to the end, what it sends to itself included. */
  async fold(
    countMax: number,
    isForwarding = true,
    onCommitted: () => Promise<void> = async () => {},
  ): Promise<void> {
    if (this.#fold === undefined) {
      await this.state.acquire(0, 1, 'n')
      const options = { workspace: 'default', partitionCount: 1, partition: 0 }
      this.#fold = new PartitionFold(this, options)
      await this.#fold.open(await this.state.head(0))
    }
    const fold = this.#fold
    while (fold.cursor < (await this.log.end(0))) {
      await fold.fold(await this.log.read(0, fold.cursor, countMax), () => false)
      if (fold.stopped !== undefined) throw fold.stopped.cause
      const { commit } = fold.takeCommit(owner, 'test')
      assert.deepEqual(await this.state.commit([commit]), ['committed'])
      fold.committed(commit)
      for (const { key, value } of commit.changes) {
        if (!isForwarding || !key.startsWith(outboxPrefix) || value === undefined) continue
        await this.log.append([decodeRecord(0, 0, value)])
      }
      await onCommitted()
      if (countMax === 1) for (const key of keys) await this.#look(key)
    }
  }

  async now(key: string): Promise<Seen> {
    const [bytes, traits] = await this.state.get(0, [personPrefix + key, `trait/${key}`])
    return {
      person: decodePerson(bytes ?? assert.fail(key)),
      traits: traits === undefined ? {} : JSON.parse(Buffer.from(traits).toString()),
    }
  }

  async meta(): Promise<PartitionMeta> {
    return (await readMeta(this.state, 0)) ?? assert.fail('something is folded')
  }

  async #look(key: string): Promise<void> {
    const [bytes] = await this.state.get(0, [personPrefix + key])
    if (bytes === undefined) return
    const now = await this.now(key)
    const versions = this.seen.get(key) ?? new Map<number, Seen>()
    this.seen.set(key, versions)
    if (!versions.has(now.person.version)) versions.set(now.person.version, now)
  }
}

/** Lists that come into force, by the number of the record. */
const listAt: Readonly<Record<number, string>> = { 230: 'l1', 300: 'l2', 600: 'l1' }
/** Behind whom new rules go on, by the number of the record in its hundred. */
const reachedAt: Readonly<Record<number, string>> = {
  ...{ 1: '', 5: 'anonymous:a2', 9: 'user:bob' },
  ...{ 40: '', 60: 'anonymous:a2', 80: 'user:bob' },
}

export function anyRecord(random: Random, index: number): NewRecord {
  const below = (count: number): number => Math.floor(random.unit() * count)
  const atMs = index * 3 * minuteMs
  const name = ['Product Viewed', 'Product Added', 'Order Completed'][below(3)] ?? ''
  const userId = ['ada', 'ada', 'ada', 'bob'][below(4)] ?? ''
  const anonymousId = ['a1', 'a2'][below(2)] ?? ''
  if (index === 200) {
    return recordOf('definitions', 'control:0', atMs, { hash: hashes[1], version: 2 })
  }
  const list = listAt[index]
  if (list !== undefined) {
    const skeleton = { list: { name: 'vip', hash: list, keyCount: 1 } }
    return recordOf('definitions', 'control:0', atMs, skeleton)
  }
  const after = reachedAt[index % 100]
  if (index > 200 && after !== undefined) {
    const skeleton = { task: 'segments', epoch: owner.epoch, after, peopleCountMax: 2 }
    return recordOf('continue', 'control:0', atMs, skeleton)
  }
  switch (below(12)) {
    case 0:
      return tick(atMs)
    case 1:
    case 2: {
      const traits = { email: `${userId}@b.example`, step: index }
      const identify = { type: 'identify', name: 'Identified', traits, userId, anonymousId }
      return event(`user:${userId}`, atMs, identify)
    }
    case 3:
    case 4:
    case 5:
      return event(`anonymous:${anonymousId}`, atMs, { name, anonymousId })
    case 6:
      return event(`user:${userId}`, atMs, { name: 'Unsubscribed', userId })
    default:
      return event(`user:${userId}`, atMs, { name, userId })
  }
}

const newSegments = [
  { name: 'vips', content: { list: 'vip' } },
  { name: 'quiet', content: { not: { event: 'Product Added', within: '30m' } } },
]
const pricey = {
  name: 'pricey',
  content: {
    ...{ event: 'Product Viewed', count: { atLeast: 2 }, within: '60m' },
    where: { properties: { price: { atLeast: 3 } } },
  },
}
const views = { name: 'views', content: { kind: 'count', event: 'Product Viewed' } }

function compile(hash: string): CompiledDefinitions {
  const within = hash === hashes[0] ? '10m' : '20m'
  const answer = compileDefinitions(
    {
      ...emptyDocument,
      templates: { mail: { name: 'mail', html: '', subject: '', text: null } },
      segments: [
        {
          name: 'viewers',
          content: { event: 'Product Viewed', count: { atLeast: 2 }, within },
        },
        ...(hash === hashes[0] ? [] : newSegments),
        ...(hash === pricingHash ? [pricey] : []),
        ...(hash === seeingHash ? [{ name: 'keen', content: { trait: 'views', atLeast: 5 } }] : []),
      ],
      ...(hash === countingHash || hash === seeingHash ? { traits: [views] } : {}),
      campaigns: [
        {
          name: 'cart',
          trigger: { event: 'Product Added' },
          steps: [{ wait: '5m' }, { send: { template: 'mail', topic: 'news' } }],
          exit: [{ event: 'Order Completed' }],
        },
        {
          name: 'view',
          trigger: { segment: 'viewers' },
          steps: [{ send: { template: 'mail', topic: 'news' } }],
        },
      ],
    },
    hash,
  )
  if (answer.kind === 'refused') throw new Error(JSON.stringify(answer.faults))
  return answer.definitions
}

export function tick(atMs: number): NewRecord {
  return recordOf('tick', 'control:0', atMs, owner)
}

export function event(
  key: string,
  atMs: number,
  given: Readonly<Record<string, unknown>>,
): NewRecord {
  const at = startMs + atMs
  const userId = key.startsWith('user:') ? { userId: key.slice(5) } : {}
  const name = given['name'] ?? 'Product Viewed'
  const body = {
    ...{ eventId: `e${atMs}`, sourceId: 'web', type: 'track', occurredAtMs: at, receivedAtMs: at },
    ...{ ...userId, properties: { product_id: 'cup', price: 4 }, ...given, name },
  }
  return recordOf('event', key, atMs, { name }, body)
}

export function recordOf(
  kind: NewRecord['kind'],
  key: string,
  atMs: number,
  skeleton: unknown,
  body?: unknown,
): NewRecord {
  return {
    ...{ partition: 0, key, kind, skeleton, keyId: 0, isBackfill: false },
    recordedAtMs: startMs + atMs,
    id: sha256Bytes(`${kind} ${key} ${atMs}`, 16),
    body: body === undefined ? emptyBody : Buffer.from(JSON.stringify(body)),
  }
}
