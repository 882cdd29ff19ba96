import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Json } from '../lib/json.ts'
import type { Activity, PersonView } from '../profile/person-view.ts'
import { evaluateRule } from './evaluate.ts'
import { explainRule } from './explain.ts'
import { Facts } from './facts.ts'
import { parseRule } from './parse-rule.ts'
import type { EventRule, Rule, TraitTest } from './rule.ts'

interface GoldenCase {
  readonly says: string
  readonly rule: unknown
  readonly person: Partial<PersonView>
  readonly nowMs: number
  readonly isMember: boolean
  readonly changesAtMs?: number
}

const goldenPath = new URL('../../test/fixtures/segment-rules.json', import.meta.url)
const golden = JSON.parse(readFileSync(goldenPath, 'utf8')) as { cases: readonly GoldenCase[] }

describe('evaluateRule', () => {
  for (const { says, rule, person, nowMs, ...expected } of golden.cases) {
    it(says, () => {
      const view = aPerson(person)
      const parsed = aRule(rule)
      assert.deepEqual(evaluateRule(parsed, new Facts(view), nowMs), expected)
      const { isMet, changesAtMs } = explainRule(parsed, new Facts(view), nowMs)
      assert.deepEqual(
        { isMet, changesAtMs },
        { isMet: expected.isMember, changesAtMs: expected.changesAtMs },
      )
    })
  }

  it('agrees with a naive reading of the rule, and holds its answer until changesAtMs', () => {
    let turned = 0
    fc.assert(
      fc.property(someRule, somePerson, someTime, (rule, view, nowMs) => {
        const answer = evaluateRule(rule, new Facts(view), nowMs)
        assert.equal(answer.isMember, readNaively(rule, view, nowMs))
        const edgeMs = answer.changesAtMs ?? nowMs + 200
        assert.ok(edgeMs > nowMs)
        for (let atMs = nowMs; atMs < edgeMs; atMs++) {
          assert.equal(readNaively(rule, view, atMs), answer.isMember, `holds at ${atMs}`)
        }
        const atEdge = evaluateRule(rule, new Facts(view), edgeMs)
        assert.equal(atEdge.isMember, readNaively(rule, view, edgeMs))
        if (atEdge.isMember !== answer.isMember) turned += 1
      }),
      { numRuns: 5_000 },
    )
    assert.ok(turned > 50, `only ${turned} cases turned at their edge`)
  })

  it('names the exact instant of the turn for a single event condition', () => {
    fc.assert(
      fc.property(someWindowRule, somePerson, someTime, (rule, view, nowMs) => {
        const { isMember, changesAtMs } = evaluateRule(rule, new Facts(view), nowMs)
        if (changesAtMs === undefined) return
        assert.equal(readNaively(rule, view, changesAtMs), !isMember)
      }),
      { numRuns: 1_000 },
    )
  })
})

describe('explainRule', () => {
  it('comes to the answer of evaluateRule', () => {
    fc.assert(
      fc.property(someRule, somePerson, someTime, (rule, view, nowMs) => {
        const { isMet, changesAtMs } = explainRule(rule, new Facts(view), nowMs)
        const answer = evaluateRule(rule, new Facts(view), nowMs)
        assert.equal(isMet, answer.isMember)
        assert.equal(changesAtMs, answer.changesAtMs)
      }),
      { numRuns: 2_000 },
    )
  })

  it('shows what each condition saw', () => {
    const rule = aRule({
      all: [
        { trait: 'country', is: 'UK' },
        { not: { event: 'Buy', count: { moreThan: 1 }, within: '1m' } },
      ],
    })
    const view = aPerson({
      traits: { country: 'FR' },
      activity: [{ name: 'Buy', occurredAtMs: 5 }],
    })
    assert.deepEqual(explainRule(rule, new Facts(view), 10), {
      kind: 'all',
      says: 'all of these hold',
      isMet: false,
      of: [
        { kind: 'trait', says: 'trait country is "UK"', isMet: false, saw: 'FR' },
        {
          kind: 'not',
          says: 'this does not hold',
          isMet: true,
          of: [
            { kind: 'event', says: 'event Buy counted moreThan 1 within 1m', isMet: false, saw: 1 },
          ],
        },
      ],
    })
  })
})

const nobody: PersonView = {
  key: 'user:ada',
  identities: ['user:ada'],
  traits: {},
  activity: [],
  totals: {},
  memberships: [],
  withdrawn: {},
}

function aRule(input: unknown): Rule {
  const parsed = parseRule(input)
  assert.equal(parsed.kind, 'rule', JSON.stringify(parsed))
  return parsed.rule
}

