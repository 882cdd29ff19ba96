import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { appendActivity } from '../profile/activity-pack.ts'
import { createPerson } from '../profile/person.ts'
import type { PersonView } from '../profile/person-view.ts'
import { viewPerson } from '../profile/view-person.ts'
import { Facts } from './facts.ts'
import { evaluateSegments, planEvaluation } from './plan.ts'
import type { Segment, SegmentFile } from './segment.ts'
import { namesOf, parseSegments } from './segment.ts'

const dayMs = 86_400_000

const files: readonly SegmentFile[] = [
  { name: 'target', content: { all: [{ segment: 'loyal' }, { not: { segment: 'staff' } }] } },
  {
    name: 'loyal',
    content: {
      description: 'Comes back.',
      rule: { all: [{ segment: 'buyers' }, { trait: 'address.city', is: 'Rome' }] },
    },
  },
  { name: 'buyers', content: { event: 'Buy', within: '2d' } },
  { name: 'staff', content: { trait: 'email', contains: '@shop' } },
  {
    name: 'viewers',
    content: {
      any: [
        { event: 'View', within: '1h' },
        { event: 'Buy', within: '1h' },
      ],
    },
  },
]

describe('parseSegments', () => {
  it('puts each segment after those it names', () => {
    const names = theSegments().map((segment) => segment.name)
    assert.deepEqual(names, ['buyers', 'loyal', 'staff', 'target', 'viewers'])
    assert.equal(theSegments()[1]?.description, 'Comes back.')
  })

  it('refuses cycles, unknown names and names given twice, with all other faults', () => {
    const parsed = parseSegments([
      { name: 'a', content: { segment: 'b' } },
      { name: 'b', content: { not: { segment: 'a' } } },
      { name: 'c', content: { rule: { segment: 'nobody' }, extra: 1 } },
      { name: 'd', content: { rule: { trait: 't' } } },
      { name: 'e', content: { all: [] } },
      { name: 'e', content: { all: [] } },
    ])
    assert.equal(parsed.kind, 'refused')
    assert.deepEqual(
      parsed.faults.map((fault) => `${fault.path}: ${fault.says}`),
      [
        'c/extra: is unknown here',
        'c/rule/segment: names the unknown segment nobody',
        'd/rule: a trait needs a test, e.g. `is`',
        'e: is defined twice',
        'a: depends on itself: a -> b -> a',
      ],
    )
  })

  it('tells what a rule names', () => {
    const rules = theSegments().map((segment) => segment.rule)
    assert.deepEqual(rules.slice(1, 2).map(namesOf), [
      {
        traits: ['address.city'],
        events: [],
        isOfAnyEvent: false,
        segments: ['buyers'],
        consents: [],
        lists: [],
        properties: new Map(),
      },
    ])
  })
})

describe('planEvaluation', () => {
  it('finds the segments a change can touch, also through others, in order', () => {
    const plan = planEvaluation(theSegments())
    const names = (change: Parameters<typeof plan.affected>[0]): readonly string[] =>
      plan.affected(change).map((segment) => segment.name)
    assert.deepEqual(names({ events: ['Buy'] }), ['buyers', 'loyal', 'target', 'viewers'])
    assert.deepEqual(names({ events: ['View'] }), ['viewers'])
    assert.deepEqual(names({ traits: ['address'] }), ['loyal', 'target'])
    assert.deepEqual(names({ traits: ['address.city', 'email'] }), ['loyal', 'staff', 'target'])
    assert.deepEqual(names({ segments: ['staff'] }), ['target'])
    assert.deepEqual(names({ due: ['viewers', 'gone'] }), ['viewers'])
    assert.deepEqual(names({ events: ['Other'] }), [])
  })

  it('finds each place once and in order, for whatever combination of names comes', () => {
    const traits = Array.from({ length: 12 }, (_, index) => `t${index}`)
    // The segment of a place names some of the traits, so that their lists overlap.
    const namedBy = (place: number): readonly string[] =>
      traits.filter((_, index) => (place + index) % 5 === 0 || index === place)
    const content = (place: number): object => ({
      any: namedBy(place).map((trait) => ({ trait, is: 1 })),
    })
    const parsed = parseSegments(traits.map((_, at) => ({ name: `s${at}`, content: content(at) })))
    assert.equal(parsed.kind, 'segments', JSON.stringify(parsed))
    const plan = planEvaluation(parsed.segments)
    // Each twice, more than are kept: 4,096 sets of traits, and one segment that is due.
    for (let set = 0; set < 2 * 2 ** traits.length; set++) {
      const changed = traits.filter((_, index) => (set >> index) & 1)
      const due = set % 3 === 0 ? [`s${set % 12}`, 'gone'] : undefined
      const touched = plan.touched({ traits: changed, ...(due === undefined ? {} : { due }) })
      const wanted = traits.flatMap((_, place) => {
        const isNamed = namedBy(place).some((trait) => changed.includes(trait))
        return isNamed || due?.includes(`s${place}`) ? [place] : []
      })
      assert.deepEqual(touched, wanted, `set ${set}`)
    }
  })
})

