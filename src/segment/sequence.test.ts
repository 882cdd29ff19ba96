import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Activity, PersonView } from '../profile/person-view.ts'
import { evaluateRule } from './evaluate.ts'
import { explainRule } from './explain.ts'
import { Facts } from './facts.ts'
import { parseRule } from './parse-rule.ts'
import type { SequenceRule, SequenceStep } from './rule.ts'
import { judgeSequence } from './sequence.ts'

const hourMs = 3_600_000
const viewedNotBought = aRule({
  sequence: [{ event: 'View' }, { not: { event: 'Buy' }, within: '2h' }],
  same: 'item',
  within: '1d',
})

describe('judgeSequence', () => {
  it('holds once the time to buy is over, until the view leaves the window', () => {
    const facts = aPerson([{ name: 'View', occurredAtMs: 10, itemId: 'a' }])
    const judge = (nowMs: number) => judgeSequence(viewedNotBought, facts, nowMs)
    assert.deepEqual(judge(10), { isTrue: false, untilMs: 10 + 2 * hourMs, match: [] })
    assert.deepEqual(judge(10 + 2 * hourMs - 1).isTrue, false)
    assert.deepEqual(judge(10 + 2 * hourMs), {
      isTrue: true,
      untilMs: 10 + 24 * hourMs,
      match: [10],
    })
    assert.deepEqual(judge(10 + 24 * hourMs), { isTrue: false, untilMs: Infinity, match: [] })
  })

  it('looks at the order of one item, not of another', () => {
    const view = { name: 'View', occurredAtMs: 10, itemId: 'a' }
    const buy = (itemId: string) => ({ name: 'Buy', occurredAtMs: 20, itemId })
    const isTrue = (activity: readonly Activity[]): boolean =>
      judgeSequence(viewedNotBought, aPerson(activity), 3 * hourMs).isTrue
    assert.equal(isTrue([view, buy('a')]), false)
    assert.equal(isTrue([view, buy('b')]), true)
    assert.equal(isTrue([view, buy('b'), buy('a')]), false)
  })

  it('is ended by an event that must not come where no time bounds it', () => {
    const rule = aRule({ sequence: [{ event: 'View' }, { not: { event: 'Buy' } }] })
    const view = { name: 'View', occurredAtMs: 10 }
    const facts = aPerson([view, { name: 'Buy', occurredAtMs: 500 }])
    assert.deepEqual(judgeSequence(rule, aPerson([view]), 10).untilMs, Infinity)
    assert.deepEqual(judgeSequence(rule, facts, 499), { isTrue: true, untilMs: 500, match: [10] })
    assert.equal(judgeSequence(rule, facts, 500).isTrue, false)
  })

  it('takes what a line has itself for its value, and nothing that every object has', () => {
    const rule = aRule({ sequence: [{ event: 'View' }, { event: 'Buy' }], same: 'constructor' })
    const properties = { shop: 'a' }
    const view = { name: 'View', occurredAtMs: 10, properties }
    const facts = aPerson([view, { name: 'Buy', occurredAtMs: 20, properties }])
    assert.equal(judgeSequence(rule, facts, 30).isTrue, false)
  })

  it('agrees at every instant with a search through all choices of events', () => {
    let [held, turned] = [0, 0]
    fc.assert(
      fc.property(someSequence, someActivity, fc.integer({ min: 0, max: 90 }), (rule, all, now) => {
        const facts = aPerson(all)
        const { isTrue, untilMs, match } = judgeSequence(rule, facts, now)
        assert.equal(isTrue, isMatchedNaively(rule, all, now))
        assert.equal(match.length, isTrue ? rule.steps.filter((step) => !step.isAbsent).length : 0)
        for (let atMs = now; atMs < Math.min(untilMs, 160); atMs++) {
          assert.equal(isMatchedNaively(rule, all, atMs), isTrue, `holds at ${atMs}`)
        }
        if (isTrue) held++
        if (untilMs === Infinity) return
        turned++
        assert.equal(isMatchedNaively(rule, all, untilMs), !isTrue, `turns at ${untilMs}`)
      }),
      { numRuns: 3_000 },
    )
    assert.ok(held > 100 && turned > 100, `${held} held and ${turned} turned`)
  })

  it('is explained in words, with the times of a match', () => {
    const facts = aPerson([{ name: 'View', occurredAtMs: 0, itemId: 'a' }])
    assert.deepEqual(explainRule(viewedNotBought, facts, 3 * hourMs), {
      kind: 'sequence',
      says: 'View, then not Buy within 2h, all with the same item, begun within 1d',
      isMet: true,
      saw: ['1970-01-01T00:00:00.000Z'],
      changesAtMs: 24 * hourMs,
    })
    assert.equal(evaluateRule(viewedNotBought, facts, 3 * hourMs).isMember, true)
  })
})

function aRule(input: unknown): SequenceRule {
  const parsed = parseRule(input)
  assert.equal(parsed.kind, 'rule', JSON.stringify(parsed))
  assert.equal(parsed.rule.kind, 'sequence')
  return parsed.rule
}