function aPerson(person: Partial<PersonView>): PersonView {
  return { ...nobody, ...person }
}

const someTime = fc.integer({ min: 0, max: 120 })
const someValue: fc.Arbitrary<Json> = fc.oneof(
  fc.constantFrom<Json>('a', 'ab', 'b', 1, 2, 3, true, false, null, ['a', 1], { x: 'a' }),
  fc.integer({ min: 0, max: 150 }).map((atMs) => new Date(atMs).toISOString()),
)
const someScalar = fc.constantFrom('a', 'ab', 'b', 1, 2, 3, true, false, null)
const someOrdered = fc.constantFrom('a', 'ab', 1, 2)
const someTest: fc.Arbitrary<TraitTest> = fc.oneof(
  fc.record({ operator: fc.constantFrom('is', 'isNot'), value: someScalar }),
  fc.record({
    operator: fc.constantFrom('in', 'notIn'),
    value: fc.array(someScalar, { minLength: 1, maxLength: 3 }),
  }),
  fc.record({ operator: fc.constant('exists' as const), value: fc.boolean() }),
  fc.record({ operator: fc.constant('contains' as const), value: someScalar }),
  fc.record({
    operator: fc.constantFrom('startsWith', 'endsWith'),
    value: fc.constantFrom('a', 'b'),
  }),
  fc.record({
    operator: fc.constantFrom('before', 'after'),
    value: fc.constant('in words'),
    time: fc.oneof(
      fc.record({ fromNowMs: fc.integer({ min: -60, max: 60 }) }),
      fc.record({ atMs: fc.integer({ min: 0, max: 120 }) }),
    ),
  }),
  fc.record({
    operator: fc.constantFrom('moreThan', 'atLeast', 'lessThan', 'atMost'),
    value: someOrdered,
  }),
) as fc.Arbitrary<TraitTest>
const someCounts = fc.array(
  fc.record({
    operator: fc.constantFrom('atLeast', 'atMost', 'exactly', 'moreThan', 'lessThan'),
    value: fc.integer({ min: 0, max: 4 }),
  }),
  { minLength: 1, maxLength: 2 },
)
const someName = fc.constantFrom('Buy', 'View')
const someWindowRule = fc.record(
  {
    kind: fc.constant('event' as const),
    event: someName,
    tests: someCounts,
    windowMs: fc.integer({ min: 1, max: 60 }),
    itemId: fc.constantFrom('i1', 'i2'),
    valueMin: fc.integer({ min: 0, max: 6 }),
  },
  { requiredKeys: ['kind', 'event', 'tests', 'windowMs'] },
) as fc.Arbitrary<EventRule>
const someLeaf: fc.Arbitrary<Rule> = fc.oneof(
  { weight: 4, arbitrary: someWindowRule },
  fc.record({ kind: fc.constant('event' as const), event: someName, tests: someCounts }),
  fc.record({
    kind: fc.constant('trait' as const),
    trait: fc.constantFrom('t', 'u', 't.x'),
    tests: fc.array(someTest, { minLength: 1, maxLength: 2 }),
  }),
  fc.record({ kind: fc.constant('segment' as const), segment: fc.constantFrom('s1', 's2') }),
  fc.record({ kind: fc.constant('consent' as const), topic: fc.constantFrom('news', '*') }),
)
const someRule: fc.Arbitrary<Rule> = fc.letrec<{ rule: Rule }>((tie) => ({
  rule: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    someLeaf,
    fc.record({
      kind: fc.constantFrom('all' as const, 'any' as const),
      rules: fc.array(tie('rule'), { maxLength: 3 }),
    }),
    fc.record({ kind: fc.constant('not' as const), rule: tie('rule') }),
  ),
})).rule
const someActivity: fc.Arbitrary<Activity> = fc.record(
  {
    name: someName,
    occurredAtMs: fc.integer({ min: 0, max: 160 }),
    itemId: fc.constantFrom('i1', 'i2', 'i3'),
    value: fc.integer({ min: 0, max: 5 }),
    eventRef: fc.constantFrom(1, 2),
  },
  { requiredKeys: ['name', 'occurredAtMs'] },
) as fc.Arbitrary<Activity>
const somePerson: fc.Arbitrary<PersonView> = fc
  .record({
    traits: fc.dictionary(fc.constantFrom('t', 'u'), someValue),
    activity: fc
      .array(someActivity, { maxLength: 12 })
      .chain((entries) => fc.boolean().map((isDense) => (isDense ? entries.map(crowd) : entries))),
    totals: fc.dictionary(
      someName,
      fc.record({
        count: fc.integer({ min: 0, max: 4 }),
        valueSum: fc.constant(0),
        firstAtMs: fc.constant(0),
        lastAtMs: fc.constant(0),
      }),
    ),
    memberships: fc.subarray(['s1', 's2']),
    withdrawn: fc.dictionary(fc.constantFrom('news', '*', 'other'), fc.constant(1)),
  })
  .map((person) => ({
    ...nobody,
    ...person,
    activity: person.activity.toSorted((left, right) => left.occurredAtMs - right.occurredAtMs),
  }))

