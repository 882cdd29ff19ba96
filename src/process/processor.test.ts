import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Message, messagePrefix } from '../campaign/message.ts'
import type { Event } from '../event/event.ts'
import { sha256Bytes } from '../lib/hash.ts'
import { createMemoryEventLog, type MemoryEventLog } from '../log/memory-event-log.ts'
import {
  decodeRecord,
  emptyBody,
  type NewRecord,
  partitionOf,
  type RecordKind,
} from '../log/record.ts'
import type { Person } from '../profile/person.ts'
import { decodePerson, personPrefix } from '../profile/person.ts'
import { hashPartition } from '../state/dump.ts'
import { createMemoryStateStore, type MemoryStateStore } from '../state/memory-state-store.ts'
import { type CompiledDefinitions, compileDefinitions, emptyDocument } from './definitions.ts'
import type { ClaimSkeleton } from './link-identity.ts'
import { decodeJson, type PartitionMeta, readMeta } from './meta.ts'
import { PartitionFold } from './partition-fold.ts'

const startMs = 1_800_000_000_000
const minuteMs = 60_000
const partitionCount = 2
const definitionsHash = 'd'.repeat(64)

const definitions: CompiledDefinitions = compile()

function compile(): CompiledDefinitions {
  const template = { name: 'mail', html: '', subject: '', text: null }
  const send = { send: { template: 'mail', topic: 'news' } }
  const answer = compileDefinitions(
    {
      ...emptyDocument,
      templates: { mail: template },
      segments: [
        {
          name: 'viewers',
          content: { event: 'Product Viewed', count: { atLeast: 2 }, within: '10m' },
        },
      ],
      campaigns: [
        {
          name: 'cart',
          trigger: { event: 'Product Added' },
          steps: [{ wait: '5m' }, send],
          exit: [{ event: 'Order Completed' }],
        },
        { name: 'viewer', trigger: { segment: 'viewers' }, steps: [send] },
      ],
    },
    definitionsHash,
  )
  if (answer.kind === 'refused') throw new Error(JSON.stringify(answer.faults))
  return answer.definitions
}

function claimOf(leaderKey: string): ClaimSkeleton {
  return { leaderKey, atMs: 0, keyCount: 1 }
}

/** One owner on memory adapters, driven record by record. */
class World {
  readonly log: MemoryEventLog = createMemoryEventLog({
    identity: { incarnation: 'test', partitionCount },
  })
  readonly state: MemoryStateStore = createMemoryStateStore()
  readonly folds = new Map<number, PartitionFold>()
  #eventCount = 0

  async open(): Promise<this> {
    for (let partition = 0; partition < partitionCount; partition++) {
      await this.state.acquire(partition, 1, 'n')
      await this.append('owner', `control:${partition}`, { epoch: 1, nonce: 'n' }, 0, partition)
      const skeleton = { hash: definitionsHash, version: 1 }
      await this.append('definitions', `control:${partition}`, skeleton, 0, partition)
      const fold = this.createFold(partition, this.state)
      await fold.open(await this.state.head(partition))
      this.folds.set(partition, fold)
    }
    await this.fold()
    return this
  }

  createFold(partition: number, state: MemoryStateStore): PartitionFold {
    const definitionsOf = (): Promise<CompiledDefinitions> => Promise.resolve(definitions)
    const deps = { log: this.log, state, definitionsOf }
    return new PartitionFold(deps, { workspace: 'default', partitionCount, partition })
  }

  async append(
    kind: RecordKind,
    key: string,
    skeleton: unknown,
    atMs: number,
    partition = partitionOf('default', key, partitionCount),
    given: Partial<NewRecord> = {},
  ): Promise<void> {
    const id = sha256Bytes(`${kind} ${key} ${this.#eventCount++}`, 16)
    const record: NewRecord = {
      partition,
      key,
      kind,
      id,
      recordedAtMs: startMs + atMs,
      isBackfill: false,
      keyId: 0,
      skeleton,
      body: emptyBody,
      ...given,
    }
    await this.log.append([record])
  }

