import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { messagePrefix } from '../campaign/message.ts'
import type { Event } from '../event/event.ts'
import { sha256Bytes } from '../lib/hash.ts'
import type { Json } from '../lib/json.ts'
import { createMemoryEventLog } from '../log/memory-event-log.ts'
import { decodeRecord, emptyBody, type NewRecord, type RecordKind } from '../log/record.ts'
import { decodePerson, type Person, personPrefix } from '../profile/person.ts'
import { hashPartition } from '../state/dump.ts'
import { createMemoryStateStore, type MemoryStateStore } from '../state/memory-state-store.ts'
import {
  type CompiledDefinitions,
  compileDefinitions,
  type DefinitionsDocument,
  emptyDocument,
} from './definitions.ts'
import { decodeKeyList, encodeKeyList, type KeyList } from './key-list.ts'
import type { Evaluation } from './meta.ts'
import { PartitionFold } from './partition-fold.ts'

const startMs = 1_800_000_000_000
const stepMs = 10
const buyers = { name: 'buyers', content: { event: 'Buy', within: '1h' } }
const many = { name: 'many', content: { event: 'Buy', count: { atLeast: 2 }, within: '1h' } }
const viewers = { name: 'viewers', content: { event: 'View', within: '1h' } }
const both = { name: 'both', content: { all: [{ segment: 'buyers' }, { segment: 'viewers' }] } }
const vips = { name: 'vips', content: { list: 'vip' } }

