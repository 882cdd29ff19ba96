import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type FollowEntry, KafkaFollow } from './kafka-follow.ts'
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

function aFollow(): KafkaFollow {
  const follow = new KafkaFollow(0, 0, 0)
  const entries = Array.from({ length: recordCount }, (_, index) => anEntry(index + 1))
  follow.add(entries, recordCount, 0)
  return follow
}

const offsetsOf = (follow: KafkaFollow, after: number): readonly number[] =>
  follow.take(after, takeCount).map(({ offset }) => offset)

describe('what is followed of a partition in Kafka', () => {
  it('keeps what was taken last, for a reader that used only a part of it', () => {
    const follow = aFollow()
    for (let after = 0; after < recordCount - takeCount; after += 10) {
      assert.ok(follow.has(after), `what comes behind ${after} is here`)
      assert.equal(offsetsOf(follow, after)[0], after + 1)
    }
  })

  it('drops what was used, but for a little', () => {
    const follow = aFollow()
    for (const times of [0, 1, 2]) offsetsOf(follow, times * takeCount)
    assert.ok(!follow.has(takeCount))
    assert.ok(follow.has(2 * takeCount))
  })

  it('counts as unread what nobody has taken yet', () => {
    const follow = aFollow()
    const bytes = follow.unreadBytes
    offsetsOf(follow, 0)
    assert.equal(follow.unreadBytes / bytes, 1 - takeCount / recordCount)
    offsetsOf(follow, 10)
    offsetsOf(follow, 0)
    assert.equal(follow.unreadBytes / bytes, 1 - (takeCount + 10) / recordCount)
  })
})
