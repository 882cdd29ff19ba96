import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { itemIdCharactersMax, SessionParser, sessionItemCountMax } from './parse-sessions.ts'

describe('SessionParser', () => {
  it('takes one session per line, whatever separates the ids', () => {
    const { sessions, eventCount } = parse(['1 2\t3\r\n', 'a,b\nlast'])
    assert.deepEqual(sessions, [['1', '2', '3'], ['a', 'b'], ['last']])
    assert.equal(eventCount, 6)
  })

  it('passes over empty lines, and counts them', () => {
    const { sessions, emptyLineCount } = parse(['\n1 2\n \n\n3\n'])
    assert.deepEqual(sessions, [['1', '2'], ['3']])
    assert.equal(emptyLineCount, 3)
    assert.deepEqual(parse([]).sessions, [])
  })

  it('bounds a session of a million items, and flags it', () => {
    const parser = new SessionParser()
    for (let nth = 0; nth < 1_000; nth++) parser.push('7 8 '.repeat(500))
    parser.push('\n1 2\n')
    const { sessions, longSessionCount, eventCount } = parser.end()
    assert.deepEqual(
      sessions.map(({ length }) => length),
      [sessionItemCountMax, 2],
    )
    assert.deepEqual([longSessionCount, eventCount], [1, sessionItemCountMax + 2])
  })

  it('leaves out an id without end, and counts it', () => {
    const parser = new SessionParser()
    parser.push('a ')
    for (let nth = 0; nth < 100; nth++) parser.push('x'.repeat(1_000))
    parser.push(` b ${'y'.repeat(itemIdCharactersMax)}\n`)
    const { sessions, longIdCount } = parser.end()
    assert.deepEqual(sessions, [['a', 'b', 'y'.repeat(itemIdCharactersMax)]])
    assert.equal(longIdCount, 1)
  })

  it('takes no more events than it has room for, and says so', () => {
    const parser = new SessionParser(3)
    parser.push('1 2\n3 4\n5 6\n')
    assert.equal(parser.isFull, true)
    const { sessions, isCut, eventCount } = parser.end()
    assert.deepEqual([sessions, isCut, eventCount], [[['1', '2'], ['3']], true, 3])
  })

  it('gives the same in whatever pieces the text comes', () => {
    const text = fc.string({ unit: fc.constantFrom('1', 'a', ' ', '\n', ',', '\r'), maxLength: 60 })
    fc.assert(
      fc.property(text, fc.integer({ min: 1, max: 7 }), (whole, length) => {
        const pieces = whole.match(new RegExp(`[^]{1,${length}}`, 'g')) ?? []
        assert.deepEqual(parse(pieces), parse([whole]))
      }),
      { numRuns: 300 },
    )
  })
})

function parse(pieces: readonly string[]) {
  const parser = new SessionParser()
  for (const piece of pieces) parser.push(piece)
  return parser.end()
}
