import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  cyrb48,
  hashId,
  hmacBase64Url,
  isSameSecret,
  murmur3,
  sha256Bytes,
  sha256Hex,
} from './hash.ts'

describe('hashing', () => {
  it('gives the published SHA-256 of "abc" (FIPS 180-4), whole and cut', () => {
    const whole = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
    assert.equal(sha256Hex('abc'), whole)
    assert.equal(sha256Hex(new TextEncoder().encode('abc')), whole)
    assert.equal(Buffer.from(sha256Bytes('abc', 6)).toString('hex'), whole.slice(0, 12))
  })

  it('gives the published HMAC-SHA256 of RFC 4231, case 2, in URL-safe base 64', () => {
    const whole = '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843'
    const text = hmacBase64Url(new TextEncoder().encode('Jefe'), 'what do ya want for nothing?', 32)
    assert.equal(Buffer.from(text, 'base64url').toString('hex'), whole)
  })

  it('makes ids that depend on where one part ends', () => {
    assert.notEqual(hashId('ab', 'c'), hashId('a', 'bc'))
    assert.notEqual(hashId('ab'), hashId('ab', ''))
    assert.match(hashId('campaign', 'user:ada'), /^[\w-]{22}$/)
  })

  it('makes ids that are the SHA-256 over length-marked parts, as others can too', () => {
    fc.assert(
      fc.property(fc.array(fc.string(), { maxLength: 4 }), (parts) => {
        const marked = parts.map((part) => `${part.length}:${part}`).join('')
        const expected = createHash('sha256').update(marked).digest('base64url').slice(0, 22)
        assert.equal(hashId(...parts), expected)
      }),
    )
  })

  it('compares secrets of any length', () => {
    assert.equal(isSameSecret('', ''), true)
    assert.equal(isSameSecret('abc', 'abc'), true)
    assert.equal(isSameSecret('abc', 'abd'), false)
    assert.equal(isSameSecret('abc', 'abcd'), false)
  })

  it('gives the known values of MurmurHash3 x86 32 with seed 0', () => {
    const known: readonly (readonly [string, number])[] = [
      ['', 0],
      ['a', 0x3c2569b2],
      ['abc', 0xb3dd93fa],
      ['test', 0xba6bd213],
      ['Hello, world!', 0xc0363e43],
      ['The quick brown fox jumps over the lazy dog', 0x2e4ff723],
      // At the border of what is short, and beyond it.
      ['\u00fc'.repeat(341), 2372745221],
      ['\u20ac'.repeat(342), 1055223048],
      ['a'.repeat(1000), 2716186120],
    ]
    for (const [text, value] of known) assert.equal(murmur3(text), value, text)
  })

  it('gives the known values of cyrb53, cut to 48 bits', () => {
    assert.equal(cyrb48('a'), 0x2ba782c97901)
    assert.equal(cyrb48('b'), 0xda5bc254d2bf)
    assert.equal(cyrb48('revenge'), 0x64cc3b748385)
  })

  it('spreads keys over 64 partitions evenly', () => {
    const counts = new Array<number>(64).fill(0)
    for (let index = 0; index < 64_000; index++) {
      const partition = murmur3(`user:${index}`) % 64
      counts[partition] = (counts[partition] ?? 0) + 1
    }
    // 1,000 are expected in each; six standard deviations are 190.
    for (const count of counts) assert.ok(count > 810 && count < 1_190, `${count}`)
  })
})
