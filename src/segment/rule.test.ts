import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { parseRule, ruleLimits } from './rule.ts'

describe('parseRule', () => {
  it('reads every form', () => {
    const parsed = parseRule({
      any: [
        { trait: 'age', atLeast: 18, lessThan: 65 },
        { event: 'Order Completed', within: '4h', where: { item: 'i1', valueAtLeast: 9.5 } },
        { event: 'Page', count: { exactly: 0 } },
        { not: { segment: 'staff' } },
        { all: [] },
      ],
    })
    assert.deepEqual(parsed, {
      kind: 'rule',
      rule: {
        kind: 'any',
        rules: [
          {
            kind: 'trait',
            trait: 'age',
            tests: [
              { operator: 'atLeast', value: 18 },
              { operator: 'lessThan', value: 65 },
            ],
          },
          {
            kind: 'event',
            event: 'Order Completed',
            tests: [{ operator: 'atLeast', value: 1 }],
            windowMs: 14_400_000,
            itemId: 'i1',
            valueMin: 9.5,
          },
          { kind: 'event', event: 'Page', tests: [{ operator: 'exactly', value: 0 }] },
          { kind: 'not', rule: { kind: 'segment', segment: 'staff' } },
          { kind: 'all', rules: [] },
        ],
      },
    })
  })

  it('knows an event by any of its spellings', () => {
    const rule = (event: string) => parseRule({ event, within: '4h' })
    assert.deepEqual(rule('completed_order'), rule('Order Completed'))
  })

  it('reports all faults at once, each with its path', () => {
    const parsed = parseRule({
      all: [
        { trait: 'country' },
        { trait: 'country', equals: 'UK' },
        { trait: '', is: [] },
        { event: 'Buy', within: '0d', count: { atLeast: -1 } },
        { event: 'Buy', where: { item: 3, colour: 'red' } },
        { any: [] },
        { not: 7 },
        { segment: 'a', trait: 'b' },
        { event: 'Buy', count: {}, 'a/b~': 1 },
      ],
    })
    assert.equal(parsed.kind, 'refused')
    assert.deepEqual(
      parsed.faults.map((fault) => fault.path),
      [
        '/all/0',
        '/all/1/equals',
        '/all/2/trait',
        '/all/2/is',
        '/all/3/count/atLeast',
        '/all/3/within',
        '/all/4/where',
        '/all/4/where/colour',
        '/all/4/where/item',
        '/all/5/any',
        '/all/6/not',
        '/all/7',
        '/all/8/a~1b~0',
        '/all/8/count',
      ],
    )
  })

  it('refuses a rule too deep or with too many conditions, even one in itself', () => {
    const leaf = { segment: 'a' }
    const nest = (levels: number): unknown => (levels === 1 ? leaf : { not: nest(levels - 1) })
    assert.equal(parseRule(nest(ruleLimits.levelCountMax)).kind, 'rule')
    assert.equal(parseRule(nest(ruleLimits.levelCountMax + 1)).kind, 'refused')

    const many = (count: number): unknown => ({ any: Array.from({ length: count }, () => leaf) })
    assert.equal(parseRule(many(ruleLimits.conditionCountMax)).kind, 'rule')
    const refused = parseRule(many(ruleLimits.conditionCountMax + 1))
    assert.equal(refused.kind, 'refused')
    assert.equal(refused.faults.length, 1)

    const circular: { all: unknown[] } = { all: [] }
    circular.all.push(circular, circular)
    assert.equal(parseRule(circular).kind, 'refused')
  })

  it('never throws and never reports more faults than its limit', () => {
    fc.assert(
      fc.property(fc.anything(), (input) => {
        for (const value of [
          input,
          { all: [input] },
          { trait: 't', is: input },
          { event: input },
        ]) {
          const parsed = parseRule(value)
          if (parsed.kind === 'rule') continue
          assert.ok(parsed.faults.length > 0)
          assert.ok(parsed.faults.length <= ruleLimits.faultCountMax)
        }
      }),
    )
  })
})
