import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { sha256Bytes } from '../lib/hash.ts'
import { addSeen, hasSeen, horizonMs, seenCountMax } from './seen.ts'

const nowMs = 1_800_000_000_000
const idOf = (text: string): Uint8Array => sha256Bytes(text, 16)
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
})
