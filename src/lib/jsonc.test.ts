import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { parseJsonc } from './jsonc.ts'

describe('JSON with comments', () => {
  it('passes over comments and trailing commas, and leaves texts as they are', () => {
    const parsed = parseJsonc(`// one
{
  "url": "https://a.example/*not*/", /* two
  lines */ "list": [1, 2, ], // three
  "quote": "\\" // no comment",
}`)
    const value = {
      url: 'https://a.example/*not*/',
      list: [1, 2],
      quote: '" // no comment',
    }
    assert.deepEqual(parsed, { kind: 'value', value })
  })

  it('reads all JSON objects as JSON.parse does', () => {
    const object = fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 3 }))
    fc.assert(
      fc.property(object, fc.constantFrom(0, 2), (value, indent) => {
        const text = JSON.stringify(value, null, indent)
        assert.deepEqual(parseJsonc(text), { kind: 'value', value: JSON.parse(text) })
      }),
    )
  })

  it('never throws', () => {
    for (const text of [
      '{a: &x 1, b: *x}',
      '{a: *x}',
      '{a: !!binary "x"}',
      '{? a}',
      '%YAML 9\n---\n{',
    ]) {
      assert.ok(['value', 'refused'].includes(parseJsonc(text).kind), text)
    }
    fc.assert(
      fc.property(fc.string(), (text) => {
        assert.ok(['value', 'refused'].includes(parseJsonc(text).kind))
        assert.ok(['value', 'refused'].includes(parseJsonc(`{${text}`).kind))
      }),
    )
  })
})
