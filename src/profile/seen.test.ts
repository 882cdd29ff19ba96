import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { sha256Bytes } from '../lib/hash.ts'
import { addSeen, forgetHashes, horizonMs, lookUpSeen, mergeSeen, seenCountMax } from './seen.ts'

const nowMs = 1_800_000_000_000
const idOf = (text: string, contentHash = 0) => ({ id: sha256Bytes(text, 16), contentHash })
const hasSeen = (...given: Parameters<typeof lookUpSeen>) => lookUpSeen(...given) !== 'unseen'
const nothing = new Uint8Array(0)

describe('seen ids', () => {
  it('knows an id within the horizon and forgets it behind', () => {
    const { seen } = addSeen(nothing, idOf('a'), nowMs)
    assert.equal(hasSeen(seen, idOf('a'), nowMs + horizonMs - 60_000), true)
    assert.equal(hasSeen(seen, idOf('a'), nowMs + horizonMs + 60_000), false)
    assert.equal(hasSeen(seen, idOf('b'), nowMs), false)
  })

  it('drops ids behind the horizon when another is added', () => {
    const { seen } = addSeen(nothing, idOf('a'), nowMs)
    const later = addSeen(seen, idOf('b'), nowMs + horizonMs + 60_000)
    assert.equal(later.seen.length, 20)
    assert.equal(later.isCut, false)
  })

  it('keeps the newest of too many, and says so', () => {
    let seen: Uint8Array = nothing
    for (let index = 0; index < seenCountMax; index++) {
      const added = addSeen(seen, idOf(`${index}`), nowMs)
      assert.equal(added.isCut, false)
      seen = added.seen
    }
    const over = addSeen(seen, idOf('one more'), nowMs)
    assert.equal(over.isCut, true)
    assert.equal(over.seen.length, seenCountMax * 20)
    assert.equal(hasSeen(over.seen, idOf('0'), nowMs), false)
    assert.equal(hasSeen(over.seen, idOf('1'), nowMs), true)
    assert.equal(hasSeen(over.seen, idOf('one more'), nowMs), true)
  })

  it('knows what either of two has seen, the newest of too many', () => {
    const minuteMs = 60_000
    const manyOf = (name: string, atMs: number): Uint8Array => {
      let seen: Uint8Array = nothing
      for (let index = 0; index < seenCountMax; index++) {
        seen = addSeen(seen, idOf(`${name}${index}`), atMs).seen
      }
      return seen
    }
    const old = addSeen(nothing, idOf('old'), nowMs - horizonMs - minuteMs).seen
    const one = addSeen(old, idOf('a'), nowMs - 2 * minuteMs).seen
    const other = addSeen(nothing, idOf('b'), nowMs - 3 * minuteMs).seen
    const merged = mergeSeen(old, mergeSeen(one, other, nowMs).seen, nowMs)
    assert.equal(merged.isCut, false)
    assert.equal(merged.seen.length, 40)
    assert.equal(hasSeen(merged.seen, idOf('a'), nowMs), true)
    assert.equal(hasSeen(merged.seen, idOf('b'), nowMs), true)
    const many = mergeSeen(manyOf('new', nowMs), manyOf('old', nowMs - minuteMs), nowMs)
    assert.equal(many.isCut, true)
    assert.equal(many.seen.length, seenCountMax * 20)
    assert.equal(hasSeen(many.seen, idOf('new0'), nowMs), true)
    assert.equal(hasSeen(many.seen, idOf('old1023'), nowMs), false)
  })

  it('tells another event under a known id from a repeat, where both hashes are known', () => {
    const { seen } = addSeen(nothing, idOf('a', 7), nowMs)
    assert.equal(lookUpSeen(seen, idOf('a', 7), nowMs), 'repeat')
    assert.equal(lookUpSeen(seen, idOf('a', 8), nowMs), 'conflict')
    assert.equal(lookUpSeen(seen, idOf('a', 0), nowMs), 'repeat')
    assert.equal(lookUpSeen(seen, idOf('b', 7), nowMs), 'unseen')
    assert.equal(lookUpSeen(seen, idOf('a', 8), nowMs + horizonMs + 60_000), 'unseen')
  })

  it('knows the ids of the layout before, and nothing of what they said', () => {
    const { id } = idOf('a')
    const before = Buffer.concat([id, Buffer.alloc(4)])
    before.writeUInt32BE(nowMs / 60_000, 16)
    const seen = forgetHashes(before)
    assert.equal(lookUpSeen(seen, idOf('a', 7), nowMs), 'repeat')
    assert.deepEqual(before.subarray(0, 16), Buffer.from(id), 'what was given is not touched')
  })
})
