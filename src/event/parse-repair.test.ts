import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { parseRepair } from './parse-repair.ts'

const faultsOf = (...steps: readonly unknown[]): readonly string[] => {
  const parsed = parseRepair({ steps })
  return parsed.kind === 'refused' ? parsed.faults.map(({ path }) => path) : []
}

describe('parseRepair', () => {
  it('reads every step', () => {
    const parsed = parseRepair({
      steps: [
        { set: { at: '/a~1b/c~0d', to: { x: [1] } } },
        { default: { at: '/a', to: null } },
        { remove: { at: '/properties/__proto__' } },
        { move: { from: '/p/*/cost/net', to: '/p/*/price' } },
        { cast: { at: '/p/*', to: 'number' } },
        { replace: { at: '/event', equals: 'a', to: 'b' } },
        { replace: { at: '/event', pattern: '^a+', to: '$&' } },
        { 'drop-event': { at: '/test' } },
        { 'drop-event': { at: '/test', equals: true } },
        { 'replace-text': { find: 'NaN', to: 'null' } },
      ],
    })
    assert.deepEqual(parsed.kind === 'repair' ? parsed.repair.steps : parsed.faults, [
      { kind: 'set', at: ['a/b', 'c~d'], to: { x: [1] } },
      { kind: 'default', at: ['a'], to: null },
      { kind: 'remove', at: ['properties', '__proto__'] },
      { kind: 'move', within: ['p', '*'], from: ['cost', 'net'], to: ['price'] },
      { kind: 'cast', at: ['p', '*'], to: 'number' },
      { kind: 'replace', at: ['event'], match: { kind: 'equals', value: 'a' }, to: 'b' },
      { kind: 'replace', at: ['event'], match: { kind: 'pattern', pattern: '^a+' }, to: '$&' },
      { kind: 'drop-event', at: ['test'] },
      { kind: 'drop-event', at: ['test'], match: { kind: 'equals', value: true } },
      { kind: 'replace-text', find: 'NaN', to: 'null' },
    ])
  })

  it('names all faults at once', () => {
    const faults = faultsOf(
      { set: { at: 'a', to: 1, too: 2 } },
      { cast: { at: '/a', to: 'date' } },
      { fix: {} },
      { remove: {} },
      { set: { at: '/a', to: 1 }, remove: { at: '/a' } },
    )
    const expected = ['/steps/0/set/too', '/steps/0/set/at', '/steps/1/cast/to', '/steps/2']
    assert.deepEqual(faults, [...expected, '/steps/3/remove/at', '/steps/4'])
  })

  it('refuses what would change what an object is', () => {
    for (const name of ['__proto__', 'constructor', 'prototype']) {
      const at = `/a/${name}`
      assert.deepEqual(faultsOf({ set: { at, to: 1 } }), ['/steps/0/set/at'])
      assert.deepEqual(faultsOf({ cast: { at, to: 'text' } }), ['/steps/0/cast/at'])
      assert.deepEqual(faultsOf({ move: { from: '/x', to: at } }), ['/steps/0/move/to'])
      assert.deepEqual(faultsOf({ remove: { at: `${at}/x` } }), ['/steps/0/remove/at'])
      assert.deepEqual(faultsOf({ remove: { at } }), [])
      const value: unknown = JSON.parse(`{"a":{"${name}":1}}`)
      assert.deepEqual(faultsOf({ set: { at: '/x', to: value } }), [`/steps/0/set/to/a/${name}`])
    }
  })

  it('refuses patterns that could run for hours, match nothing, or grow without end', () => {
    const at = '/event'
    for (const pattern of ['(a+)+', '(', 'a*', 'x'.repeat(257), 7]) {
      const faults = faultsOf({ replace: { at, pattern, to: 'x' } })
      assert.deepEqual(faults, ['/steps/0/replace/pattern'], String(pattern))
    }
    assert.deepEqual(faultsOf({ replace: { at, pattern: 'a', to: 'x'.repeat(201) } }), [
      '/steps/0/replace/to',
    ])
    assert.deepEqual(faultsOf({ replace: { at, to: 'x' } }), ['/steps/0/replace'])
    assert.deepEqual(faultsOf({ replace: { at, equals: 1, pattern: 'a', to: 1 } }), [
      '/steps/0/replace',
    ])
  })

  it('refuses moves into themselves and between different items', () => {
    for (const [from, to] of [
      ['/a', '/a'],
      ['/a', '/a/b'],
      ['/a/b', '/a'],
      ['/a/*/b', '/c/*/b'],
      ['/a', '/b/*'],
      ['/a/*', '/a/*'],
    ]) {
      assert.ok(faultsOf({ move: { from, to } }).includes('/steps/0/move/to'), `${from} ${to}`)
    }
  })

  it('takes 1 to 50 steps, and a mapping only', () => {
    const remove = { remove: { at: '/a' } }
    assert.deepEqual(faultsOf(), ['/steps'])
    assert.deepEqual(faultsOf(...Array.from({ length: 50 }, () => remove)), [])
    assert.deepEqual(faultsOf(...Array.from({ length: 51 }, () => remove)), ['/steps'])
    for (const input of [undefined, null, [remove], 'steps', { steps: {} }]) {
      assert.equal(parseRepair(input).kind, 'refused')
    }
    assert.equal(parseRepair({ steps: [remove], more: 1 }).kind, 'refused')
  })

  it('never throws', () => {
    const name = fc.constantFrom('set', 'move', 'cast', 'replace', 'drop-event', 'replace-text')
    const field = fc.constantFrom('at', 'from', 'to', 'equals', 'pattern', 'find')
    const fields = fc.dictionary(field, fc.oneof(fc.jsonValue(), fc.constant('/a/*'), fc.string()))
    const step = fc.oneof(fc.jsonValue(), fc.dictionary(name, fc.oneof(fields, fc.jsonValue())))
    fc.assert(
      fc.property(fc.array(step, { maxLength: 4 }), (steps) => {
        const parsed = parseRepair({ steps })
        assert.ok(parsed.kind === 'repair' || parsed.faults.length > 0)
      }),
      { numRuns: 2_000 },
    )
  })
})
