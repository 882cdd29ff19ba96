import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { systemClock } from '../lib/clock.ts'
import { silentLogger } from '../lib/logger.ts'
import { createSeededRandom, type Random } from '../lib/random.ts'
import { createAdvisor } from '../recommend/advisor.ts'
import { type BlendOptions, createBlend } from '../recommend/blend.ts'
import { hashText } from '../recommend/hash-text.ts'
import {
  type Interaction,
  interactionKinds,
  type Recommendation,
  type Recommender,
} from '../recommend/recommender.ts'
import { IndexKeeper, type IndexKeeperOptions } from './index-keeper.ts'
import { loadSnapshot, type SnapshotPlace, saveSnapshot } from './index-snapshot.ts'

const startMs = 1_800_000_000_000
const place: SnapshotPlace = { incarnation: 'log-1', next: [7, 1, 3] }
const seed = 20_261_126
/** Small, so that all of it was overwritten and evicted more than once. */
const small = { sessionCountMax: 128, itemCountMax: 60, eventCountMax: 512, pairCountMax: 8 }

async function openFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'attune-index-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

function makeInteraction(random: Random, index: number): Interaction {
  const pick = (count: number): number => Math.floor(random.unit() ** 2 * count)
  return {
    profileId: `person-${pick(40)} \u00e9\u{1f600}`,
    itemId: `item-${pick(90)}`,
    kind: interactionKinds[pick(3)] ?? 'view',
    occurredAtMs: startMs + index * 60_000,
  }
}

function learnSome(index: Recommender, random: Random, count: number): void {
  for (let at = 0; at < count; at++) {
    index.learn(makeInteraction(random, index.learnedCount))
  }
}

function answersOf(index: Recommender): readonly (readonly Recommendation[])[] {
  return Array.from({ length: 30 }, (_, at) =>
    index.recommend({
      activity: [at, at * 2, at + 5].map((number) => ({
        itemId: `item-${number}`,
        kind: 'view',
        occurredAtMs: startMs,
      })),
      nowMs: startMs,
      countMax: 20,
      excludeItemIds: new Set(),
      isAllowed: () => true,
    }),
  )
}

function load(path: string, options: Partial<BlendOptions> = small) {
  const index = createBlend(options)
  return { index, loaded: loadSnapshot(path, index, () => undefined) }
}

describe('a snapshot of the index', () => {
  for (const [name, options] of Object.entries({ small, large: {} })) {
    it(`answers and goes on learning as the index did (${name})`, async (t) => {
      const path = join(await openFolder(t), 'index')
      const index = createBlend(options)
      learnSome(index, createSeededRandom(seed), 3000)
      assert.ok(((await saveSnapshot(path, place, index)) ?? 0) > 1000)
      const read = load(path, options)
      assert.deepEqual(read.loaded, { kind: 'loaded', place })
      assert.equal(read.index.learnedCount, 3000)
      assert.deepEqual(answersOf(read.index), answersOf(index))
      learnSome(index, createSeededRandom(seed + 1), 1500)
      learnSome(read.index, createSeededRandom(seed + 1), 1500)
      assert.deepEqual(answersOf(read.index), answersOf(index))
      // Nothing was left out that no answer shows, such as room that may be used again.
      await saveSnapshot(path, place, index)
      await saveSnapshot(`${path}-read`, place, read.index)
      assert.ok((await readFile(path)).equals(await readFile(`${path}-read`)))
    })
  }

  it('of an empty index is an empty index', async (t) => {
    const path = join(await openFolder(t), 'index')
    await saveSnapshot(path, place, createBlend(small))
    const { index, loaded } = load(path)
    assert.equal(loaded.kind, 'loaded')
    assert.deepEqual(answersOf(index)[0], [])
  })

  it('lets the index learn before the disk has it, and then has none of that', async (t) => {
    const path = join(await openFolder(t), 'index')
    const index = createBlend(small)
    learnSome(index, createSeededRandom(seed), 500)
    const before = answersOf(index)
    let doneCount = 0
    const done = (): void => {
      doneCount += 1
      assert.ok(!existsSync(path))
      learnSome(index, createSeededRandom(seed + 1), 200)
    }
    await saveSnapshot(path, place, index, { done })
    assert.equal(doneCount, 1)
    const read = load(path)
    assert.equal(read.loaded.kind, 'loaded')
    assert.deepEqual(answersOf(read.index), before)
    assert.notDeepEqual(answersOf(index), before)
  })

  it('is given up where it takes too long, and the one of before stays', async (t) => {
    const folder = await openFolder(t)
    const path = join(folder, 'index')
    const index = createBlend(small)
    learnSome(index, createSeededRandom(seed), 500)
    await saveSnapshot(path, place, index)
    learnSome(index, createSeededRandom(seed), 10)
    let askedCount = 0
    const isTooLong = (): boolean => {
      askedCount += 1
      return askedCount > 5
    }
    const done = (): void => assert.fail('it was not read to the end')
    assert.equal(await saveSnapshot(path, place, index, { isTooLong, done }), undefined)
    assert.equal(load(path).index.learnedCount, 500)
    assert.deepEqual(await readdir(folder), ['index'])
  })

  it('does not fit where a byte is another, or some are missing, or are too many', async (t) => {
    const path = join(await openFolder(t), 'index')
    const index = createBlend(small)
    learnSome(index, createSeededRandom(seed), 400)
    await saveSnapshot(path, place, index)
    const whole = await readFile(path)
    const random = createSeededRandom(seed)
    t.diagnostic(`seed ${seed}`)
    for (let round = 0; round < 60; round++) {
      const at = Math.floor(random.unit() * whole.length)
      const changed = Buffer.from(whole)
      changed[at] = (changed[at] ?? 0) ^ (1 << Math.floor(random.unit() * 8))
      await writeFile(path, changed)
      // A head has seven bytes between its kind and its length that say nothing; the hash knows.
      assert.equal(load(path).loaded.kind, 'unfit', `byte ${at}`)
    }
    for (const bytes of [whole.subarray(0, -1), whole.subarray(0, 9), whole.subarray(0, 0)]) {
      await writeFile(path, bytes)
      assert.equal(load(path).loaded.kind, 'unfit', `${bytes.length} bytes`)
    }
    await writeFile(path, Buffer.concat([whole, Buffer.from([0])]))
    assert.equal(load(path).loaded.kind, 'unfit')
    await writeFile(path, whole)
    assert.equal(load(path).loaded.kind, 'loaded')
  })

  it('does not fit other limits, or a place that is of no use', async (t) => {
    const folder = await openFolder(t)
    const path = join(folder, 'index')
    await saveSnapshot(path, place, createBlend(small))
    assert.equal(load(path, { ...small, itemCountMax: 61 }).loaded.kind, 'unfit')
    const judged = loadSnapshot(path, createBlend(small), ({ incarnation }) => `not ${incarnation}`)
    assert.deepEqual(judged, { kind: 'unfit', says: 'not log-1' })
    assert.equal(load(join(folder, 'none')).loaded.kind, 'absent')
    assert.equal(load(folder).loaded.kind, 'unfit')
  })
})

