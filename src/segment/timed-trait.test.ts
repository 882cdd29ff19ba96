import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createSeededRandom } from '../lib/random.ts'
import { kindOf } from '../profile/computed/computed-trait.ts'
import type { TimedValue } from '../profile/computed/view-computed.ts'
import { evaluateRule } from './evaluate.ts'
import { explainRule } from './explain.ts'
import { Facts } from './facts.ts'
import { parseRule } from './parse-rule.ts'
import type { Rule } from './rule.ts'

function ruleOf(input: unknown): Rule {
  const parsed = parseRule(input)
  assert.equal(parsed.kind, 'rule', JSON.stringify(parsed))
  return parsed.rule
}

function factsOf(timed: TimedValue): Facts {
  const computed = (name: string) => (name === 'c' ? timed : undefined)
  return new Facts({
    ...{ key: 'user:ada', identities: ['user:ada'], traits: { c: 'stated' }, computed },
    ...{ activity: [], totals: {}, memberships: [], withdrawn: {} },
  })
}

/** A count of events in a window of 100 ms. */
function windowed(times: readonly number[]): TimedValue {
  return {
    at: (nowMs) => times.filter((atMs) => atMs <= nowMs && nowMs - atMs < 100).length,
    nextChangeAt: (nowMs) =>
      Math.min(...times.flatMap((atMs) => [atMs, atMs + 100]).filter((atMs) => atMs > nowMs)),
  }
}

/** The same as it is kept: that one tells from when on it only falls. */
function keptWindow(times: readonly number[]): TimedValue {
  const kind = kindOf({ name: 'c', id: '', kind: 'count', windowMs: 100 })
  const samples = times.map((atMs, order) => ({ atMs, order, value: 1 }))
  const bounds = { edgeMs: -Infinity, cellCountMax: 128 }
  const open = kind.open([kind.add(new Uint8Array(0), samples, bounds)])
  const { fallsFromMs } = open
  assert.ok(fallsFromMs !== undefined)
  return {
    at: (nowMs) => open.answerAt(nowMs, nowMs - 100).value,
    nextChangeAt: (nowMs) => open.nextChangeAt(nowMs, 100),
    fallsFromMs,
  }
}

function growing(fromMs: number, unitMs: number): TimedValue {
  const at = (nowMs: number): number => Math.max(0, Math.floor((nowMs - fromMs) / unitMs))
  return {
    at,
    nextChangeAt: (nowMs) => fromMs + (at(nowMs) + 1) * unitMs,
    reachesAt: (value) => fromMs + Math.ceil(value) * unitMs,
  }
}

describe('a condition on a computed trait', () => {
  it('holds until the very instant at which its value turns it', () => {
    const random = createSeededRandom(4)
    const tests = ['moreThan', 'atLeast', 'lessThan', 'atMost', 'is', 'isNot']
    for (let round = 0; round < 600; round++) {
      const test = tests[Math.floor(random.unit() * tests.length)] ?? 'is'
      const value = Math.floor(random.unit() * 8) / (random.unit() < 0.3 ? 2 : 1)
      const times = Array.from({ length: 6 }, () => Math.floor(random.unit() * 200))
      const window = round % 2 === 0 ? keptWindow : windowed
      const timed = random.unit() < 0.5 ? window(times) : growing(times[0] ?? 0, 20)
      const rule = ruleOf({ trait: 'c', [test]: value })
      const facts = factsOf(timed)
      const nowMs = Math.floor(random.unit() * 150)
      const { isMember, changesAtMs } = evaluateRule(rule, facts, nowMs)
      const isMemberAt = (atMs: number): boolean => evaluateRule(rule, facts, atMs).isMember
      for (let atMs = nowMs; atMs < Math.min(changesAtMs ?? 500, 500); atMs++) {
        assert.equal(isMemberAt(atMs), isMember, `${test} ${value} of ${times} holds at ${atMs}`)
      }
      if (changesAtMs !== undefined) assert.equal(isMemberAt(changesAtMs), !isMember)
    }
  })

  it('goes before a trait of the same name, and is explained with its value', () => {
    const facts = factsOf(windowed([10, 20]))
    const rule = ruleOf({ trait: 'c', atLeast: 2 })
    assert.deepEqual(explainRule(rule, facts, 30), {
      kind: 'trait',
      says: 'trait c atLeast 2',
      isMet: true,
      saw: 2,
      changesAtMs: 110,
    })
    assert.equal(evaluateRule(ruleOf({ trait: 'c', is: 'stated' }), facts, 30).isMember, false)
  })

  it('is not looked at again where a count that only falls is too small', () => {
    const times = Array.from({ length: 90 }, (_, index) => index)
    const changeOf = (test: object, nowMs: number): number | undefined =>
      evaluateRule(ruleOf({ trait: 'c', ...test }), factsOf(keptWindow(times)), nowMs).changesAtMs
    assert.equal(changeOf({ atLeast: 91 }, 89), undefined)
    assert.equal(changeOf({ atLeast: 91, atMost: 200 }, 150), undefined)
    assert.equal(changeOf({ atLeast: 90 }, 88), 89)
    assert.equal(changeOf({ atMost: 40 }, 89), 149)
  })

  it('is looked at again after a bounded number of edges that turn nothing', () => {
    const times = Array.from({ length: 500 }, (_, index) => index)
    const rule = ruleOf({ trait: 'c', atLeast: 1 })
    const { isMember, changesAtMs = 0 } = evaluateRule(rule, factsOf(windowed(times)), 50)
    assert.ok(isMember && changesAtMs > 50 && changesAtMs < 599)
  })
})
