import { deepStrictEqual, equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { createTextRing } from './text-ring.ts'

const headBytes = 10

describe('a text ring', () => {
  it('answers what was put last under a key, or nothing', () => {
    const put = fc.tuple(fc.nat(20), fc.string({ unit: 'grapheme', maxLength: 60 }))
    fc.assert(
      fc.property(fc.array(put, { maxLength: 400 }), (puts) => {
        const ring = createTextRing<number>(64 * 100)
        const last = new Map<string, [number, string]>()
        for (const [index, [number, text]] of puts.entries()) {
          const key = `key ${number}`
          ring.set(key, index, text, headBytes)
          last.set(key, [index, text])
          const isSmall = Buffer.byteLength(text) + headBytes <= 100
          equal(ring.get(key) !== undefined, isSmall)
          for (const [known, [head, text]] of last) {
            const kept = ring.get(known)
            if (kept === undefined) continue
            deepStrictEqual([kept.head, kept.read()], [head, text.toWellFormed()])
            equal(kept.isAscii, Buffer.byteLength(text) === text.length)
          }
        }
      }),
    )
  })

  it('keeps as much as fits and forgets what was put first', () => {
    const ring = createTextRing<undefined>(64 * 100)
    const countMax = 64 * 2
    for (let index = 0; index < 1000; index++) {
      ring.set(`${index}`, undefined, 'x'.repeat(40), headBytes)
      for (const age of [0, countMax / 2, countMax - 2]) {
        if (index >= age) ok(ring.get(`${index - age}`), `${index - age} at ${index}`)
      }
      equal(ring.get(`${index - countMax}`), undefined)
    }
  })

  it('tells whoever held a text that its bytes are of others by now', () => {
    const ring = createTextRing<string>(64 * 100)
    ring.set('ada', 'a', 'first', headBytes)
    const held = ring.get('ada')
    ring.set('ada', 'b', 'second', headBytes)
    equal(held?.read(), 'first')
    for (let index = 0; index < 200; index++) ring.set(`${index}`, 'c', 'x'.repeat(40), headBytes)
    equal(held?.read(), undefined)
    equal(ring.get('ada'), undefined)
  })

  it('keeps what was put again when the slab of what it replaced is filled anew', () => {
    const ring = createTextRing<string>(64 * 100)
    ring.set('ada', 'a', 'first', headBytes)
    for (let index = 0; index < 100; index++) ring.set(`${index}`, 'c', 'x'.repeat(40), headBytes)
    ring.set('ada', 'b', 'second', headBytes)
    for (let index = 0; index < 100; index++) ring.set(`${index}`, 'c', 'x'.repeat(40), headBytes)
    equal(ring.get('ada')?.read(), 'second')
  })

  it('keeps nothing within no bytes, and no text longer than a slab', () => {
    const none = createTextRing<string>(0)
    none.set('ada', 'a', '', headBytes)
    equal(none.get('ada'), undefined)
    const ring = createTextRing<string>(64 * 100)
    ring.set('ada', 'a', 'short', headBytes)
    ring.set('ada', 'a', 'x'.repeat(91), headBytes)
    equal(ring.get('ada'), undefined)
  })
})
