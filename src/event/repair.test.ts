import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { parseRepair } from './parse-repair.ts'
import { applyRepair, type Repair, repairText } from './repair.ts'

function repairOf(...steps: readonly unknown[]): Repair {
  const parsed = parseRepair({ steps })
  return parsed.kind === 'repair' ? parsed.repair : assert.fail(JSON.stringify(parsed.faults))
}

function repair(document: unknown, ...steps: readonly unknown[]): unknown {
  const repaired = applyRepair(document, repairOf(...steps))
  return repaired.kind === 'document' ? repaired.document : repaired.kind
}

const products = { products: [{ cost: '1.50' }, { cost: 2, price: 9 }, 'odd'] }

describe('applyRepair', () => {
  it('sets, and makes the objects on the way', () => {
    assert.deepEqual(repair({}, { set: { at: '/a/b', to: 1 } }), { a: { b: 1 } })
    assert.deepEqual(repair({ a: [1, 2] }, { set: { at: '/a/1', to: 3 } }), { a: [1, 3] })
    assert.deepEqual(repair({ a: [1] }, { set: { at: '/a/1', to: 3 } }), { a: [1] })
    assert.deepEqual(repair({ a: 'x' }, { set: { at: '/a/b', to: 1 } }), { a: 'x' })
    assert.deepEqual(repair({}, { set: { at: '/a/*/b', to: 1 } }), {})
  })

  it('sets a default only where there is nothing or null', () => {
    const step = { default: { at: '/products/*/price', to: 0 } }
    const expected = [{ cost: '1.50', price: 0 }, { cost: 2, price: 9 }, 'odd']
    assert.deepEqual(repair(products, step), { products: expected })
    assert.deepEqual(repair({ a: null }, { default: { at: '/a', to: 1 } }), { a: 1 })
  })

  it('removes names and items', () => {
    assert.deepEqual(repair({ a: 1, b: 2 }, { remove: { at: '/a' } }), { b: 2 })
    assert.deepEqual(repair({ a: [1, 2, 3] }, { remove: { at: '/a/1' } }), { a: [1, 3] })
    assert.deepEqual(repair({ a: [1, 2] }, { remove: { at: '/a/*' } }), { a: [] })
    assert.deepEqual(repair({ a: 1 }, { remove: { at: '/toString' } }), { a: 1 })
  })

  it('moves within each item', () => {
    const step = { move: { from: '/products/*/cost', to: '/products/*/price' } }
    const expected = [{ price: '1.50' }, { price: 2 }, 'odd']
    assert.deepEqual(repair(products, step), { products: expected })
    const deep = { move: { from: '/a', to: '/b/c' } }
    assert.deepEqual(repair({ a: 1 }, deep), { b: { c: 1 } })
    // Where it cannot be written, nothing is lost.
    assert.deepEqual(repair({ a: 1, b: 'text' }, deep), { a: 1, b: 'text' })
    assert.deepEqual(repair({ a: 1, b: { c: 1 } }, deep), { b: { c: 1 } })
  })

  it('casts what can be cast, and leaves the rest', () => {
    const castTo = (to: string) => (value: unknown) =>
      (repair({ a: value }, { cast: { at: '/a', to } }) as { a: unknown }).a
    const numbers = [' 1.50 ', '-2', '1e3', '', 'x', '0x10', '1,5', null, true, '1e999', {}]
    const asNumbers = [1.5, -2, 1000, '', 'x', '0x10', '1,5', null, true, '1e999', {}]
    assert.deepEqual(numbers.map(castTo('number')), asNumbers)
    assert.deepEqual([1, true, null, [1]].map(castTo('text')), ['1', 'true', null, [1]])
    const truths = ['true', '1', 1, 'false', '0', 0, 'yes', 2]
    const asTruths = [true, true, true, false, false, false, 'yes', 2]
    assert.deepEqual(truths.map(castTo('boolean')), asTruths)
    const times = [1_700_000_000, '2026-11-01', 'soon']
    const asTimes = ['2023-11-14T22:13:20.000Z', '2026-11-01T00:00:00.000Z', 'soon']
    assert.deepEqual(times.map(castTo('time')), asTimes)
  })

  it('replaces exact values and what a pattern matches, as it is written', () => {
    const exact = { replace: { at: '/a', equals: 'x', to: { y: 1 } } }
    assert.deepEqual(repair({ a: 'x' }, exact), { a: { y: 1 } })
    assert.deepEqual(repair({ a: 'xx' }, exact), { a: 'xx' })
    const pattern = { replace: { at: '/a', pattern: 'o', to: '$&' } }
    assert.deepEqual(repair({ a: 'foo' }, pattern), { a: 'f$&$&' })
    assert.deepEqual(repair({ a: 5 }, pattern), { a: 5 })
    const long = { a: 'o'.repeat(513) }
    assert.deepEqual(repair(long, pattern), long)
  })

  it('drops an event by what it holds', () => {
    assert.equal(
      repair({ a: [{ b: 1 }, { b: 2 }] }, { 'drop-event': { at: '/a/*/b', equals: 2 } }),
      'dropped',
    )
    assert.deepEqual(repair({ a: 1 }, { 'drop-event': { at: '/b' } }), { a: 1 })
    assert.equal(repair({ a: 'bot/1' }, { 'drop-event': { at: '/a', pattern: '^bot' } }), 'dropped')
  })

  it('takes a forbidden name away, and leaves the prototype alone', () => {
    const document: unknown = JSON.parse('{"p":{"__proto__":{"polluted":1},"a":1},"constructor":2}')
    const steps = [{ remove: { at: '/p/__proto__' } }, { remove: { at: '/constructor' } }]
    assert.equal(JSON.stringify(repair(document, ...steps)), '{"p":{"a":1}}')
    const moved = repair(document, { move: { from: '/p/__proto__', to: '/p/proto' } })
    assert.equal(JSON.stringify(moved), '{"p":{"a":1,"proto":{"polluted":1}},"constructor":2}')
    // A copy for another change keeps the name what it is: a name.
    const kept = repair(document, { set: { at: '/p/a', to: 2 } }) as { p: object }
    assert.ok(Object.hasOwn(kept.p, '__proto__'))
    assert.equal(Object.getPrototypeOf(kept.p), Object.prototype)
    assert.equal(Reflect.get({}, 'polluted'), undefined)
  })

  it('gives up where it would look at too much, or write too much', () => {
    const wide = { a: Array.from({ length: 2_000 }, () => ({ b: 'x'.repeat(500) })) }
    const grow = { replace: { at: '/a/*/b', pattern: 'x', to: 'y'.repeat(200) } }
    assert.equal(repair(wide, grow), 'refused')
    const often = Array.from({ length: 50 }, () => ({ cast: { at: '/a/*/b', to: 'text' } }))
    assert.equal(repair(wide, ...often), 'refused')
  })

  const name = fc.constantFrom('a', 'b', '*', '0', '1', '__proto__', 'constructor', 'toString')
  const place = fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => `/${names.join('/')}`)
  const value = fc.oneof(fc.integer(), fc.constantFrom('1', 'true', 'x', null, { b: [1] }))
  const step = fc.oneof(
    fc.record({ at: place, to: value }).map((set) => ({ set })),
    fc.record({ at: place, to: value }).map((one) => ({ default: one })),
    place.map((at) => ({ remove: { at } })),
    fc.record({ from: place, to: place }).map((move) => ({ move })),
    fc.record({ at: place, to: fc.constantFrom('number', 'text') }).map((cast) => ({ cast })),
    fc
      .record({ at: place, pattern: fc.constant('x+'), to: fc.string() })
      .map((replace) => ({ replace })),
    place.map((at) => ({ 'drop-event': { at } })),
  )
  const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4 },
      value,
      fc.array(tie('tree'), { maxLength: 3 }),
      fc
        .array(fc.tuple(name, tie('tree')), { maxLength: 3 })
        // As JSON.parse makes it: the name `__proto__` is the object's own.
        .map((entries) => Object.fromEntries(entries)),
    ),
  }))

  it('never throws, and changes neither its input nor any prototype', () => {
    let appliedCount = 0
    fc.assert(
      fc.property(tree, fc.array(step, { minLength: 1, maxLength: 5 }), (document, steps) => {
        const parsed = parseRepair({ steps })
        if (parsed.kind === 'refused') return
        appliedCount++
        const before = JSON.stringify(document)
        const first = applyRepair(document, parsed.repair)
        assert.equal(JSON.stringify(document), before)
        assert.deepEqual(applyRepair(document, parsed.repair), first)
        assert.deepEqual(Object.keys(Object.prototype), [])
        if (first.kind === 'document') assertPlain(first.document)
      }),
      { numRuns: 3_000 },
    )
    assert.ok(appliedCount > 300, `only ${appliedCount} repairs could be read`)
  })
})

function assertPlain(value: unknown): void {
  if (typeof value !== 'object' || value === null) return
  const prototype: unknown = Object.getPrototypeOf(value)
  assert.ok(prototype === Object.prototype || prototype === Array.prototype)
  for (const each of Object.values(value)) assertPlain(each)
}

describe('repairText', () => {
  it('replaces every text as it is, and says where nothing changes', () => {
    const nan = repairOf({ 'replace-text': { find: 'NaN', to: '$1' } })
    assert.equal(repairText('{"a":NaN,"b":NaN}', nan), '{"a":$1,"b":$1}')
    assert.equal(repairText('{}', nan), undefined)
    assert.equal(repairText('{}', repairOf({ remove: { at: '/a' } })), undefined)
  })

  it('writes no more than is allowed', () => {
    const grow = repairOf({ 'replace-text': { find: 'a', to: 'b'.repeat(1_000) } })
    assert.equal(repairText('a'.repeat(2_000), grow), undefined)
  })
})