  async event(name: string, atMs: number, given: Partial<NewRecord> & Partial<Event> = {}) {
    const userId = given.userId ?? 'ada'
    const eventId = given.eventId ?? `e${this.#eventCount}`
    const event: Event = {
      eventId,
      sourceId: 'web',
      type: 'track',
      name,
      userId,
      occurredAtMs: given.occurredAtMs ?? startMs + atMs,
      receivedAtMs: startMs + atMs,
      properties: { product_id: 'p1' },
      ...(given.anonymousId === undefined ? {} : { anonymousId: given.anonymousId }),
    }
    const key = `user:${userId}`
    await this.append('event', key, {}, atMs, undefined, {
      id: sha256Bytes(`web ${eventId}`, 16),
      body: Buffer.from(JSON.stringify(event)),
      isBackfill: given.isBackfill ?? false,
    })
  }

  async tick(atMs: number): Promise<void> {
    for (const partition of this.folds.keys()) {
      await this.append('tick', `control:${partition}`, { epoch: 1, nonce: 'n' }, atMs, partition)
    }
  }

  async fold(): Promise<void> {
    for (const [partition, fold] of this.folds)
      await foldToEnd(this.log, this.state, fold, partition)
  }

  async messages(): Promise<readonly Message[]> {
    const found: Message[] = []
    for (const partition of this.folds.keys()) {
      const entries = await this.state.scan(partition, messagePrefix, '', 100)
      found.push(...entries.map(({ value }) => decodeJson<Message>(value)))
    }
    return found
  }

  async person(userId = 'ada'): Promise<Person | undefined> {
    const key = `user:${userId}`
    const partition = partitionOf('default', key, partitionCount)
    const [bytes] = await this.state.get(partition, [personPrefix + key])
    return bytes && decodePerson(bytes)
  }

  async meta(partition: number): Promise<PartitionMeta> {
    const meta = await readMeta(this.state, partition)
    assert.ok(meta)
    return meta
  }
}

async function foldToEnd(
  log: MemoryEventLog,
  state: MemoryStateStore,
  fold: PartitionFold,
  partition: number,
  countMax = 100,
): Promise<void> {
  while (fold.stopped === undefined || (await fold.resume())) {
    const records = await log.read(partition, fold.cursor, countMax)
    if (records.length === 0) break
    await fold.fold(records, () => false)
    assert.equal(fold.isAwaitingWord, false)
    const { commit } = fold.takeCommit({ epoch: 1, nonce: 'n' }, 'test')
    assert.deepEqual(await state.commit([commit]), ['committed'])
    fold.committed(commit)
  }
}

