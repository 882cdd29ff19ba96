import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { FollowBuffer, type FollowEntry } from './follow-buffer.ts'
import { encodeRecord } from './record.ts'

const bodyBytes = 1024
const recordCount = 1000
const takeCount = 256

function anEntry(offset: number): FollowEntry {
  const value = encodeRecord({
    partition: 0,
    key: 'user:u-1',
    kind: 'event',
    id: new Uint8Array(16),
    recordedAtMs: 1,
    isBackfill: false,
    keyId: 0,
    skeleton: null,
    body: new Uint8Array(bodyBytes),
  })
  return { offset, value: Buffer.from(value) }
}

function aBuffer(): FollowBuffer {
  const buffer = new FollowBuffer(0, 0)
  for (let offset = 1; offset <= recordCount; offset++) buffer.add(anEntry(offset))
  return buffer
}

const offsetsOf = (buffer: FollowBuffer, after: number): readonly number[] =>
  buffer.take(after, takeCount).map(({ offset }) => offset)

describe('records fetched of a partition', () => {
  it('keeps what was taken last, for a reader that used only a part of it', () => {
    const buffer = aBuffer()
    for (let after = 0; after < recordCount - takeCount; after += 10) {
      assert.ok(buffer.base <= after, `what comes behind ${after} is here`)
      assert.equal(offsetsOf(buffer, after)[0], after + 1)
    }
  })

  it('drops what was used, but for a little', () => {
    const buffer = aBuffer()
    for (const times of [0, 1, 2]) offsetsOf(buffer, times * takeCount)
    assert.ok(buffer.base > takeCount)
    assert.ok(buffer.base <= 2 * takeCount)
  })

  it('counts as unread what nobody has taken yet', () => {
    const buffer = aBuffer()
    const bytes = buffer.unreadBytes
    offsetsOf(buffer, 0)
    assert.equal(buffer.unreadBytes / bytes, 1 - takeCount / recordCount)
    offsetsOf(buffer, 10)
    offsetsOf(buffer, 0)
    assert.equal(buffer.unreadBytes / bytes, 1 - (takeCount + 10) / recordCount)
  })
})
