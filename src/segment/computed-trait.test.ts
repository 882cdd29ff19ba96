import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { sha256Hex } from '../lib/hash.ts'
import type { Json, JsonObject } from '../lib/json.ts'
import { computedTraitCountMax } from '../profile/computed/computed-trait.ts'
import { type ComputedTrait, parseTraits } from './computed-trait.ts'

function parse(definitions: Readonly<Record<string, unknown>>) {
  const files = Object.entries(definitions).map(([name, content]) => ({ name, content }))
  return parseTraits(files, sha256Hex)
}

function traitOf(content: JsonObject): ComputedTrait {
  const parsed = parse({ t: content })
  assert.equal(parsed.kind, 'traits', JSON.stringify(parsed))
  const [trait] = parsed.computed
  assert.ok(trait)
  return trait
}

function faultsOf(definitions: Readonly<Record<string, unknown>>): Record<string, string> {
  const parsed = parse(definitions)
  assert.equal(parsed.kind, 'refused')
  return Object.fromEntries(parsed.faults.map(({ path, says }) => [path, says]))
}

describe('parseTraits', () => {
  it('reads a trait with its filter, and knows an event by any of its spellings', () => {
    const where = {
      all: [
        { property: 'currency', is: 'EUR' },
        { property: 'total', atLeast: 5 },
      ],
    }
    const trait = traitOf({
      ...{ kind: 'sum', event: 'completed_order', of: '$value', within: '30d', where },
    })
    assert.deepEqual([trait.events, trait.windowMs], [['Order Completed'], 30 * 86_400_000])
    assert.equal(trait.matches({ currency: 'EUR', total: 5 }), true)
    assert.equal(trait.matches({ currency: 'EUR', total: 4 }), false)
    assert.equal(trait.matches({}), false)
    const again = traitOf({
      ...{ kind: 'sum', event: 'Order Completed', of: '$value', within: '720h', where },
      description: 'what is told of it changes nothing',
    })
    assert.equal(again.id, trait.id)
    const other = traitOf({ kind: 'sum', event: 'Order Completed', of: '$value', within: '31d' })
    assert.notEqual(other.id, trait.id)
  })

  it('refuses what it does not know, each with its path', () => {
    const faults = faultsOf({
      a: { kind: 'sum', of: 'price', colour: 'red' },
      b: { kind: 'median' },
      c: { kind: 'count', of: 'price' },
      d: { kind: 'sum' },
      e: { kind: 'count', within: '20000d' },
      f: { kind: 'count', within: 7 },
      g: { kind: 'list', of: 'price', length: 21 },
      h: { kind: 'recency', within: '1d' },
      i: { kind: 'count', event: [] },
      j: { kind: 'count', where: { property: 'x', equals: 1 } },
      k: { kind: 'count', where: { all: [{ trait: 'x', is: 1 }] } },
      l: { kind: 'count', where: { not: { event: 'Buy' } } },
      m: { kind: 'sum', of: 'a.*.b.*.c' },
      n: 'count',
      o: { kind: 'stated', sources: [7] },
      '1p': { kind: 'count' },
      'q.r': { kind: 'count' },
    })
    assert.deepEqual(Object.keys(faults), [
      ...['a/colour', 'b/kind', 'c/of', 'd/of', 'e/within', 'f/within', 'g/length'],
      ...['h/within', 'h/unit', 'i/event', 'j/where/equals', 'k/where/all/0'],
      ...['l/where/not', 'm/of', 'n', 'o/sources', '1p', 'q.r'],
    ])
    assert.match(faults['e/within'] ?? '', /at most 3660d/)
  })

  it('takes ratios of numbers alone, and asks for an answer where it would divide by zero', () => {
    const terms = { n: { kind: 'count' }, text: { kind: 'last', of: 'colour' } }
    const ratio = { kind: 'ratio', over: 'n', by: 'n', whenZero: 0 }
    assert.equal(parse({ ...terms, r: ratio }).kind, 'traits')
    assert.deepEqual(
      Object.keys(
        faultsOf({ ...terms, r: { ...ratio, by: 'text' }, s: { ...ratio, over: 'gone' } }),
      ),
      ['r/by', 's/over'],
    )
    assert.deepEqual(Object.keys(faultsOf({ ...terms, r: { ...ratio, whenZero: 'none' } })), [
      'r/whenZero',
    ])
    assert.deepEqual(Object.keys(faultsOf({ r: { ...ratio, over: 'r', by: 'r' } })), [
      'r/over',
      'r/by',
    ])
  })

  it('refuses more traits than a profile has room for', () => {
    const many = (count: number) =>
      Object.fromEntries(
        Array.from({ length: count }, (_, index) => [`t${index}`, { kind: 'count' }]),
      )
    assert.equal(parse(many(computedTraitCountMax)).kind, 'traits')
    assert.deepEqual(Object.values(faultsOf(many(computedTraitCountMax + 1))), [
      'there are at most 100 computed traits',
    ])
  })

  it('never throws, and says something of whatever it refuses', () => {
    fc.assert(
      fc.property(fc.anything(), (input) => {
        for (const content of [
          input,
          { kind: 'count', where: input },
          { kind: 'sum', of: input, within: input, event: input },
          { kind: 'ratio', over: input, by: input, whenZero: input },
        ]) {
          const parsed = parse({ t: content as Json })
          if (parsed.kind === 'refused') assert.ok(parsed.faults.length > 0)
        }
      }),
      { numRuns: 300 },
    )
  })
})
