import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { sha256Bytes } from '../lib/hash.ts'
import type { JsonObject } from '../lib/json.ts'
import { createMemoryEventLog } from '../log/memory-event-log.ts'
import { decodeRecord, emptyBody, type NewRecord, type RecordKind } from '../log/record.ts'
import { activityCountMax, appendActivity, emptyPack } from '../profile/activity-pack.ts'
import { decodeComputed, type PackedState } from '../profile/computed/computed-pack.ts'
import { viewComputed } from '../profile/computed/view-computed.ts'
import {
  activityBytesMax,
  createPerson,
  decodePerson,
  encodePerson,
  type Person,
  type ProfilePart,
} from '../profile/person.ts'
import { hashPartition } from '../state/dump.ts'
import { createMemoryStateStore } from '../state/memory-state-store.ts'
import { compileDefinitions, emptyDocument } from './definitions.ts'
import { type FilledEntry, type FilledSkeleton, filledEntry } from './fold-filled.ts'
import { PartitionFold } from './partition-fold.ts'
import { outboxPrefix } from './scope.ts'

const startMs = 1_700_000_000_000
const owner = { epoch: 1, nonce: 'n' } as const
const deviceKey = 'anonymous:d'
const externalKey = 'external:crm:1'
const userKey = 'user:u'

const content: JsonObject = { kind: 'count', event: 'Product Viewed' }
const views = { name: 'views', content }

/** One partition, so that all it sends comes back to it. */
async function openPartition(
  people: readonly Person[],
  traits = [views],
  segments: readonly { readonly name: string; readonly content: JsonObject }[] = [],
) {
  const log = createMemoryEventLog({ identity: { incarnation: 'test', partitionCount: 1 } })
  const state = createMemoryStateStore()
  await state.acquire(0, owner.epoch, owner.nonce)
  const compiled = compileDefinitions({ ...emptyDocument, traits, segments }, 'traits')
  assert.equal(compiled.kind, 'compiled')
  const { definitions } = compiled
  const fold = new PartitionFold(
    { log, state, definitionsOf: async () => definitions },
    { workspace: 'default', partitionCount: 1, partition: 0 },
  )
  await state.commit([
    {
      ...{ partition: 0, ...owner, previousOffset: 0, offset: 0, lastRecordId: '' },
      incarnation: 'test',
      changes: people.map((person) => ({
        key: `person/${person.key}`,
        value: encodePerson(person),
      })),
    },
  ])
  await fold.open(await state.head(0))
  let madeCount = 0
  const append = async (kind: RecordKind, key: string, given: Partial<NewRecord>) => {
    const id = sha256Bytes(`${kind} ${madeCount++}`, 16)
    const head = { partition: 0, key, kind, id, recordedAtMs: startMs, isBackfill: false }
    await log.append([{ ...head, keyId: 0, skeleton: null, body: emptyBody, ...given }])
  }
  /** Folds until nothing is left, what it sends to itself among it. */
  const settle = async (): Promise<void> => {
    for (let turn = 0; log.hasMore(0, fold.cursor); turn++) {
      assert.ok(turn < 50, 'what is sent on comes to rest')
      await fold.fold(await log.read(0, fold.cursor, 100), () => false)
      assert.equal(fold.stopped, undefined)
      const { commit } = fold.takeCommit(owner, 'test')
      assert.deepEqual(await state.commit([commit]), ['committed'])
      fold.committed(commit)
      const sent = commit.changes.flatMap(({ key, value }) =>
        value !== undefined && key.startsWith(outboxPrefix) ? [decodeRecord(0, 0, value)] : [],
      )
      if (sent.length > 0) await log.append(sent)
    }
  }
  const personOf = async (key: string): Promise<Person> => {
    const [bytes] = await state.get(0, [`person/${key}`])
    assert.ok(bytes)
    return decodePerson(bytes)
  }
  const viewsOf = async (key: string): Promise<unknown> => {
    const { inForce } = fold.scope.computed
    return viewComputed((await personOf(key)).parts, inForce).answersAt(startMs)[0]?.value
  }
  return {
    ...{ append, settle, personOf, viewsOf },
    inForce: () => fold.scope.computed.inForce,
    /** As another owner does: from the state alone. */
    reopen: async () => await fold.open(await state.head(0)),
    hash: async () => await hashPartition(state, 0),
  }
}

type Partition = Awaited<ReturnType<typeof openPartition>>

/** The traits come into force where somebody has a past; returns what two views come to. */
async function bringTraits({ append, settle, personOf }: Partition): Promise<PackedState[]> {
  const control = 'control:0'
  await append('owner', control, { skeleton: { ...owner, historyMs: 0 } })
  // Somebody whose events count at once has the states that others' past would come to.
  const view = async (index: number): Promise<void> => {
    const event = {
      ...{ eventId: `e${index}`, sourceId: 'web', type: 'track', name: 'Product Viewed' },
      ...{ anonymousId: 'other', occurredAtMs: startMs, receivedAtMs: startMs, properties: {} },
    }
    const body = Buffer.from(JSON.stringify(event))
    await append('event', 'anonymous:other', { skeleton: { name: 'Product Viewed' }, body })
  }
  await view(0)
  await append('definitions', control, { skeleton: { version: 1, hash: 'traits' } })
  await view(1)
  await view(2)
  await settle()
  return [...decodeComputed((await personOf('anonymous:other')).parts[0]?.computed ?? emptyBody)]
}

