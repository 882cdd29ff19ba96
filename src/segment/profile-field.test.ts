import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { JsonObject } from '../lib/json.ts'
import { addHabits, type HabitPart } from '../profile/habit/habit-pack.ts'
import type { Touch } from '../profile/habit/touch.ts'
import type { Activity, PersonView } from '../profile/person-view.ts'
import { evaluateRule } from './evaluate.ts'
import { explainRule } from './explain.ts'
import { Facts } from './facts.ts'
import { parseRule } from './parse-rule.ts'
import { planEvaluation } from './plan.ts'
import { isProfileField, profileFieldNames } from './profile-field.ts'
import type { Rule } from './rule.ts'

const minuteMs = 60_000
const dayMs = 86_400_000
const startMs = 1_790_000_000_000

interface Done {
  readonly name: string
  readonly atMs: number
  readonly itemId?: string
  readonly value?: number
  readonly category?: string
  readonly touch?: Touch
}

function factsOf(done: readonly Done[]): Facts {
  const part: HabitPart = { key: 'user:ada' }
  const actions: Record<string, number> = { 'Product Viewed': 1, 'Product Added': 6 }
  for (const [order, { name, atMs, category, touch }] of done.entries()) {
    const visit = { atMs, order, idleMs: 30 * minuteMs, readTouch: () => touch }
    const tastes = category === undefined ? [] : [{ category }]
    addHabits([part], part, { visit, atMs, tastes, action: actions[name] ?? 0 })
  }
  const activity = done.map(({ name, atMs, itemId, value }, index): Activity => {
    const of = { ...(itemId ? { itemId } : {}), ...(value ? { value } : {}) }
    return { name, occurredAtMs: atMs, eventRef: index, ...of }
  })
  const view: PersonView = {
    key: 'user:ada',
    ...{ identities: ['user:ada'], traits: {}, totals: {}, memberships: [], withdrawn: {} },
    activity: activity.toSorted((one, other) => one.occurredAtMs - other.occurredAtMs),
    habitParts: [part],
  }
  return new Facts(view)
}

function ruleOf(content: JsonObject): Rule {
  const parsed = parseRule(content)
  assert.equal(parsed.kind, 'rule', JSON.stringify(parsed))
  return (parsed as { readonly rule: Rule }).rule
}

function isIn(content: JsonObject, facts: Facts, nowMs: number): boolean {
  return evaluateRule(ruleOf(content), facts, nowMs).isMember
}

const cameBy = (channel: Touch['channel'], more: Partial<Touch> = {}): Touch => ({
  channel,
  landingPage: '/',
  ...more,
})

