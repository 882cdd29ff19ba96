import { deepStrictEqual } from 'node:assert/strict'
import { it } from 'node:test'
import type { Clock } from '../lib/clock.ts'
import { paceKafkaPoll } from './kafka-pace.ts'

const behindBytes = 1024 * 1024

/** Answers after how many ms the next poll leaves, where what is unread is read by then. */
async function pauseOf(readAtMs: number, signal: AbortSignal, broughtBytes = 0): Promise<number> {
  let nowMs = 0
  const clock: Clock = {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    sleep: async (ms) => {
      nowMs += ms
    },
  }
  const unreadBytes = (): number => (nowMs < readAtMs ? behindBytes : 1000)
  await paceKafkaPoll(clock, { broughtBytes, unreadBytes }, signal)
  return nowMs
}

it('polls soon again unless readers are behind, and then once they are not', async () => {
  const open = new AbortController().signal
  const pauses = await Promise.all([0, 10, 1000].map((readAtMs) => pauseOf(readAtMs, open)))
  deepStrictEqual(pauses, [3, 12, 27])
  deepStrictEqual(await pauseOf(1000, AbortSignal.abort()), 3)
  deepStrictEqual(await pauseOf(1000, open, behindBytes), 0)
})
