import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { hmacBase64Url } from '../lib/hash.ts'
import { type LinkPurpose, parseToken, type SigningKeys, signToken } from './links.ts'

const keys: SigningKeys = {
  currentId: 'k2',
  keys: new Map([
    ['k1', new Uint8Array(32).fill(1)],
    ['k2', new Uint8Array(32).fill(2)],
  ]),
}

const purposes: readonly LinkPurpose[] = ['click', 'open', 'unsubscribe']
const urlSafe = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const messageIds = fc.string({ unit: fc.constantFrom(...urlSafe), minLength: 1, maxLength: 40 })

describe('a link token', () => {
  it('carries HMAC-SHA256 as the platform computes it', () => {
    const token = signToken(keys, { purpose: 'click', messageId: 'm1', index: 3 })
    const mac = hmacBase64Url(new Uint8Array(32).fill(2), 'v1\nclick\nk2\nm1~3', 16)
    assert.equal(token, `v1.k2.m1~3.${mac}`)
  })

  it('says what was signed', () => {
    fc.assert(
      fc.property(
        messageIds,
        fc.nat(10_000),
        fc.constantFrom(...purposes),
        (messageId, index, purpose) => {
          const token = signToken(keys, { purpose, messageId, index })
          assert.match(token, /^[A-Za-z0-9._~-]{1,120}$/)
          assert.deepEqual(parseToken(keys, purpose, token), { messageId, index })
        },
      ),
    )
  })

  it('is worth nothing with any character changed, added or taken away', () => {
    const character = fc.constantFrom(...urlSafe, '.', '~', '=', '%', '\0')
    fc.assert(
      fc.property(messageIds, fc.nat(200), character, (messageId, place, other) => {
        const token = signToken(keys, { purpose: 'click', messageId, index: 3 })
        const at = place % token.length
        const changed = token.slice(0, at) + other + token.slice(at + 1)
        if (changed !== token) assert.equal(parseToken(keys, 'click', changed), undefined)
        const without = token.slice(0, at) + token.slice(at + 1)
        assert.equal(parseToken(keys, 'click', without), undefined)
        const longer = token.slice(0, at) + other + token.slice(at)
        assert.equal(parseToken(keys, 'click', longer), undefined)
      }),
      { numRuns: 2000 },
    )
  })

  it('is worth nothing for another purpose', () => {
    for (const signed of purposes) {
      const token = signToken(keys, { purpose: signed, messageId: 'm1' })
      for (const asked of purposes) {
        assert.equal(parseToken(keys, asked, token) !== undefined, signed === asked)
      }
    }
  })

  it('keeps its meaning when a newer key is current, until its own key is gone', () => {
    const token = signToken({ ...keys, currentId: 'k1' }, { purpose: 'open', messageId: 'm1' })
    assert.deepEqual(parseToken(keys, 'open', token), { messageId: 'm1', index: 0 })
    const gone = new Map(keys.keys)
    gone.delete('k1')
    assert.equal(parseToken({ currentId: 'k2', keys: gone }, 'open', token), undefined)
  })

  it('is undefined for foreign text', () => {
    for (const text of [
      '',
      '.',
      '...',
      'v1.k2.m1.',
      'v2.k2.m1.x',
      'x'.repeat(1e6),
      '.'.repeat(1e5),
    ]) {
      assert.equal(parseToken(keys, 'click', text), undefined)
    }
  })
})