describe('the evaluation of everybody by new rules', () => {
  it('reaches all people in pieces, whatever their keys, and then is over', async () => {
    const world = await new World({ a: [viewers], b: [viewers, buyers] }).open()
    await world.apply('a')
    const names = ['ada', 'Zoe', '\u00e9va', '\u{1F600}', '\uffee', 'bob', 'a/b']
    for (const name of names) await world.event(name, 'Buy')
    await world.apply('b')
    assert.deepEqual(world.pending, ['buyers'])
    const counts: number[] = []
    while (world.evaluation !== undefined) {
      counts.push(world.evaluation.doneCount)
      await world.continue(2)
    }
    assert.deepEqual(counts, [0, 2, 4, 6])
    assert.deepEqual(world.members, { buyers: 7 })
    for (const name of names) assert.deepEqual(await world.membershipsOf(name), ['buyers'], name)
    await world.checkRebuild()
  })

  it('triggers nothing and tells nothing of what is pending; afterwards it does', async () => {
    const world = await new World({ a: [viewers], b: [viewers, buyers, both] }).open()
    await world.apply('a')
    for (const name of ['ada', 'bob', 'cyd']) await world.event(name, 'Buy')
    await world.apply('b')
    assert.deepEqual(world.pending, ['buyers', 'both'])
    // Ada is evaluated because she does something, before her turn; what is not pending is told.
    await world.event('ada', 'View')
    assert.deepEqual(await world.membershipsOf('ada'), ['viewers', 'buyers', 'both'])
    assert.deepEqual(await world.told(), ['user:ada entered viewers'])
    await world.continue(1)
    await world.event('ada', 'View')
    while (world.evaluation !== undefined) await world.continue(1)
    assert.deepEqual(await world.membershipsOf('cyd'), ['buyers'])
    assert.deepEqual(await world.told(), ['user:ada entered viewers'])
    assert.equal(await world.messageCount(), 0)
    await world.event('cyd', 'View')
    await world.event('dan', 'Buy')
    assert.deepEqual(await world.told(), [
      'user:ada entered viewers',
      'user:cyd entered viewers',
      'user:cyd entered both',
      'user:dan entered buyers',
    ])
    assert.equal(await world.messageCount(), 1)
    await world.checkRebuild()
  })

  it('keeps what did not change in force meanwhile', async () => {
    const world = await new World({ a: [buyers], b: [buyers, viewers] }).open()
    await world.apply('a')
    await world.event('ada', 'View')
    await world.event('bob', 'View')
    await world.apply('b')
    await world.event('bob', 'Buy')
    assert.deepEqual(await world.told(), ['user:bob entered buyers'])
    assert.equal(await world.messageCount(), 1)
    assert.deepEqual(await world.membershipsOf('bob'), ['buyers', 'viewers'])
  })

  it('begins again where rules change on the way, and takes out who is in no segment', async () => {
    const world = await new World({ a: [viewers], b: [buyers, many], c: [many] }).open()
    await world.apply('a')
    for (const name of ['ada', 'bob']) {
      await world.event(name, 'Buy')
      await world.event(name, 'View')
    }
    await world.apply('b')
    const { number } = world.evaluation ?? {}
    await world.continue(1)
    await world.apply('c')
    assert.deepEqual(world.pending, ['many'])
    assert.notEqual(world.evaluation?.number, number)
    while (world.evaluation !== undefined) await world.continue(1)
    assert.deepEqual(await world.membershipsOf('ada'), [])
    assert.deepEqual(world.members, {})
    const person = await world.person('ada')
    assert.deepEqual(Object.keys(person?.segmentTimers ?? {}), [])
    await world.checkRebuild()
  })

  it('ignores records of another owner, of another evaluation, and repeats', async () => {
    const world = await new World({ a: [viewers], b: [buyers] }).open()
    await world.apply('a')
    for (const name of ['ada', 'bob', 'cyd']) await world.event(name, 'Buy')
    await world.apply('b')
    const { number = 0, after = '' } = world.evaluation ?? {}
    await world.continue(1, { epoch: 0 })
    await world.continue(1, { number: number - 1 })
    assert.equal(world.evaluation?.doneCount, 0)
    await world.continue(1)
    await world.continue(1, { number, after })
    assert.equal(world.evaluation?.doneCount, 1)
  })

  it('needs nobody where nothing changed, or nobody is here', async () => {
    const described = { ...viewers, content: { description: 'They look.', rule: viewers.content } }
    const world = await new World({ a: [viewers], b: [described], c: [described, buyers] }).open()
    await world.apply('a')
    assert.deepEqual(world.pending, [])
    await world.event('ada', 'View')
    await world.apply('b')
    assert.deepEqual(world.pending, [])
    await world.apply('c')
    assert.deepEqual(world.pending, ['buyers'])
  })

  it('replaces a list at one place, for all keys of a person, and triggers nothing', async () => {
    const world = await new World({ a: [vips, viewers] }).open()
    await world.apply('a')
    for (const name of ['ada', 'bob', 'cyd']) await world.event(name, 'View')
    await world.replaceList('vip', ['user:ada', 'user:eve'])
    assert.deepEqual(world.pending, ['vips'])
    while (world.evaluation !== undefined) await world.continue(2)
    assert.deepEqual(await world.membershipsOf('ada'), ['viewers', 'vips'])
    await world.replaceList('vip', ['user:bob', 'user:eve'])
    while (world.evaluation !== undefined) await world.continue(2)
    assert.deepEqual(await world.membershipsOf('ada'), ['viewers'])
    assert.deepEqual(await world.membershipsOf('bob'), ['viewers', 'vips'])
    // The same keys again change nothing.
    await world.replaceList('vip', ['user:eve', 'user:bob'])
    assert.deepEqual(world.pending, [])
    await world.event('eve', 'View')
    assert.deepEqual(await world.membershipsOf('eve'), ['vips', 'viewers'])
    const told = (await world.told()).filter((line) => line.endsWith('vips'))
    assert.deepEqual(told, ['user:eve entered vips'])
    await world.checkRebuild()
  })
})

