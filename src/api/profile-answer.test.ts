import { deepStrictEqual, equal } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { systemClock } from '../lib/clock.ts'
import { partitionOf } from '../log/record.ts'
import { createPerson, encodePerson, personPrefix } from '../profile/person.ts'
import { changeBoardBytes, createChangeBoard, withChangeBoard } from '../state/change-board.ts'
import { createMemoryStateStore } from '../state/memory-state-store.ts'
import { aCommit } from '../state/state-store.contract.ts'
import type { PartitionCommit } from '../state/state-store.ts'
import { type Answer, createProfileAnswers } from './profile-answer.ts'

const workspace = 'default'
const partitionCount = 4

/** A state of people that counts the reads, and a board that may be left out. */
function openPeople(given: { readonly hasBoard: boolean; readonly keptBytesMax?: number }) {
  const board = createChangeBoard(new SharedArrayBuffer(changeBoardBytes))
  const inner = createMemoryStateStore()
  const store = withChangeBoard(inner, board, [personPrefix])
  const offsets = new Map<number, number>()
  const world = { reads: 0, confirmedAtMs: 1000, onRead: async () => {} }
  const state = {
    ...store,
    async get(partition: number, keys: readonly string[]) {
      world.reads += 1
      await world.onRead()
      return await store.get(partition, keys)
    },
  }
  const freshness = {
    confirmedAtMs: () => world.confirmedAtMs,
  }
  const deps = {
    ...{ place: { state, workspace, partitionCount }, clock: systemClock, freshness },
    ...(given.hasBoard ? { changes: board } : {}),
  }
  const answers = createProfileAnswers(deps, given.keptBytesMax ?? 1_000_000)
  const commitOf = (key: string, version: number): PartitionCommit => {
    const partition = partitionOf(workspace, key, partitionCount)
    const previousOffset = offsets.get(partition) ?? 0
    offsets.set(partition, previousOffset + 1)
    const value = encodePerson({ ...createPerson(key, 5), version })
    const changes = [{ key: personPrefix + key, value }]
    const place = { partition, previousOffset, offset: previousOffset + 1 }
    return aCommit({ ...place, lastRecordId: `${previousOffset}`, changes })
  }
  const save = async (key: string, version: number): Promise<void> => {
    const commit = commitOf(key, version)
    await store.acquire(commit.partition, 1, 'n1')
    deepStrictEqual(await store.commit([commit]), ['committed'])
  }
  /** As another thread does it: nothing of this one runs in between. */
  const saveAtOnce = (key: string, version: number): void => {
    void inner.commit([commitOf(key, version)])
    board.noteChange(personPrefix + key)
  }
  return { world, freshness, answers, save, saveAtOnce }
}

const versionOf = ({ body }: Answer): number => (JSON.parse(body) as { version: number }).version

describe('profile answers', () => {
  it('read nothing while the board says that nothing has happened', async () => {
    const { world, answers, save } = openPeople({ hasBoard: true })
    await save('user:ada', 1)
    equal(versionOf(await answers('ada', undefined)), 1)
    const { reads } = world
    equal(versionOf(await answers('ada', undefined)), 1)
    equal((await answers('ada', '"1"')).status, 304)
    equal(world.reads, reads)
    await save('user:ada', 2)
    equal((await answers('ada', '"1"')).status, 200)
    equal(versionOf(await answers('ada', undefined)), 2)
    equal(world.reads, reads + 1)
  })

  it('look at the state each time where there is no board', async () => {
    const { world, answers, save } = openPeople({ hasBoard: false })
    await save('user:ada', 1)
    for (const version of [1, 2, 3]) {
      await save('user:ada', version)
      equal(versionOf(await answers('ada', undefined)), version)
    }
    const { reads } = world
    await answers('ada', undefined)
    equal(world.reads, reads + 1)
  })

  it('never show an age that was confirmed behind what they show', async () => {
    const { world, freshness, answers, save, saveAtOnce } = openPeople({ hasBoard: true })
    await save('user:ada', 1)
    await answers('ada', undefined)
    // The owner commits and confirms between the look at what is kept and the look at the age.
    let isDone = false
    freshness.confirmedAtMs = () => {
      if (!isDone) {
        isDone = true
        world.confirmedAtMs = 2000
        saveAtOnce('user:ada', 2)
      }
      return world.confirmedAtMs
    }
    const { body } = await answers('ada', undefined)
    const { version, asOf } = JSON.parse(body) as { version: number; asOf: string }
    deepStrictEqual([version, Date.parse(asOf)], [2, 2000])
  })

  it('forget what was made first where too much is kept', async () => {
    const { world, answers, save } = openPeople({ hasBoard: true, keptBytesMax: 96_000 })
    const people = Array.from({ length: 100 }, (_, index) => `user:${index}`)
    for (const [index, key] of people.entries()) await save(key, index + 1)
    for (let round = 0; round < 3; round++) {
      for (const [index, key] of people.entries()) {
        equal(versionOf(await answers(key, undefined)), index + 1)
      }
    }
    equal(world.reads, 300)
    await answers('user:99', undefined)
    equal(world.reads, 300)
    await answers('user:0', undefined)
    equal(world.reads, 301)
  })

  it('show nobody else where what was kept is given up during the look at it', async () => {
    const people = Array.from({ length: 100 }, (_, index) => `user:${index}`)
    const { world, answers, save } = openPeople({ hasBoard: false, keptBytesMax: 100_000 })
    for (const [index, key] of people.entries()) await save(key, index + 1)
    await answers('user:0', undefined)
    let isDone = false
    world.onRead = async () => {
      if (isDone) return
      isDone = true
      for (const key of people) await answers(key, undefined)
    }
    const { body } = await answers('user:0', undefined)
    deepStrictEqual([isDone, JSON.parse(body).id], [true, 'user:0'])
  })
})
