/** One event by itself, for tests that look at its answer. */

import assert from 'node:assert/strict'
import { systemClock } from '../../src/lib/clock.ts'
import { writeKey } from './small-shop.ts'

/** Sends an event and returns the status of its answer. Rejects where there is none. */
export async function sendOne(url: string, messageId: string): Promise<number> {
  const response = await fetch(`${url}/v1/track`, {
    method: 'POST',
    headers: {
      authorization: `Basic ${Buffer.from(`${writeKey}:`).toString('base64')}`,
      'content-type': 'application/json',
    },
    body: JSON.stringify({ event: 'Product Viewed', userId: 'ada', messageId }),
  })
  await response.arrayBuffer()
  return response.status
}

/** Sends an event that is to be accepted, and returns how many ms that took. */
export async function timeOne(url: string, messageId: string): Promise<number> {
  const startedAtMs = systemClock.monotonicMs()
  assert.equal(await sendOne(url, messageId), 200)
  return systemClock.monotonicMs() - startedAtMs
}