describe('entries and exits', () => {
  it('are told by records and in the profile, also those that time brings about', async () => {
    const world = await new World({ a: [viewers] }).open()
    await world.apply('a')
    await world.event('ada', 'View')
    await world.tick(3_600_000 + 5_000)
    assert.deepEqual(await world.told(), ['user:ada entered viewers', 'user:ada left viewers'])
    const person = await world.person('ada')
    assert.deepEqual(
      person?.crossings?.map(([segment, isEntry]) => [segment, isEntry]),
      [
        ['viewers', 1],
        ['viewers', 0],
      ],
    )
    const [entered, left] = person?.crossings ?? []
    assert.equal((left?.[2] ?? 0) - (entered?.[2] ?? 0), 3_600_000)
  })

  it('of a backfill or a late event are not told', async () => {
    const world = await new World({ a: [viewers, buyers] }).open()
    await world.apply('a')
    await world.event('ada', 'View', { isBackfill: true })
    assert.deepEqual(await world.membershipsOf('ada'), ['viewers'])
    assert.deepEqual(await world.told(), [])
    assert.equal((await world.person('ada'))?.crossings, undefined)
  })

  it('start campaigns of an exit too', async () => {
    const campaign = {
      name: 'goodbye',
      trigger: { segment: 'viewers', on: 'exit' },
      steps: [{ send: { template: 'mail', topic: 'news' } }],
    }
    const world = await new World({ a: [viewers] }, [campaign]).open()
    await world.apply('a')
    await world.event('ada', 'View')
    assert.equal(await world.messageCount(), 0)
    await world.tick(3_700_000)
    assert.equal(await world.messageCount(), 1)
  })
})

type Documents = Readonly<Record<string, DefinitionsDocument['segments']>>

/** One owner of one partition on memory adapters. */
class World {
  readonly #log = createMemoryEventLog({ identity: { incarnation: 'test', partitionCount: 1 } })
  readonly #state = createMemoryStateStore()
  readonly #documents: Documents
  readonly #campaigns: readonly Json[]
  readonly #lists = new Map<string, Uint8Array>()
  readonly #fold: PartitionFold
  #count = 0
  #nowMs = startMs