describe('the fold', () => {
  it('makes a message when the wait ends, in the time of the log', async () => {
    const world = await new World().open()
    await world.event('Product Added', minuteMs)
    await world.tick(6 * minuteMs - 1)
    await world.fold()
    assert.deepEqual(await world.messages(), [])
    await world.tick(6 * minuteMs)
    await world.fold()
    const [message] = await world.messages()
    assert.equal(message?.campaign, 'cart')
    assert.equal(message?.dueAtMs, startMs + 6 * minuteMs)
  })

  it('makes none when the exit comes within the wait', async () => {
    const world = await new World().open()
    await world.event('Product Added', 0)
    await world.tick(minuteMs)
    await world.event('Order Completed', 2 * minuteMs - 1)
    await world.tick(30 * minuteMs)
    await world.fold()
    assert.deepEqual(await world.messages(), [])
  })

  it('starts nothing for backfill and for late events, but applies both', async () => {
    const world = await new World().open()
    await world.event('Product Added', 0, { isBackfill: true })
    await world.event('Product Added', 1, { occurredAtMs: startMs - 2 * 3_600_000 })
    await world.tick(30 * minuteMs)
    await world.fold()
    assert.deepEqual(await world.messages(), [])
    assert.equal((await world.person())?.parts[0]?.totals['Product Added']?.[0], 2)
  })

  it('applies a repeated event once and counts it', async () => {
    const world = await new World().open()
    for (const atMs of [0, 1, 2]) await world.event('Product Viewed', atMs, { eventId: 'same' })
    await world.fold()
    assert.equal((await world.person())?.parts[0]?.totals['Product Viewed']?.[0], 1)
    const partition = partitionOf('default', 'user:ada', partitionCount)
    assert.equal((await world.meta(partition)).counts.duplicates, 2)
  })

  it('ends a membership at the edge of its window, by a tick alone', async () => {
    const world = await new World().open()
    await world.event('Product Viewed', 0)
    await world.event('Product Viewed', minuteMs)
    await world.fold()
    assert.deepEqual(Object.keys((await world.person())?.memberships ?? {}), ['viewers'])
    assert.deepEqual(
      (await world.messages()).map(({ campaign }) => campaign),
      ['viewer'],
    )
    await world.tick(10 * minuteMs - 1)
    await world.fold()
    assert.deepEqual(Object.keys((await world.person())?.memberships ?? {}), ['viewers'])
    await world.tick(10 * minuteMs)
    await world.fold()
    assert.deepEqual(Object.keys((await world.person())?.memberships ?? {}), [])
  })

  it('runs at most a minute ahead of the owner, however wrong a clock is', async () => {
    const world = await new World().open()
    await world.event('Product Added', 0)
    await world.event('Product Viewed', 400 * 86_400_000, { occurredAtMs: startMs })
    await world.tick(0)
    await world.fold()
    assert.deepEqual(await world.messages(), [])
    const partition = partitionOf('default', 'user:ada', partitionCount)
    assert.equal((await world.meta(partition)).foldMs, startMs + minuteMs)
  })

  it('gives the same state whatever the size of its batches', async () => {
    const world = await new World().open()
    for (let index = 0; index < 40; index++) {
      const name = ['Product Viewed', 'Product Added', 'Order Completed'][index % 3] ?? ''
      await world.event(name, index * minuteMs, { userId: `user-${index % 4}` })
      await world.tick(index * minuteMs + 1)
    }
    await world.fold()
    for (const [partition] of world.folds) {
      const other = createMemoryStateStore()
      await other.acquire(partition, 1, 'n')
      const fold = world.createFold(partition, other)
      await fold.open(await other.head(partition))
      await foldToEnd(world.log, other, fold, partition, 1)
      assert.equal(
        await hashPartition(other, partition),
        await hashPartition(world.state, partition),
      )
    }
  })

  it('stops before a record that breaks it, and goes on when a skip names it', async () => {
    const world = await new World().open()
    const key = 'user:ada'
    const partition = partitionOf('default', key, partitionCount)
    await world.event('Product Viewed', 0)
    await world.append('event', key, {}, 1, partition, { body: Buffer.from('{') })
    await world.event('Product Viewed', 2)
    await world.fold()
    const fold = world.folds.get(partition)
    const offset = fold?.stopped?.offset ?? 0
    assert.equal((await world.person())?.parts[0]?.totals['Product Viewed']?.[0], 1)
    assert.equal(fold?.committedOffset, offset - 1)
    await world.append('skip', `control:${partition}`, { offset, reason: 'test' }, 3, partition)
    await world.fold()
    assert.equal((await world.person())?.parts[0]?.totals['Product Viewed']?.[0], 2)
    assert.equal((await world.meta(partition)).counts.skipped, 1)
  })

  it('stops loudly where a record of another partition is missing', async () => {
    const world = await new World().open()
    const key = 'user:ada'
    const partition = partitionOf('default', key, partitionCount)
    const outbox = { source: 1, offset: 9, index: 0, previousOffset: 7, previousIndex: 0 }
    await world.append('identity-refused', key, { keys: ['x'], reason: 'taken' }, 1, partition, {
      outbox,
    })
    await world.fold()
    assert.match(String(world.folds.get(partition)?.stopped?.cause), /is missing/)
  })

  it('gives a device that comes without a past a part of its own', async () => {
    const world = await new World().open()
    await world.event('Product Viewed', 0)
    const event = { eventId: 'x', sourceId: 'web', type: 'track', name: 'Product Viewed' }
    const times = { occurredAtMs: startMs, receivedAtMs: startMs }
    const skeleton = { partKey: 'anonymous:d', hopCount: 1 }
    const body = Buffer.from(JSON.stringify({ ...event, ...times }))
    await world.append('forwarded', 'user:ada', skeleton, 1, undefined, { body })
    await world.fold()
    const parts = (await world.person())?.parts.map(({ key }) => key)
    assert.deepEqual(parts, ['user:ada', 'anonymous:d'])
  })

  it('passes a withdrawal on to the user who has the device by now', async () => {
    const world = await new World().open()
    await world.event('Product Added', 0, { userId: 'device' })
    await world.tick(30 * minuteMs)
    await world.fold()
    const [message] = await world.messages()
    assert.ok(message)
    const messageId = message.messageId
    await world.append('identity-claim', message.personKey, claimOf('user:ada'), 1)
    const skeleton = { messageId, outcome: 'unsubscribed', atMs: startMs }
    await world.append('outcome', message.personKey, skeleton, 2)
    await world.fold()
    const source = partitionOf('default', message.personKey, partitionCount)
    const sent = await world.state.scan(source, 'outbox/', '', 10)
    const kinds = sent.map(({ value }) => decodeRecord(0, 1, value).kind)
    assert.deepEqual(kinds.toSorted(), ['forwarded', 'identity-part'])
  })

  it('sends what an earlier owner says late was not sent, unless there was an exit', async () => {
    const world = await new World().open()
    for (const userId of ['ada', 'bob']) {
      const event = { eventId: 'e', sourceId: 'web', type: 'identify', userId, properties: {} }
      const times = { occurredAtMs: startMs, receivedAtMs: startMs }
      const traits = { email: `${userId}@person.example` }
      const body = Buffer.from(JSON.stringify({ ...event, ...times, traits }))
      await world.append('event', `user:${userId}`, {}, 0, undefined, { body })
      await world.event('Product Added', 0, { userId })
    }
    await world.tick(5 * minuteMs)
    await world.fold()
    const messages = await world.messages()
    const claim = async (attempt: number, epoch: number, atMs: number): Promise<void> => {
      for (const { messageId, personKey } of messages) {
        await world.append('claim', personKey, { messageId, attempt, epoch }, atMs)
      }
      await world.fold()
    }
    const states = async (): Promise<readonly string[]> =>
      (await world.messages()).map(({ personKey, state }) => `${personKey} ${state.kind}`).sort()
    await claim(1, 1, 5 * minuteMs)
    assert.deepEqual(await states(), ['user:ada granted', 'user:bob granted'])
    const owner = { epoch: 2, nonce: 'm' }
    for (const partition of world.folds.keys()) {
      await world.append('owner', `control:${partition}`, owner, 5 * minuteMs, partition)
    }
    await world.event('Order Completed', 5 * minuteMs, { userId: 'bob' })
    await world.fold()
    assert.deepEqual(await states(), ['user:ada unknown', 'user:bob unknown'])
    for (const { messageId, personKey } of messages) {
      const result = { messageId, attempt: 1, result: 'deferred', says: 'given up' }
      await world.append('result', personKey, result, 5 * minuteMs)
    }
    for (const partition of world.folds.keys()) {
      await world.append('tick', `control:${partition}`, owner, 7 * minuteMs, partition)
    }
    await claim(2, 2, 7 * minuteMs)
    assert.deepEqual(await states(), ['user:ada granted', 'user:bob refused'])
  })

  it('asks for the past of a device once', async () => {
    const world = await new World().open()
    await world.event('Product Viewed', 0, { anonymousId: 'device-1' })
    await world.event('Product Viewed', 1, { anonymousId: 'device-1' })
    await world.fold()
    const partition = partitionOf('default', 'user:ada', partitionCount)
    const outbox = await world.state.scan(partition, 'outbox/', '', 10)
    const kinds = outbox.map(({ value }) => decodeRecord(partition, 0, value).kind)
    assert.deepEqual(
      kinds.filter((kind) => kind === 'identity-claim'),
      ['identity-claim'],
    )
    assert.deepEqual((await world.person())?.claimed, { 'anonymous:device-1': startMs + 1 })
  })
})
