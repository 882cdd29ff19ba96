import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { parseRule } from './parse-rule.ts'
import { ruleLimits } from './rule.ts'

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

  it('reads sequences, properties, times, consent, lists and splits', () => {
    const parsed = parseRule({
      all: [
        {
          sequence: [
            { event: 'Product Viewed', where: { properties: { category: { in: ['a', 'b'] } } } },
            { event: 'Product Added', within: '1h' },
            { not: { event: 'Order Completed' }, within: '2h' },
          ],
          same: 'product_id',
          within: '7d',
        },
        { trait: 'trialEndsAt', after: 'now', before: 'now + 3d' },
        { trait: 'bornAt', before: '2000-01-01' },
        { consent: 'news' },
        { list: 'vip' },
        { split: { salt: 'spring', from: 0, to: 12.5 } },
      ],
    })
    const hourMs = 3_600_000
    assert.deepEqual(parsed, {
      kind: 'rule',
      rule: {
        kind: 'all',
        rules: [
          {
            kind: 'sequence',
            steps: [
              {
                event: 'Product Viewed',
                properties: [
                  { property: 'category', tests: [{ operator: 'in', value: ['a', 'b'] }] },
                ],
                isAbsent: false,
              },
              { event: 'Product Added', isAbsent: false, withinMs: hourMs },
              { event: 'Order Completed', isAbsent: true, withinMs: 2 * hourMs },
            ],
            same: 'item',
            windowMs: 7 * 24 * hourMs,
          },
          {
            kind: 'trait',
            trait: 'trialEndsAt',
            tests: [
              { operator: 'after', value: 'now', time: { fromNowMs: 0 } },
              { operator: 'before', value: 'now + 3d', time: { fromNowMs: 72 * hourMs } },
            ],
          },
          {
            kind: 'trait',
            trait: 'bornAt',
            tests: [
              {
                operator: 'before',
                value: '2000-01-01',
                time: { atMs: Date.UTC(2000, 0, 1) },
              },
            ],
          },
          { kind: 'consent', topic: 'news' },
          { kind: 'list', list: 'vip' },
          { kind: 'split', salt: 'spring', fromPercent: 0, toPercent: 12.5 },
        ],
      },
    })
  })

  it('names the place of each fault in a sequence, a filter, a time, a list and a split', () => {
    const step = { event: 'Buy' }
    const where = (properties: unknown) => ({ event: 'Buy', within: '1d', where: { properties } })
    const parsed = parseRule({
      all: [
        { sequence: [step] },
        { sequence: [{ not: step, within: '1h' }, { ...step, within: '0s' }, 7], same: 3 },
        { sequence: [step, { not: { ...step, within: '1h' } }], within: 'soon', by: 'item' },
        where({ colour: {} }),
        where({ colour: { like: 'r' }, size: 4 }),
        where({ at: { after: 'now-1d' } }),
        { event: 'Buy', within: '1d', count: { atLeast: 129 } },
        { trait: 'seenAt', before: 'yesterday', after: 'now-9999d' },
        { consent: '' },
        { list: 'No Such Name' },
        { split: { salt: 'a', from: 10, to: 10 } },
        { split: { salt: '', from: 0, to: 50, of: 3 } },
      ],
    })
    assert.equal(parsed.kind, 'refused')
    assert.deepEqual(
      parsed.faults.map(({ path }) => path),
      [
        '/all/0/sequence',
        '/all/1/sequence/0/not',
        '/all/1/sequence/0/within',
        '/all/1/sequence/1/within',
        '/all/1/sequence/2',
        '/all/1/same',
        '/all/2/by',
        '/all/2/sequence/1/not/within',
        '/all/2/within',
        '/all/3/where/properties/colour',
        '/all/4/where/properties/colour/like',
        '/all/4/where/properties/size',
        '/all/5/where/properties/at/after',
        '/all/6/count/atLeast',
        '/all/7/before',
        '/all/7/after',
        '/all/8/consent',
        '/all/9/list',
        '/all/10/split',
        '/all/11/split/of',
        '/all/11/split/salt',
      ],
    )
  })

  it('refuses 10,000 conditions with one fault, and in good time', () => {
    const any = Array.from({ length: 10_000 }, (_, index) => ({ trait: `t${index}`, is: index }))
    const parsed = parseRule({ any })
    const says = `a rule has at most ${ruleLimits.conditionCountMax} conditions`
    assert.equal(parsed.kind, 'refused')
    assert.deepEqual(
      parsed.faults.map((fault) => fault.says),
      [says],
    )
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
        '/all/4/where/colour',
        '/all/4/where/item',
        '/all/4/where',
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
