import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { systemClock } from '../lib/clock.ts'
import { partitionOf } from '../log/record.ts'
import { encodeComputed } from '../profile/computed/computed-pack.ts'
import {
  cellCountMax,
  computedKey,
  kindOf,
  type TraitInForce,
} from '../profile/computed/computed-trait.ts'
import { createPerson, encodePerson, personPrefix, traitPrefix } from '../profile/person.ts'
import { changeBoardBytes, createChangeBoard, withChangeBoard } from '../state/change-board.ts'
import { createMemoryStateStore } from '../state/memory-state-store.ts'
import { aCommit } from '../state/state-store.contract.ts'
import { type Answer, createProfileAnswers } from './profile-answer.ts'

const keptBytesMax = 1_000_000
const startMs = 1_700_000_000_000
const partitionCount = 4
const partition = partitionOf('default', 'user:ada', partitionCount)

function traitInForce(readyAtMs: number | undefined): TraitInForce {
  const shape = {
    name: 'views_lately',
    id: 'ab'.repeat(8),
    kind: 'count',
    windowMs: 60_000,
  } as const
  return { ...shape, sinceVersion: 3, ...(readyAtMs === undefined ? {} : { readyAtMs }) }
}

async function openProfile(hasBoard: boolean) {
  const board = createChangeBoard(new SharedArrayBuffer(changeBoardBytes))
  const state = withChangeBoard(createMemoryStateStore(), board, [personPrefix, computedKey])
  const world = { nowMs: startMs + 1000 }
  const clock = { ...systemClock, nowMs: () => world.nowMs }
  const deps = {
    place: { state, workspace: 'default', partitionCount },
    clock,
    freshness: { confirmedAtMs: () => startMs },
    ...(hasBoard ? { changes: board } : {}),
  }
  const answers = createProfileAnswers(deps, keptBytesMax)
  let offset = 0
  const save = async (changes: readonly { key: string; value: Uint8Array }[]): Promise<void> => {
    await state.acquire(partition, 1, 'n1')
    const place = { partition, previousOffset: offset, offset: offset + 1 }
    offset += 1
    await state.commit([aCommit({ ...place, lastRecordId: `${offset}`, changes })])
  }
  const putInForce = (readyAtMs: number | undefined, priorities = {}): Promise<void> => {
    const inForce = { version: 3, traits: [traitInForce(readyAtMs)], priorities }
    return save([{ key: computedKey, value: Buffer.from(JSON.stringify(inForce)) }])
  }
  const kind = kindOf(traitInForce(1))
  const samples = [startMs - 10_000, startMs].map((atMs) => ({ atMs, order: 0, value: 1 }))
  const counted = kind.add(new Uint8Array(0), samples, { edgeMs: 0, cellCountMax })
  const person = createPerson('user:ada', startMs)
  const [part] = person.parts
  const entry = { id: 'ab'.repeat(8), sinceVersion: 3, isCut: false, state: counted }
  if (part !== undefined) part.computed = encodeComputed([entry])
  const traits = {
    'user:ada': {
      plan: [
        ['free', startMs, 'web'],
        ['pro', startMs - 5, 'crm'],
      ],
    },
  }
  await save([
    { key: `${personPrefix}user:ada`, value: encodePerson({ ...person, version: 7 }) },
    { key: `${traitPrefix}user:ada`, value: Buffer.from(JSON.stringify(traits)) },
  ])
  return { world, answers, putInForce }
}

interface Shown {
  readonly traits: Record<string, unknown>
  readonly computedTraits?: Record<string, unknown>
}
const shownBy = ({ body }: Answer): Shown => JSON.parse(body) as Shown
const tagOf = ({ headers }: Answer): string => headers['etag'] ?? ''

for (const hasBoard of [true, false]) {
  describe(`traits in the profile API, ${hasBoard ? 'with' : 'without'} a board of changes`, () => {
    it('are pending until their past is in, and then say since when they are exact', async () => {
      const { answers, putInForce } = await openProfile(hasBoard)
      const before = await answers('ada', undefined)
      assert.equal(shownBy(before).computedTraits, undefined)
      assert.equal(tagOf(before), '"7"')
      await putInForce(undefined)
      const about = { kind: 'count', definitionVersion: 3 }
      assert.deepEqual(shownBy(await answers('ada', undefined)).computedTraits, {
        views_lately: { value: null, ...about, state: 'pending' },
      })
      await putInForce(startMs)
      const exactSince = new Date(startMs).toISOString()
      assert.deepEqual(shownBy(await answers('ada', undefined)).computedTraits, {
        views_lately: { value: 2, ...about, state: 'ready', isExact: true, exactSince },
      })
    })

    it('change by time alone, at the edge of the window, and so does the ETag', async () => {
      const { world, answers, putInForce } = await openProfile(hasBoard)
      await putInForce(startMs)
      const shownValue = async (): Promise<unknown> => {
        const { computedTraits = {} } = shownBy(await answers('ada', undefined))
        return (computedTraits['views_lately'] as { readonly value: unknown }).value
      }
      assert.equal(await shownValue(), 2)
      const etag = tagOf(await answers('ada', undefined))
      world.nowMs = startMs + 49_999
      assert.equal(await shownValue(), 2)
      assert.equal((await answers('ada', etag)).status, 304)
      world.nowMs = startMs + 50_000
      assert.equal(await shownValue(), 1)
      assert.equal((await answers('ada', etag)).status, 200)
      world.nowMs = startMs + 60_000
      assert.equal(await shownValue(), 0)
    })

    it('of several sources are settled by priority, the losing ones below', async () => {
      const { answers, putInForce } = await openProfile(hasBoard)
      const web = { value: 'free', source: 'web', at: new Date(startMs).toISOString() }
      const crm = { value: 'pro', source: 'crm', at: new Date(startMs - 5).toISOString() }
      const before = shownBy(await answers('ada', undefined))
      assert.deepEqual(before.traits, { plan: { ...web, others: [crm] } })
      await putInForce(startMs, { plan: ['crm'] })
      const after = shownBy(await answers('ada', undefined))
      assert.deepEqual(after.traits, { plan: { ...crm, others: [web] } })
    })
  })
}