/** Moves an entry to one of few instants, so that many share one. */
function crowd(entry: Activity): Activity {
  return { ...entry, occurredAtMs: entry.occurredAtMs - (entry.occurredAtMs % 40) }
}

/** Reads a rule word for word at one instant, without thought for speed. */
function readNaively(rule: Rule, view: PersonView, nowMs: number): boolean {
  if (rule.kind === 'all' || rule.kind === 'any') {
    const held = rule.rules.filter((part) => readNaively(part, view, nowMs)).length
    return rule.kind === 'all' ? held === rule.rules.length : held > 0
  }
  if (rule.kind === 'not') return !readNaively(rule.rule, view, nowMs)
  if (rule.kind === 'consent') return !['*', rule.topic].some((one) => one in view.withdrawn)
  if (rule.kind === 'segment') return new Set(view.memberships).has(rule.segment)
  if (rule.kind === 'trait') {
    const [head = '', tail] = rule.trait.split('.')
    const whole = Object.entries(view.traits).find(([name]) => name === head)?.[1]
    const value = tail === undefined ? whole : Object(whole)[tail]
    return rule.tests.every((test) => passesNaively(test, value, nowMs))
  }
  if (rule.kind !== 'event') throw new Error('no other kind')
  const count = countNaively(rule, view, nowMs)
  const passes = { atLeast: [0, 1], atMost: [-1, 0], exactly: [0], moreThan: [1], lessThan: [-1] }
  return rule.tests.every((test) => passes[test.operator].includes(Math.sign(count - test.value)))
}

function passesNaively(test: TraitTest, value: Json | undefined, nowMs: number): boolean {
  const { operator } = test
  if (operator === 'before' || operator === 'after') {
    // Small numbers are seconds, far behind all instants of these tests.
    const valueMs = typeof value === 'number' ? value * 1000 : Date.parse(`${value}`)
    if (Number.isNaN(valueMs) || typeof value === 'object' || value === undefined) return false
    const otherMs = 'atMs' in test.time ? test.time.atMs : nowMs + test.time.fromNowMs
    return operator === 'before' ? valueMs < otherMs : valueMs >= otherMs
  }
  if (operator === 'endsWith') return typeof value === 'string' && value.slice(-1) === test.value
  if (operator === 'exists') return test.value ? value != null : value == null
  if (operator === 'is') return Object.is(value, test.value)
  if (operator === 'isNot') return !Object.is(value, test.value)
  if (operator === 'in') return new Set<unknown>(test.value).has(value)
  if (operator === 'notIn') return !new Set<unknown>(test.value).has(value)
  if (operator === 'startsWith') return typeof value === 'string' && value.indexOf(test.value) === 0
  if (operator === 'contains') {
    if (Array.isArray(value)) return value.indexOf(test.value) >= 0
    return (
      typeof value === 'string' &&
      typeof test.value === 'string' &&
      value.split(test.value).length > 1
    )
  }
  if (typeof value === 'number' || typeof value === 'string') {
    if (typeof value !== typeof test.value || test.value === null) return false
    const order = value === test.value ? 0 : value < test.value ? -1 : 1
    return { moreThan: [1], atLeast: [0, 1], lessThan: [-1], atMost: [-1, 0] }[operator].includes(
      order,
    )
  }
  return false
}

function countNaively(rule: EventRule, view: PersonView, nowMs: number): number {
  const { windowMs } = rule
  if (windowMs === undefined) {
    return Object.entries(view.totals).find(([name]) => name === rule.event)?.[1].count ?? 0
  }
  const seen = view.activity.filter(
    (entry) =>
      entry.name === rule.event &&
      entry.occurredAtMs <= nowMs &&
      nowMs - entry.occurredAtMs < windowMs,
  )
  const lines = seen.filter((entry) => rule.itemId === undefined || entry.itemId === rule.itemId)
  const events = Object.values(
    Object.groupBy(lines, (entry) => `${entry.occurredAtMs}/${entry.eventRef ?? 'none'}`),
  )
  return events.filter((event) => {
    const value = (event ?? []).reduce((sum, entry) => sum + (entry.value ?? 0), 0)
    return rule.valueMin === undefined || value >= rule.valueMin
  }).length
}
