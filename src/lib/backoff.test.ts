import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { backoffDelayMs, retry } from './backoff.ts'
import type { Clock } from './clock.ts'
import { OperatingError } from './errors.ts'
import { createSeededRandom } from './random.ts'

const options = { delayMsFirst: 100, delayMsMax: 1_000, attemptCountMax: 4 }

/** A clock that notes what it was asked to wait for, and never waits. */
function aClock() {
  const sleeps: number[] = []
  const clock: Clock = {
    nowMs: () => 0,
    monotonicMs: () => 0,
    sleep: async (ms) => {
      sleeps.push(ms)
    },
  }
  return { clock, sleeps, random: createSeededRandom(1) }
}

const overloaded = () => new OperatingError('LOG_OVERLOADED', 'append to partition 3')

describe('back-off', () => {
  it('waits between half of the exponential delay and all of it, never above the bound', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2_000 }), fc.integer(), (attempt, seed) => {
        const delayMs = backoffDelayMs(options, createSeededRandom(seed), attempt)
        const wholeMs = attempt > 4 ? 1_000 : Math.min(1_000, 100 * 2 ** (attempt - 1))
        assert.ok(delayMs >= wholeMs / 2 && delayMs <= wholeMs)
      }),
    )
  })

  it('retries a retryable error until it succeeds', async () => {
    const deps = aClock()
    const result = await retry(deps, options, async (_signal, attempt) => {
      if (attempt < 3) throw overloaded()
      return `attempt ${attempt}`
    })
    assert.equal(result, 'attempt 3')
    assert.equal(deps.sleeps.length, 2)
  })

  it('throws the last error when the attempts are used up', async () => {
    const deps = aClock()
    let count = 0
    await assert.rejects(
      retry(deps, options, async () => {
        count++
        throw overloaded()
      }),
      { code: 'LOG_OVERLOADED' },
    )
    assert.equal(count, 4)
    assert.equal(deps.sleeps.length, 3)
  })

  it('does not retry what a retry cannot mend', async () => {
    const deps = aClock()
    await assert.rejects(
      retry(deps, options, async () => {
        throw new OperatingError('STORE_CORRUPT', 'open the state')
      }),
      { code: 'STORE_CORRUPT' },
    )
    await assert.rejects(
      retry(deps, options, async () => {
        throw new TypeError('a bug')
      }),
      TypeError,
    )
    assert.deepEqual(deps.sleeps, [])
  })

  it('tells of each retry with the error, the attempt and the wait', async () => {
    const told: string[] = []
    const deps = {
      ...aClock(),
      onRetry: (error: unknown, attempt: number, delayMs: number) => {
        told.push(`${(error as OperatingError).code} ${attempt} ${delayMs > 0}`)
      },
    }
    await retry(deps, options, async (_signal, attempt) => {
      if (attempt < 3) throw overloaded()
    })
    assert.deepEqual(told, ['LOG_OVERLOADED 1 true', 'LOG_OVERLOADED 2 true'])
  })

  it('gives up with the last error when the signal aborts while it waits', async () => {
    const controller = new AbortController()
    const deps = aClock()
    let count = 0
    const aborting: Clock = { ...deps.clock, sleep: async () => controller.abort() }
    await assert.rejects(
      retry(
        { clock: aborting, random: deps.random },
        options,
        async () => {
          count++
          throw overloaded()
        },
        controller.signal,
      ),
      { code: 'LOG_OVERLOADED' },
    )
    assert.equal(count, 1)
  })
})
