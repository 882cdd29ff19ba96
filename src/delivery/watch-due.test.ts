import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { duePrefix } from '../campaign/message.ts'
import type { Clock } from '../lib/clock.ts'
import { createMemoryStateStore } from '../state/memory-state-store.ts'
import { noHead } from '../state/state-store.ts'
import { forgottenEvent, watchDue } from './watch-due.ts'

const partition = 3
const messageId = `03-${'m'.repeat(22)}`
const lookMs = 1000

interface Given {
  /** At which looks, counted from 1, the message stands in the index; at all unless said. */
  readonly dueAt?: readonly number[]
  /** The same for delivery, which knows of it; at none unless said. */
  readonly knownAt?: readonly number[]
  readonly isBusy?: boolean
  readonly ageMs?: number
}

const lookCount = 3

/** Looks three times; answers what was done, in order. */
async function effectsOf(given: Given): Promise<readonly string[]> {
  const effects: string[] = []
  const state = createMemoryStateStore()
  const stop = new AbortController()
  let look = 0
  const clock: Clock = {
    nowMs: () => look * lookMs,
    monotonicMs: () => look * lookMs,
    async sleep(ms) {
      assert.equal(ms, lookMs)
      look++
      if (look > lookCount) stop.abort()
      const isDue = given.dueAt?.includes(look) ?? true
      const changes = [{ key: duePrefix + messageId, value: isDue ? Buffer.from('1') : undefined }]
      await state.commit([{ ...noHead, partition, previousOffset: 0, changes }])
    },
  }
  const say = ({ partition: about }: Record<string, unknown>, event: string): void => {
    effects.push(`${look}: ${event} (${about})`)
  }
  await watchDue(
    {
      state,
      clock,
      logger: { info: say, warn: say, error: say },
      ageMs: () => given.ageMs ?? 0,
      partitions: () => [partition],
      isBusy: () => given.isBusy ?? false,
      isKnown: () => given.knownAt?.includes(look) ?? false,
      lookAgain: (about) => effects.push(`${look}: look again (${about})`),
    },
    lookMs,
    stop.signal,
  )
  return effects
}

describe('the watch over due messages', () => {
  it('tells of one that is due at two looks and unknown, and has it taken up', async () => {
    assert.deepEqual(await effectsOf({ dueAt: [1, 2] }), [
      `2: ${forgottenEvent} (3)`,
      '2: look again (3)',
    ])
  })

  it('says nothing of one that is in hand, or was so meanwhile', async () => {
    assert.deepEqual(await effectsOf({ knownAt: [1, 2, 3] }), [])
    assert.deepEqual(await effectsOf({ knownAt: [2] }), [])
  })

  it('says nothing of one that is due at one look alone', async () => {
    assert.deepEqual(await effectsOf({ dueAt: [1, 3] }), [])
  })

  it('says nothing while others wait for their turn, or the state lags', async () => {
    assert.deepEqual(await effectsOf({ isBusy: true }), [])
    assert.deepEqual(await effectsOf({ ageMs: lookMs }), [])
  })
})
