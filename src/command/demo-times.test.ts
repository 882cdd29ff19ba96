import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { countMessagesDue } from '../../examples/shop/expected-messages.ts'
import { sha256Bytes } from '../lib/hash.ts'
import { createMemoryEventLog } from '../log/memory-event-log.ts'
import { partitionOf } from '../log/record.ts'
import { type AcknowledgedCall, placeInLog } from './demo-times.ts'

const partitionCount = 3
const times = { cartWaitMs: 4000, thankYouWaitMs: 60_000, loyalWaitMs: 60_000 }
const product = { product_id: 'cup', quantity: 1 }

type Given = Partial<AcknowledgedCall['call']>

function call(sentAtMs: number, acknowledgedAtMs: number, given: Given): AcknowledgedCall {
  const shared = { type: 'track', userId: 'ada', messageId: `${given.event}` }
  return { sentAtMs, acknowledgedAtMs, call: { ...shared, ...given } }
}

/** A log that took these calls at these times. */
async function logOf(taken: readonly (readonly [atMs: number, AcknowledgedCall])[]) {
  const log = createMemoryEventLog({ identity: { incarnation: 'test', partitionCount } })
  for (const [recordedAtMs, { call }] of taken) {
    const key = `user:${call.userId}`
    await log.append([
      {
        ...{ key, recordedAtMs, kind: 'event', isBackfill: false, keyId: 0, skeleton: {} },
        partition: partitionOf('default', key, partitionCount),
        id: sha256Bytes(`web ${call.messageId}`, 16),
        body: Buffer.from(JSON.stringify({ ...call, eventId: call.messageId })),
      },
    ])
  }
  return log
}

describe('calls of the demo', () => {
  const named = call(0, 1, { type: 'identify', messageId: 'i', traits: { email: 'a@b.example' } })

  it('count from when the log took them, however late the answer comes', async () => {
    const added = call(100, 9000, { event: 'Product Added', properties: product })
    const products = { order_id: 'o', products: [product] }
    const late = call(9001, 9010, { event: 'Order Completed', properties: products })
    const log = await logOf([
      [1, named],
      [110, added],
      [9005, late],
    ])
    const { calls, ...odd } = await placeInLog(log, [named, added, late])
    assert.deepEqual(odd, { lostCount: 0, oddTimeCount: 0 })
    const due = countMessagesDue(calls, times)
    assert.equal(due.byCampaign['cart-reminder'], 1, 'the order came long after the wait')
    const byAnswer = [named, added, late].map((one) => ({ ...one, sentAtMs: one.acknowledgedAtMs }))
    assert.equal(countMessagesDue(byAnswer, times).byCampaign['cart-reminder'], 0)
  })

  it('have the time of the first record, where they were sent twice', async () => {
    const added = call(100, 150, { event: 'Product Added', properties: product })
    const again = { ...added, sentAtMs: 300, acknowledgedAtMs: 350 }
    const log = await logOf([
      [110, added],
      [310, again],
    ])
    const { calls, oddTimeCount } = await placeInLog(log, [added, again])
    assert.deepEqual(
      calls.map(({ sentAtMs }) => sentAtMs),
      [110, 110],
    )
    assert.equal(oddTimeCount, 0)
  })

  it('are lost where a valid one is not in the log, and odd outside of their request', async () => {
    const added = call(100, 150, { event: 'Product Added', properties: product })
    const invalid = call(200, 250, { event: 'Product Added', messageId: 'bad' })
    const absent = call(300, 350, { event: 'Other' })
    const early = call(9000, 9100, { event: 'Early' })
    const late = call(9000, 9100, { event: 'Late' })
    const log = await logOf([
      [110, added],
      [8000, early],
      [9900, late],
    ])
    const found = await placeInLog(log, [added, invalid, absent, early, late])
    assert.equal(found.lostCount, 1)
    assert.equal(found.oddTimeCount, 2)
    assert.equal(found.calls.length, 5)
  })
})
