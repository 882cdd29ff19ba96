import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Event } from '../event/event.ts'
import { decodeRecord, encodeRecord } from '../log/record.ts'
import { eventRecord } from './event-record.ts'

/** With every field that an event may have: one that is added must be added here. */
const whole: Required<Event> = {
  ...{ eventId: 'e1', sourceId: 'web', type: 'track', name: 'Product Viewed', userId: 'ada' },
  ...{ anonymousId: 'device', previousId: 'before', groupId: 'g', occurredAtMs: 1 },
  ...{ receivedAtMs: 2, timeNote: 'skew-corrected', properties: { a: 1 }, traits: { b: 2 } },
  traitsOnce: { c: 3 },
  context: { locale: 'de' },
  changes: [{ kind: 'read', path: '/event', was: 'product_viewed' }],
  planFault: { path: '/properties', says: 'x' },
  stamped: { unread: 1 },
}

describe('eventRecord', () => {
  it('keeps every field of an event, and stamps it', () => {
    const stamps = { load: () => undefined, stampOf: () => whole.stamped }
    const place = { workspace: 'default', partitionCount: 4, isBackfill: false, stamps }
    const { stamped: _, ...event } = whole
    const { body } = decodeRecord(0, 1, encodeRecord(eventRecord(event, place)))
    assert.deepEqual(JSON.parse(Buffer.from(body).toString()), whole)
  })
})