  constructor(documents: Documents, campaigns?: readonly Json[]) {
    this.#documents = documents
    this.#campaigns = campaigns ?? [
      {
        name: 'hello',
        trigger: { segment: 'buyers' },
        steps: [{ send: { template: 'mail', topic: 'news' } }],
      },
    ]
    this.#fold = this.#createFold(this.#state)
  }

  async open(): Promise<this> {
    await this.#state.acquire(0, 1, 'n')
    await this.#fold.open(await this.#state.head(0))
    await this.#append('owner', 'control:0', { epoch: 1, nonce: 'n' })
    return this
  }

  get evaluation(): Evaluation | undefined {
    return this.#fold.scope.meta.evaluation
  }

  get members(): unknown {
    return this.#fold.scope.meta.members
  }

  get pending(): readonly string[] {
    return this.evaluation?.pending ?? []
  }

  async apply(hash: string): Promise<void> {
    await this.#append('definitions', 'control:0', { hash, version: 1 })
  }

  async event(userId: string, name: string, given: Partial<NewRecord> = {}): Promise<void> {
    const event: Event = {
      eventId: `e${this.#count}`,
      sourceId: 'web',
      type: 'track',
      name,
      userId,
      occurredAtMs: this.#nowMs + stepMs,
      receivedAtMs: this.#nowMs + stepMs,
    }
    const body = Buffer.from(JSON.stringify(event))
    await this.#append('event', `user:${userId}`, { name }, { body, ...given })
  }

  async tick(lengthMs: number): Promise<void> {
    this.#nowMs += lengthMs
    await this.#append('tick', 'control:0', { epoch: 1, nonce: 'n' })
  }

  async continue(peopleCountMax: number, other: object = {}): Promise<void> {
    const { number, after } = this.evaluation ?? {}
    const skeleton = { task: 'segments', epoch: 1, number, after, peopleCountMax, ...other }
    await this.#append('continue', 'control:0', skeleton)
  }

  async replaceList(name: string, keys: readonly string[]): Promise<void> {
    const bytes = encodeKeyList(keys)
    const hash = Buffer.from(sha256Bytes(bytes, 8)).toString('hex')
    this.#lists.set(hash, bytes)
    const list = { name, hash, keyCount: keys.length }
    await this.#append('definitions', 'control:0', { list })
  }

  async person(userId: string): Promise<Person | undefined> {
    const [bytes] = await this.#state.get(0, [`${personPrefix}user:${userId}`])
    return bytes && decodePerson(bytes)
  }

  async membershipsOf(userId: string): Promise<readonly string[]> {
    return Object.keys((await this.person(userId))?.memberships ?? {})
  }

  async messageCount(): Promise<number> {
    return (await this.#state.scan(0, messagePrefix, '', 100)).length
  }

  /** Entries and exits in the outbox, in order. */
  async told(): Promise<readonly string[]> {
    const entries = await this.#state.scan(0, 'outbox/', '', 1000)
    return entries.flatMap(({ value }) => {
      const { kind, key, skeleton } = decodeRecord(0, 0, value)
      const { name, change } = skeleton as { readonly name: string; readonly change: string }
      return kind === 'membership' ? [`${key} ${change} ${name}`] : []
    })
  }

  /** Folds the log again, in pieces of another size. */
  async checkRebuild(): Promise<void> {
    const state = createMemoryStateStore()
    await state.acquire(0, 1, 'n')
    const fold = this.#createFold(state)
    await fold.open(await state.head(0))
    await foldToEnd(this.#log, fold, state, 3)
    assert.equal(await hashPartition(state, 0), await hashPartition(this.#state, 0))
  }

  #createFold(state: MemoryStateStore): PartitionFold {
    const definitionsOf = async (hash: string): Promise<CompiledDefinitions> => {
      const template = { name: 'mail', html: '', subject: '', text: null }
      const segments = this.#documents[hash] ?? []
      const campaigns = this.#campaigns.filter((campaign) => {
        const { trigger } = campaign as { readonly trigger: { readonly segment: string } }
        return segments.some(({ name }) => name === trigger.segment)
      })
      const document = { ...emptyDocument, segments, campaigns, templates: { mail: template } }
      const answer = compileDefinitions(document, hash)
      if (answer.kind === 'refused') throw new Error(JSON.stringify(answer.faults))
      return answer.definitions
    }
    const listOf = async (hash: string): Promise<KeyList> =>
      decodeKeyList(this.#lists.get(hash) ?? emptyBody)
    const deps = { log: this.#log, state, definitionsOf, listOf }
    return new PartitionFold(deps, { workspace: 'default', partitionCount: 1, partition: 0 })
  }

  async #append(
    kind: RecordKind,
    key: string,
    skeleton: unknown,
    given: Partial<NewRecord> = {},
  ): Promise<void> {
    this.#nowMs += stepMs
    const id = sha256Bytes(`${kind} ${this.#count++}`, 16)
    const shared = { partition: 0, keyId: 0, isBackfill: false, body: emptyBody }
    const recordedAtMs = this.#nowMs
    await this.#log.append([{ ...shared, kind, key, id, recordedAtMs, skeleton, ...given }])
    await foldToEnd(this.#log, this.#fold, this.#state, 100)
  }
}

async function foldToEnd(
  log: ReturnType<typeof createMemoryEventLog>,
  fold: PartitionFold,
  state: MemoryStateStore,
  countMax: number,
): Promise<void> {
  for (;;) {
    const records = await log.read(0, fold.cursor, countMax)
    assert.equal(fold.stopped, undefined)
    if (records.length === 0) return
    await fold.fold(records, () => false)
    const { commit } = fold.takeCommit({ epoch: 1, nonce: 'n' }, 'test')
    assert.deepEqual(await state.commit([commit]), ['committed'])
    fold.committed(commit)
  }
}