describe('evaluateSegments', () => {
  const view: PersonView = {
    key: 'user:ada',
    identities: ['user:ada'],
    withdrawn: {},
    traits: { address: { city: 'Rome' } },
    activity: [{ name: 'Buy', occurredAtMs: 1_000 }],
    totals: {},
    memberships: [],
  }

  it('carries a turned membership on to the segments that name it', () => {
    const plan = planEvaluation(theSegments())
    const answers = evaluateSegments(
      plan,
      { events: ['Buy'] },
      { facts: new Facts(view), nowMs: 1_000 },
    )
    assert.deepEqual(answers, [
      { name: 'buyers', wasMember: false, isMember: true, changesAtMs: 172_801_000 },
      { name: 'loyal', wasMember: false, isMember: true },
      { name: 'target', wasMember: false, isMember: true },
      { name: 'viewers', wasMember: false, isMember: true, changesAtMs: 3_601_000 },
    ])
  })

  it('leaves alone what names a segment whose membership did not turn', () => {
    const plan = planEvaluation(theSegments())
    const member = { ...view, memberships: ['buyers', 'loyal', 'target'] }
    const names = evaluateSegments(
      plan,
      { due: ['buyers'] },
      { facts: new Facts(member), nowMs: 2_000 },
    )
    assert.deepEqual(names, [
      { name: 'buyers', wasMember: true, isMember: true, changesAtMs: 172_801_000 },
    ])
    const left = evaluateSegments(
      plan,
      { due: ['buyers'] },
      { facts: new Facts(member), nowMs: 172_801_000 },
    )
    assert.deepEqual(
      left.map((answer) => [answer.name, answer.isMember]),
      [
        ['buyers', false],
        ['loyal', false],
        ['target', false],
      ],
    )
  })
})

describe('what lies behind', () => {
  it('is seen as far back as the longest window looks, wherever the rule has it', () => {
    const parsed = parseSegments([
      { name: 'quiet', content: { not: { event: 'Buy', within: '1d' } } },
      { name: 'buyer', content: { all: [{ event: 'Buy', within: '9d' }] } },
    ])
    assert.equal(parsed.kind, 'segments', JSON.stringify(parsed))
    const person = createPerson('user:ada', 0)
    const [part] = person.parts
    assert.ok(part !== undefined)
    part.activity = appendActivity(part.activity, [
      { name: 'Buy', occurredAtMs: dayMs, eventRef: 1 },
      { name: 'Buy', occurredAtMs: 2 * dayMs, eventRef: 2 },
    ])
    const membersAt = (nowMs: number): readonly string[] => {
      const facts = new Facts(viewPerson(person, {}))
      const plan = planEvaluation(parsed.segments)
      evaluateSegments(plan, { events: ['Buy'] }, { facts, nowMs })
      return [...facts.memberships]
    }
    assert.deepEqual(membersAt(3 * dayMs - 1), ['buyer'])
    assert.deepEqual(membersAt(11 * dayMs - 1), ['quiet', 'buyer'])
    assert.deepEqual(membersAt(11 * dayMs), ['quiet'])
  })
})

function theSegments(): readonly Segment[] {
  const parsed = parseSegments(files)
  assert.equal(parsed.kind, 'segments', JSON.stringify(parsed))
  return parsed.segments
}