function aPerson(activity: readonly Activity[]): Facts {
  const view: PersonView = {
    key: 'user:ada',
    identities: ['user:ada'],
    traits: {},
    activity,
    totals: {},
    memberships: [],
    withdrawn: {},
  }
  return new Facts(view)
}

const someName = fc.constantFrom('View', 'Add', 'Buy')
const someStep = fc.record(
  {
    event: someName,
    isAbsent: fc.boolean(),
    withinMs: fc.integer({ min: 1, max: 40 }),
    valueMin: fc.integer({ min: 1, max: 3 }),
  },
  { requiredKeys: ['event', 'isAbsent'] },
) as fc.Arbitrary<SequenceStep>
const someSequence: fc.Arbitrary<SequenceRule> = fc.record(
  {
    kind: fc.constant('sequence' as const),
    steps: fc
      .tuple(someName, fc.array(someStep, { minLength: 1, maxLength: 3 }))
      .map(([event, steps]) => [{ event, isAbsent: false }, ...steps]),
    same: fc.constantFrom('item', 'shop'),
    windowMs: fc.integer({ min: 5, max: 80 }),
  },
  { requiredKeys: ['kind', 'steps'] },
) as fc.Arbitrary<SequenceRule>
const someActivity = fc
  .array(
    fc.record(
      {
        name: someName,
        occurredAtMs: fc.integer({ min: 0, max: 60 }),
        itemId: fc.constantFrom('a', 'b'),
        value: fc.integer({ min: 0, max: 3 }),
        eventRef: fc.constantFrom(1, 2, 3),
        properties: fc.record({ shop: fc.constantFrom('x', 1) }),
      },
      { requiredKeys: ['name', 'occurredAtMs', 'eventRef'] },
    ),
    { maxLength: 9 },
  )
  .map((entries) =>
    entries.toSorted((left, right) => left.occurredAtMs - right.occurredAtMs),
  ) as fc.Arbitrary<readonly Activity[]>

interface NaiveEvent {
  readonly name: string
  readonly atMs: number
  readonly ref: number
  readonly lines: readonly Activity[]
}

function isMatchedNaively(rule: SequenceRule, all: readonly Activity[], nowMs: number): boolean {
  const past = all.filter(({ occurredAtMs }) => occurredAtMs <= nowMs)
  const { same } = rule
  if (same === undefined) return isMatchedByOne(rule, past, nowMs)
  const valueIn = (line: Activity): unknown =>
    same === 'item' ? line.itemId : line.properties?.[same]
  const values = new Set(past.map(valueIn).filter((value) => value !== undefined))
  return [...values].some((value) => {
    const some = past.filter((line) => valueIn(line) === value)
    return isMatchedByOne(rule, some, nowMs)
  })
}

function isMatchedByOne(rule: SequenceRule, past: readonly Activity[], nowMs: number): boolean {
  const groups = Object.groupBy(past, ({ name, occurredAtMs, eventRef }) =>
    [name, occurredAtMs, eventRef].join('/'),
  )
  const events = Object.values(groups)
    .map((lines = []): NaiveEvent => {
      const { name, occurredAtMs: atMs, eventRef } = lines[0] as Activity
      return { name, atMs, ref: eventRef ?? 0, lines }
    })
    .toSorted(
      (left, right) =>
        left.atMs - right.atMs || left.ref - right.ref || (left.name < right.name ? -1 : 1),
    )
  const fits = (step: SequenceStep, event: NaiveEvent): boolean =>
    step.event === event.name &&
    event.lines.reduce((sum, { value }) => sum + (value ?? 0), 0) >= (step.valueMin ?? 0)
  const search = (at: number, chosen: readonly number[], barred: readonly SequenceStep[]) => {
    const step = rule.steps[at]
    const last = chosen.at(-1) ?? -1
    const lastMs = events[last]?.atMs ?? 0
    const isBarred = (end: number): boolean =>
      barred.some((bar) =>
        events.some(
          (event, index) =>
            index > last &&
            index < end &&
            fits(bar, event) &&
            event.atMs - lastMs < (bar.withinMs ?? Infinity),
        ),
      )
    if (step === undefined) {
      const isOver = barred.every(({ withinMs }) => nowMs - lastMs >= (withinMs ?? 0))
      const firstMs = events[chosen[0] ?? 0]?.atMs ?? 0
      return isOver && !isBarred(events.length) && nowMs - firstMs < (rule.windowMs ?? Infinity)
    }
    if (step.isAbsent) return search(at + 1, chosen, [...barred, step])
    for (let index = last + 1; index < events.length; index++) {
      const event = events[index]
      if (event === undefined || !fits(step, event) || isBarred(index)) continue
      if (chosen.length > 0 && event.atMs - lastMs >= (step.withinMs ?? Infinity)) continue
      if (search(at + 1, [...chosen, index], [])) return true
    }
    return false
  }
  return search(0, [], [])
}
