/**
 * Measures how long after its acknowledgement an event is visible in the profile API, on a sample
 * of the calls.
 */

import type { Clock } from '../lib/clock.ts'
import type { AcknowledgedCall } from './demo-times.ts'
import type { DemoTarget } from './demo-world.ts'

export interface FreshnessProbe {
  look(call: AcknowledgedCall): void
  close(): Promise<{ readonly p50: number; readonly p99: number; readonly count: number }>
}

const sampleEvery = 40
const lookMsMax = 5000
const pauseMs = 2

export function createFreshnessProbe(deps: {
  readonly clock: Clock
  readonly target: DemoTarget
}): FreshnessProbe {
  const { clock } = deps
  const samples: number[] = []
  const looking = new Set<Promise<void>>()
  let seen = 0
  /** A repeat is not applied, so it never shows. */
  const known = new Set<string>()
  const measure = async (call: AcknowledgedCall): Promise<void> => {
    const id = call.call.userId ?? `anonymous:${call.call.anonymousId ?? ''}`
    const startedAt = clock.monotonicMs()
    const afterAck = clock.nowMs() - call.acknowledgedAtMs
    while (clock.monotonicMs() - startedAt < lookMsMax) {
      if (await isVisible(deps.target, id, call)) break
      await clock.sleep(pauseMs)
    }
    samples.push(afterAck + clock.monotonicMs() - startedAt)
  }
  return {
    look(call) {
      if (call.call.type !== 'track' || call.call.messageId?.includes('-bad-') === true) return
      const id = call.call.messageId ?? ''
      if (known.has(id)) return
      known.add(id)
      if (seen++ % sampleEvery !== 0) return
      const look = measure(call).finally(() => looking.delete(look))
      looking.add(look)
    },
    async close() {
      await Promise.all(looking)
      samples.sort((left, right) => left - right)
      const at = (share: number): number =>
        Math.round((samples[Math.ceil(share * samples.length) - 1] ?? 0) * 10) / 10
      return { p50: at(0.5), p99: at(0.99), count: samples.length }
    },
  }
}

/** False also where the API cannot answer now, as behind a connection that was closed meanwhile. */
async function isVisible(target: DemoTarget, id: string, call: AcknowledgedCall): Promise<boolean> {
  const path = `/api/v1/profiles/${encodeURIComponent(id)}/events?count=100`
  const headers = { authorization: `Bearer ${target.apiKey}` }
  try {
    const response = await fetch(target.url + path, { headers })
    const text = await response.text()
    // The event carries the time it was sent at, to the ms: no other of this person has it.
    return response.ok && text.includes(new Date(call.sentAtMs).toISOString())
  } catch {
    return false
  }
}