async function fill({ append, settle, inForce }: Partition, entry: FilledEntry): Promise<void> {
  const skeleton: FilledSkeleton = {
    ...{ step: 'people', version: 1, slice: 0, sliceCount: 1, after: '', through: '' },
    ...{ isSliceEnd: true, ...owner },
  }
  await append('filled', 'control:0', { skeleton, body: Buffer.from(JSON.stringify([entry])) })
  await settle()
  assert.ok(
    inForce().traits.every(({ readyAtMs }) => readyAtMs !== undefined),
    'all that was sent has arrived',
  )
}

function partKeysOf({ parts }: Person): readonly string[] {
  return parts.map(({ key }) => key).sort()
}

function aPart(id?: string): ProfilePart {
  const part = { key: deviceKey, totals: {}, activity: emptyBody }
  return id === undefined ? part : { ...part, id }
}

describe('the past of a part', () => {
  it('is brought to the person who has the part', async () => {
    const partition = await openPartition([createPerson(userKey, startMs)])
    const states = await bringTraits(partition)
    await fill(partition, filledEntry(userKey, { key: userKey }, { states }))
    assert.equal(await partition.viewsOf(userKey), 2)
  })

  it('goes where the part went, and not to one of its key that came since', async () => {
    const external = createPerson(externalKey, startMs)
    external.parts.push(aPart('0:7'))
    external.trail = [[deviceKey, '', userKey, '0:5']]
    const user = createPerson(userKey, startMs)
    user.parts.push(aPart('0:5'))
    const partition = await openPartition([external, user])
    const states = await bringTraits(partition)
    await fill(partition, filledEntry(externalKey, { key: deviceKey }, { states }))
    assert.equal(await partition.viewsOf(externalKey), 0)
    assert.equal(await partition.viewsOf(userKey), 2)
  })

  it('goes to the part that took it in, and wherever that one went', async () => {
    const external = createPerson(externalKey, startMs)
    external.trail = [
      [deviceKey, '0:5', '', '0:6'],
      [deviceKey, '0:6', userKey, '0:6'],
    ]
    const user = createPerson(userKey, startMs)
    user.parts.push(aPart())
    user.trail = [[deviceKey, '0:6', '', '']]
    const partition = await openPartition([external, user])
    const states = await bringTraits(partition)
    await fill(partition, filledEntry(externalKey, { key: deviceKey, id: '0:5' }, { states }))
    assert.equal(await partition.viewsOf(userKey), 2)
    assert.deepEqual(partKeysOf(await partition.personOf(userKey)), [deviceKey, userKey].sort())
  })

  it('goes with the pointer where the trail was forgotten, and is kept in the end', async () => {
    const external = createPerson(externalKey, startMs)
    external.parts = []
    external.pointer = userKey
    const partition = await openPartition([external, createPerson(userKey, startMs)])
    const states = await bringTraits(partition)
    await fill(partition, filledEntry(externalKey, { key: deviceKey, id: '0:5' }, { states }))
    assert.equal(await partition.viewsOf(userKey), 2)
  })
})

describe('what events of the past say', () => {
  const line = { name: 'Product Viewed', eventRef: 1 }
  const red: JsonObject = { properties: { colour: { contains: 'red' } } }
  const segments = [
    { name: 'reds', content: { event: 'Product Viewed', within: '1h', where: red } },
    { name: 'seekers', content: { event: 'Searched', within: '1h' } },
  ]

  it('makes room for itself, and nobody is in a segment by what had to go', async () => {
    const user = createPerson(userKey, startMs)
    user.version = 1
    user.parts = ['a', 'b'].map((key) => ({ key, totals: {}, activity: emptyBody }))
    const bare = Array.from({ length: activityCountMax - 1 }, (_, index) => ({
      ...line,
      occurredAtMs: startMs + index + 1,
    }))
    const colour = `red ${'x'.repeat(480)}`
    const lines = bare.map((each) => ({ ...each, properties: { colour } }))
    for (const part of user.parts) {
      const first = { name: 'Searched', occurredAtMs: startMs, eventRef: 0 }
      part.activity = appendActivity(emptyPack, [first, ...bare])
    }
    user.memberships = { seekers: startMs }
    const partition = await openPartition([user], [], segments)
    await bringTraits(partition)
    const [part] = user.parts
    assert.ok(part)
    const values = appendActivity(emptyPack, lines)
    await fill(partition, filledEntry(userKey, part, { states: [], values }))
    const filled = await partition.personOf(userKey)
    const bytes = filled.parts.reduce((sum, { activity }) => sum + activity.length, 0)
    assert.ok(bytes <= activityBytesMax && bytes > activityBytesMax - 2048, `${bytes}`)
    assert.deepEqual(filled.memberships, {})
    assert.equal(filled.version, 2)
  })
})

describe('definitions without computed traits', () => {
  it('leave the same state by one owner and by several', async () => {
    const fold = async (isReopened: boolean): Promise<string> => {
      const { append, settle, reopen, hash } = await openPartition([], [])
      await append('owner', 'control:0', { skeleton: { ...owner, historyMs: 0 } })
      for (const version of [1, 2, 3]) {
        await append('definitions', 'control:0', { skeleton: { version, hash: 'traits' } })
        await settle()
        if (isReopened) await reopen()
      }
      return await hash()
    }
    assert.equal(await fold(false), await fold(true))
  })
})