describe('the keeper of the index', () => {
  async function openKeeper(
    t: TestContext,
    everyCount: number,
    limits: Partial<IndexKeeperOptions> = {},
  ) {
    const folder = await openFolder(t)
    const path = join(folder, 'index')
    const index = createBlend(small)
    const warnings: string[] = []
    const logger = {
      ...silentLogger,
      warn: (_fields: object, event: string) => warnings.push(event),
    }
    const given = {
      ...{ advisor: createAdvisor(index), index, next: [1, 1] },
      incarnation: () => Promise.resolve('log-1'),
    }
    const keeper = new IndexKeeper(
      { clock: systemClock, logger },
      { path, everyCount, ...limits },
      given,
    )
    const learn = (partition: number, next: number, count = 1): void => {
      const one = { profileId: 'p', itemId: 'a', kind: 'view', occurredAtMs: startMs } as const
      keeper.learn({ interactions: Array(count).fill(one), feed: { partition, next } })
    }
    const read = () => {
      const found = createBlend(small)
      const loaded = loadSnapshot(path, found, () => undefined)
      return { ...loaded, learnedCount: found.learnedCount }
    }
    return { keeper, learn, read, index, folder, path, warnings }
  }

  it('writes a snapshot of one instant, and learns behind it what came meanwhile', async (t) => {
    const { keeper, learn, read, index } = await openKeeper(t, 10)
    learn(0, 2, 9)
    assert.equal(read().kind, 'absent')
    learn(1, 5)
    // It is being written now: this must be neither in it nor lost.
    learn(0, 3, 4)
    learn(1, 6, 2)
    assert.equal(index.learnedCount, 10)
    await keeper.save()
    assert.deepEqual(read(), {
      ...{ kind: 'loaded', learnedCount: 10 },
      place: { incarnation: 'log-1', next: [2, 5] },
    })
    assert.equal(index.learnedCount, 16)
    await keeper.close()
    const last = read()
    assert.equal(last.learnedCount, 16)
    assert.deepEqual(last.kind === 'loaded' && last.place.next, [3, 6])
  })

  it('tells of robots at once, and of more of them once a minute', async (t) => {
    const folder = await openFolder(t)
    const index = createBlend(small)
    const told: unknown[] = []
    const logger = { ...silentLogger, warn: (fields: object) => told.push(fields) }
    let nowMs = 0
    let flaggedCount = 0
    const advisor = createAdvisor(index)
    const state = () => ({ ...advisor.state(), flaggedCount, ignoredCount: 100 * flaggedCount })
    const keeper = new IndexKeeper(
      { clock: { ...systemClock, monotonicMs: () => nowMs }, logger },
      { path: join(folder, 'index'), everyCount: 0 },
      { advisor: { ...advisor, state }, index, next: [1], incarnation: async () => 'log-1' },
    )
    for (const [atMs, count] of [
      [0, 0],
      [1000, 1],
      [1001, 2],
      [60_999, 30],
      [61_000, 31],
      [200_000, 31],
    ] as const) {
      nowMs = atMs
      flaggedCount = count
      await keeper.moveTo([1])
    }
    assert.deepEqual(told, [
      { flaggedCount: 1, ignoredCount: 100 },
      { flaggedCount: 31, ignoredCount: 3100 },
    ])
  })

  it('learns on before the snapshot has its name', async (t) => {
    const folder = await openFolder(t)
    const index = createBlend(small)
    const seen: number[] = []
    // It looks at the clock once more when all is done.
    const clock = { ...systemClock, monotonicMs: () => seen.push(index.learnedCount) }
    const keeper = new IndexKeeper(
      { clock, logger: silentLogger },
      { path: join(folder, 'index'), everyCount: 10, pauseMsMax: 1_000_000 },
      {
        ...{ advisor: createAdvisor(index), index, next: [1] },
        incarnation: () => Promise.resolve('log-1'),
      },
    )
    const one = { profileId: 'p', itemId: 'a', kind: 'view', occurredAtMs: startMs } as const
    keeper.learn({ interactions: Array(10).fill(one), feed: { partition: 0, next: 2 } })
    keeper.learn({ interactions: [one], feed: { partition: 0, next: 3 } })
    assert.equal(index.learnedCount, 10)
    await keeper.save()
    assert.deepEqual([seen.at(0), seen.at(-2), seen.at(-1)], [10, 10, 11])
  })

  it('gives up a snapshot for which too much waits, or too long, and learns on', async (t) => {
    for (const limits of [{ waitingCountMax: 5 }, { pauseMsMax: -1 }]) {
      const { keeper, learn, read, index, folder, warnings } = await openKeeper(t, 10, limits)
      learn(0, 2, 10)
      learn(0, 3, 4)
      learn(1, 2, 2)
      assert.equal(index.learnedCount, 10, 'it is being written')
      await keeper.save()
      assert.equal(index.learnedCount, 16)
      assert.deepEqual(await readdir(folder), [])
      assert.equal(warnings.length, 1)
      // At the stop nobody waits for it.
      await keeper.close()
      assert.equal(read().learnedCount, 16)
    }
  })

  it('leaves nothing beside it, and goes on where it cannot write', async (t) => {
    const { keeper, learn, index, folder, path, warnings } = await openKeeper(t, 5)
    learn(0, 2, 5)
    await keeper.save()
    assert.deepEqual(await readdir(folder), ['index'])
    await rm(path)
    await rm(folder, { recursive: true })
    learn(0, 3, 5)
    await keeper.close()
    assert.equal(warnings.length, 1)
    assert.equal(index.learnedCount, 10)
  })

  it('deletes the snapshot at an erasure, and writes one without those erased', async (t) => {
    const { keeper, learn, read, path, folder } = await openKeeper(t, 10)
    const ada = { profileId: 'user:ada', itemId: 'a', kind: 'view', occurredAtMs: startMs } as const
    keeper.learn({ interactions: [ada], feed: { partition: 0, next: 2 } })
    learn(0, 3, 9)
    await keeper.save()
    const owner = Buffer.from(Int32Array.of(hashText('user:ada')).buffer)
    const written = await readFile(path)
    assert.ok(written.includes(owner))
    assert.ok(!written.includes('user:ada'), 'nobody is named in it')
    keeper.learn({ interactions: [], erased: ['user:ada'], feed: { partition: 0, next: 4 } })
    assert.deepEqual(await readdir(folder), [])
    await keeper.close()
    assert.equal(read().kind, 'loaded')
    assert.ok(!(await readFile(path)).includes(owner))
  })

  it('erases behind a snapshot that is being written, and deletes that', async (t) => {
    const { keeper, learn, read, index, folder } = await openKeeper(t, 10)
    learn(0, 2, 10)
    const saving = keeper.save()
    keeper.learn({ interactions: [], erased: ['p'], feed: { partition: 0, next: 3 } })
    await saving
    assert.deepEqual(await readdir(folder), [])
    assert.equal(index.erase(['p']), 0)
    await keeper.close()
    const last = read()
    assert.deepEqual(last.kind === 'loaded' && last.place.next, [3, 1])
  })

  it('writes none where it is told to, or nothing came', async (t) => {
    const off = await openKeeper(t, 0)
    off.learn(0, 2, 50)
    await off.keeper.close()
    assert.equal(off.read().kind, 'absent')
    const idle = await openKeeper(t, 10)
    await idle.keeper.close()
    assert.equal(idle.read().kind, 'absent')
  })
})
