import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { systemClock } from '../lib/clock.ts'
import { silentLogger } from '../lib/logger.ts'
import { systemRandom } from '../lib/random.ts'
import { createMemoryEventLog } from '../log/memory-event-log.ts'
import { emptyBody, type NewRecord } from '../log/record.ts'
import { createMemoryStateStore } from '../state/memory-state-store.ts'
import type { StateReader, StateStore } from '../state/state-store.ts'
import { noDefinitions } from './definitions.ts'
import { FoldTurns, TurnReader } from './fold-turns.ts'
import { createFreshness, createFreshnessBuffer } from './freshness.ts'
import { runProcessor } from './processor.ts'
import { processorDefaults } from './processor-options.ts'

const stepCount = 3

describe('partitions that take turns', () => {
  it('fold one after the other, in the order in which they came', async () => {
    const { seen, fold } = folding()
    await Promise.all(['a', 'b', 'c'].map((name) => fold(name)))
    assert.equal(seen.join(' '), 'a0 a1 a2 b0 b1 b2 c0 c1 c2')
  })

  it('go on while one of them reads the state, which then waits for its turn', async () => {
    const { seen, fold } = folding()
    const read = async (reader: StateReader): Promise<void> => {
      await reader.get(0, ['key'])
      seen.push('read')
    }
    await Promise.all([fold('a', read), fold('b'), fold('c')])
    assert.equal(seen.join(' '), 'a0 b0 b1 b2 c0 c1 c2 read a1 a2')
  })

  it('go on where one of them fails, and where its read does', async () => {
    const { seen, fold } = folding(async () => {
      throw new Error('no answer')
    })
    const all = [
      fold('a', () => Promise.reject(new Error('broken'))),
      fold('b', async (reader) => void (await reader.get(0, ['key']))),
      fold('c'),
    ]
    const ended = await Promise.allSettled(all)
    assert.deepEqual(
      ended.map((each) => (each.status === 'rejected' ? String(each.reason) : each.status)),
      ['Error: broken', 'Error: no answer', 'fulfilled'],
    )
    assert.equal(seen.join(' '), 'a0 b0 c0 c1 c2')
    await fold('d')
    assert.match(seen.join(' '), /d0 d1 d2$/)
  })
})

describe('partitions folded side by side', () => {
  it('have the commit of one on its way before the next is folded', async () => {
    const partitionCount = 3
    const log = createMemoryEventLog({ identity: { incarnation: 'test', partitionCount } })
    const memory = createMemoryStateStore()
    const store: StateStore = {
      ...memory,
      async commit(commits) {
        for (const { changes } of commits) if (changes.length > suppressionCount) committed++
        return await memory.commit(commits)
      },
    }
    let committed = 0
    /** Commits of many records that were made by the time at which a turn was handed over. */
    const committedAt: number[] = []
    const stop = new AbortController()
    const running = runProcessor(
      {
        ...{ log, state: store, clock: systemClock, random: systemRandom, logger: silentLogger },
        definitionsOf: async () => noDefinitions(),
        openScratch: createMemoryStateStore,
        freshness: createFreshness(createFreshnessBuffer(partitionCount)),
        publish: () => {},
        drain: async () => {},
        lost: () => {},
        reportStopped: () => {},
        async handOver() {
          await systemClock.sleep(1)
          committedAt.push(committed)
        },
      },
      { ...processorDefaults, idleMs: 20, handOverMsMax: 100, sideBySideCount: partitionCount },
      stop.signal,
    )
    const untilFolded = async (count: number): Promise<void> => {
      for (;;) {
        const heads = await Promise.all([0, 1, 2].map((partition) => memory.head(partition)))
        if (heads.every(({ offset }) => offset >= count)) return
        await systemClock.sleep(5)
      }
    }
    await untilFolded(1)
    committedAt.length = 0
    const nowMs = systemClock.nowMs()
    await log.append([0, 1, 2].flatMap((partition) => suppressions(partition, nowMs)))
    await untilFolded(1 + suppressionCount)
    stop.abort()
    await running
    assert.deepEqual(committedAt.slice(0, 2), [1, 2])
  })
})

const suppressionCount = 8

function suppressions(partition: number, atMs: number): readonly NewRecord[] {
  return Array.from({ length: suppressionCount }, (_, index) => ({
    ...{ partition, kind: 'suppress', key: `address:${index}`, recordedAtMs: atMs },
    ...{ id: systemRandom.bytes(16), isBackfill: false, keyId: 0, body: emptyBody },
    skeleton: { topic: 'news', reason: 'test', atMs, isLifted: false },
  }))
}

/** Folds of some steps each, with a wait between two; what is given follows the first. */
function folding(get: StateReader['get'] = async () => [undefined]): {
  readonly seen: string[]
  fold(name: string, between?: (reader: StateReader) => Promise<void>): Promise<void>
} {
  const seen: string[] = []
  const turns = new FoldTurns(async () => {})
  const state: StateReader = { ...createMemoryStateStore(), get }
  const fold = async (
    name: string,
    between = async (_reader: StateReader): Promise<void> => {},
  ): Promise<void> => {
    const reader = new TurnReader(turns, state)
    await reader.run(async () => {
      for (let step = 0; step < stepCount; step++) {
        seen.push(`${name}${step}`)
        if (step === 0) await between(reader)
        await Promise.resolve()
      }
    })
  }
  return { seen, fold }
}