describe('a condition on the profile', () => {
  it('sees sessions, entries, the cart and affinities', () => {
    const facts = factsOf([
      { name: 'Page Viewed', atMs: startMs, touch: cameBy('email', { campaign: 'spring' }) },
      { name: 'Product Viewed', atMs: startMs + dayMs, category: 'lamps', touch: cameBy('direct') },
      {
        name: 'Product Added',
        atMs: startMs + dayMs + 1,
        itemId: 'a',
        value: 12,
        category: 'rugs',
      },
    ])
    const nowMs = startMs + dayMs + minuteMs
    const all: readonly JsonObject[] = [
      { profile: 'session.count', is: 2 },
      { profile: 'session.eventCount', is: 2 },
      { profile: 'session.isActive', is: true },
      { profile: 'session.channel', is: 'direct' },
      { profile: 'session.startedAt', after: 'now-1m' },
      { profile: 'firstTouch.channel', is: 'email' },
      { profile: 'lastTouch.campaign', is: 'spring' },
      { profile: 'lastTouch.at', before: 'now-23h' },
      { profile: 'cart.state', is: 'open' },
      { profile: 'cart.value', is: 12 },
      { profile: 'cart.itemCount', is: 1 },
      { profile: 'cart.orderedAt', exists: false },
      { profile: 'affinity.category', is: 'rugs' },
      { profile: 'affinity.category.rugs', moreThan: 0.85, lessThan: 0.86 },
      { profile: 'interest.category.rugs', atLeast: 5.9 },
      { profile: 'affinity.brand', exists: false },
      { profile: 'affinity.brand.x', is: 0 },
    ]
    for (const rule of all) {
      assert.ok(isIn(rule, facts, nowMs), JSON.stringify(rule))
      assert.ok(!isIn({ not: rule }, facts, nowMs))
      const explained = explainRule(ruleOf(rule), facts, nowMs)
      assert.equal(explained.isMet, true)
      assert.match(explained.says, /^profile \w+\./)
    }
    assert.equal(explainRule(ruleOf(all[0] ?? {}), facts, nowMs).saw, 2)
  })

  it('turns at the very ms that it says, and not before', () => {
    const name = fc.constantFrom(
      'Product Viewed',
      'Product Added',
      'Order Completed',
      'Cart Viewed',
    )
    const one = fc.record(
      {
        name,
        atMs: fc.integer({ min: 0, max: 40 }).map((days) => startMs + days * dayMs),
        itemId: fc.constantFrom('a', 'b'),
        category: fc.constantFrom('lamps', 'rugs'),
      },
      { requiredKeys: ['name', 'atMs'] },
    )
    const rule = fc.constantFrom<JsonObject>(
      { profile: 'session.isActive', is: true },
      { profile: 'cart.state', is: 'abandoned' },
      { profile: 'cart.state', in: ['open', 'ordered'] },
      { profile: 'cart.changedAt', before: 'now-4h' },
      {
        all: [
          { profile: 'cart.itemCount', atLeast: 1 },
          { profile: 'cart.changedAt', before: 'now-1d' },
        ],
      },
      { profile: 'interest.category.lamps', atLeast: 1 },
      { profile: 'interest.category.rugs', lessThan: 3, moreThan: 0.7 },
      { profile: 'affinity.category.lamps', atLeast: 0.5 },
    )
    let turnCount = 0
    fc.assert(
      fc.property(fc.array(one, { maxLength: 12 }), rule, fc.nat(60), (done, content, days) => {
        const facts = factsOf(done as readonly Done[])
        const parsed = ruleOf(content)
        const nowMs = startMs + days * dayMs
        const { isMember, changesAtMs } = evaluateRule(parsed, facts, nowMs)
        const at = (atMs: number): boolean => evaluateRule(parsed, facts, atMs).isMember
        const untilMs = changesAtMs ?? nowMs + 1_000 * dayMs
        for (let step = 0; step <= 20; step++) {
          const atMs = Math.floor(nowMs + ((untilMs - 1 - nowMs) * step) / 20)
          assert.equal(at(atMs), isMember, `at ${atMs - nowMs} of ${untilMs - nowMs} ms`)
        }
        if (changesAtMs === undefined || 'all' in content) return
        assert.equal(at(changesAtMs), !isMember)
        turnCount++
      }),
      { numRuns: 300 },
    )
    assert.ok(turnCount > 20, `${turnCount} turns`)
  })

  it('is looked at after the events that can change it, and no others', () => {
    const touchedBy = (field: string, event: string): boolean => {
      const rule = ruleOf({ profile: field, exists: true })
      return planEvaluation([{ name: 's', rule }]).touched({ events: [event] }).length > 0
    }
    assert.ok(touchedBy('session.count', 'whatever'))
    assert.ok(touchedBy('cart.state', 'Cart Viewed'))
    assert.ok(!touchedBy('cart.state', 'Product Viewed'))
    assert.ok(touchedBy('affinity.brand', 'Product Viewed'))
    assert.ok(touchedBy('interest.brand.x', 'Order Completed'))
    assert.ok(!touchedBy('affinity.brand', 'Cart Viewed'))
  })

  it('is refused where it names no field, with those that there are', () => {
    const parsed = parseRule({ all: [{ profile: 'session.counts', is: 1 }] })
    assert.equal(parsed.kind, 'refused')
    const [fault] = (parsed as { faults: readonly { path: string; says: string }[] }).faults
    assert.equal(fault?.path, '/all/0/profile')
    assert.match(fault?.says ?? '', /session\.count, /)
    for (const name of profileFieldNames) assert.ok(isProfileField(name))
    for (const name of ['affinity.category.', 'interest.category', 'cart', 'constructor']) {
      assert.ok(!isProfileField(name), name)
    }
  })
})
