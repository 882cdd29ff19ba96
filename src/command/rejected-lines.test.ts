import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { ShownRejected } from '../collect/work-list.ts'
import type { Output } from './output.ts'
import { linesOfExample, linesOfRejected, rowsOfGroups } from './rejected-lines.ts'

const output: Output = {
  isJson: false,
  line: () => Promise.resolve(),
  json: () => Promise.resolve(),
  table: () => Promise.resolve(),
  progress: () => {},
  paint: (_colour, text) => text,
}

function shownOf(text: string | undefined, given: Partial<ShownRejected> = {}): ShownRejected {
  return {
    ...{ id: '1-2-0011aabb', source: 'web', reason: 'plan-mismatch', path: '', event: 'Order' },
    ...{ at: '', form: 'event', receivedAtMs: 0, isOpen: true, isCut: false, isBackfill: false },
    bytes: Buffer.from(text ?? '').toString('base64'),
    ...(text === undefined ? {} : { text }),
    ...given,
  }
}

const bodyOf = (lines: readonly string[]): readonly string[] => lines.slice(lines.indexOf('') + 1)

describe('linesOfRejected', () => {
  it('marks the place of the fault, and says where it is not there', () => {
    const text = '{"a":{"b/c":[1,{"d":2}]},"e":[]}'
    assert.deepEqual(bodyOf(linesOfRejected(shownOf(text, { at: '/a/b~1c/1/d' }), output)), [
      '  {',
      '    "a": {',
      '      "b/c": [',
      '        1,',
      '        {',
      '>         "d": 2',
      '        }',
      '      ]',
      '    },',
      '    "e": []',
      '  }',
    ])
    const missing = linesOfRejected(shownOf('{"a":1}', { at: '/b' }), output)
    assert.equal(missing.at(-1), '> /b is not in it')
    const whole = linesOfRejected(shownOf('{"a":1}'), output)
    assert.ok(!whole.some((line) => line.startsWith('>')))
  })

  it('marks the place in what was translated, not in what was sent', () => {
    const shown = shownOf('{"a":1}', { at: '/a', format: 'odd', translatedText: '{"a":2}' })
    const marked = linesOfRejected(shown, output).filter((line) => line.startsWith('>'))
    assert.deepEqual(marked, ['>   "a": 2'])
  })

  it('shows what is no JSON or no text, and bounds what is deep, wide or long', () => {
    assert.deepEqual(bodyOf(linesOfRejected(shownOf('{"a":\nNaN}'), output)), ['  {"a":', '  NaN}'])
    const oneLine = bodyOf(linesOfRejected(shownOf(`{"a":${'1'.repeat(500)}`), output))
    assert.equal(oneLine.map((line) => line.slice(2)).join('').length, 505)
    const bytes = Buffer.alloc(1_000, 0xff).toString('base64')
    assert.match(bodyOf(linesOfRejected(shownOf(undefined, { bytes }), output))[0] ?? '', /^ {2}ff/)
    const deep = `${'['.repeat(20_000)}${']'.repeat(20_000)}`
    assert.ok(linesOfRejected(shownOf(deep), output).length < 100)
    const wide = JSON.stringify(Array.from({ length: 10_000 }, (_, index) => index))
    assert.ok(linesOfRejected(shownOf(wide), output).length < 500)
    const long = linesOfRejected(shownOf(JSON.stringify('x'.repeat(60_000))), output)
    assert.ok(long.every((line) => line.length < 300))
  })

  it('prints nothing that a terminal would obey, whatever was sent', () => {
    const evil = fc.string({ unit: 'binary', maxLength: 40 })
    const name = fc.oneof(
      evil,
      fc.constantFrom('\u001b[2J', '\u009b31m', '\r\n', '\u0007', '\u007f'),
    )
    const text = fc.oneof(
      name,
      fc.dictionary(name, name).map((value) => JSON.stringify(value)),
    )
    fc.assert(
      fc.property(text, name, (sent, word) => {
        const given = { at: word, event: word, source: word, reason: word, id: word, path: word }
        const shown = shownOf(sent, { ...given, contextText: word, translatedText: sent })
        const counts = { count: 1, failedCount: 0, firstSeenMs: 0, lastSeenMs: 0, lastId: word }
        const change = { path: word, before: word, after: sent }
        const lines = [
          ...linesOfRejected(shown, output),
          ...rowsOfGroups([{ ...given, ...counts }], output).flat(),
          ...linesOfExample(
            { id: word, outcome: 'accepted', says: sent, changes: [change] },
            output,
          ),
        ]
        for (const line of lines) assert.ok(!/\p{Cc}/u.test(line), JSON.stringify(line))
      }),
      { numRuns: 1_000 },
    )
  })
})
