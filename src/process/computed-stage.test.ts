import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { JsonObject } from '../lib/json.ts'
import { createSeededRandom } from '../lib/random.ts'
import { decodeComputed } from '../profile/computed/computed-pack.ts'
import type { ComputedInForce, TraitInForce } from '../profile/computed/computed-trait.ts'
import { viewComputed } from '../profile/computed/view-computed.ts'
import {
  computedBytesMax,
  createPerson,
  decodePerson,
  encodePerson,
  type Person,
} from '../profile/person.ts'
import { shapeOf } from '../segment/computed-trait.ts'
import {
  type NaiveEvent,
  naiveValue,
  someDefinitions,
  someEvent,
} from './computed-oracle.fixture.ts'
import { applyComputed, type ComputedPlan, mergeComputed, planComputed } from './computed-stage.ts'
import { type CompiledDefinitions, compileDefinitions, emptyDocument } from './definitions.ts'

const startMs = 1_700_000_000_000
const hourMs = 3_600_000
const sessionIdleMs = 30 * 60_000

function compile(definitions: Readonly<Record<string, JsonObject>>): CompiledDefinitions {
  const traits = Object.entries(definitions).map(([name, content]) => ({ name, content }))
  const answer = compileDefinitions({ ...emptyDocument, traits }, 'h')
  assert.equal(answer.kind, 'compiled', JSON.stringify(answer))
  return answer.definitions
}

function inForceOf({ computed }: CompiledDefinitions, sinceVersion = 1): ComputedInForce {
  const traits = computed.map(
    (trait): TraitInForce => ({ ...shapeOf(trait), sinceVersion, readyAtMs: startMs }),
  )
  return { version: sinceVersion, traits }
}

interface Stage {
  readonly inForce: ComputedInForce
  readonly plan: ComputedPlan
  person: Person
}

function createStage(definitions: Readonly<Record<string, JsonObject>>, partCount: number): Stage {
  const compiled = compile(definitions)
  const inForce = inForceOf(compiled)
  const person = createPerson('user:ada', startMs)
  for (let index = 1; index < partCount; index++) {
    person.parts.push({ key: `anonymous:${index}`, totals: {}, activity: new Uint8Array(0) })
  }
  return { inForce, plan: planComputed(compiled, inForce), person }
}

function apply(stage: Stage, event: NaiveEvent, partIndex: number, nowMs: number): void {
  const part = stage.person.parts[partIndex]
  assert.ok(part)
  const { name, occurredAtMs, properties } = event
  const counted = { type: 'track', name, occurredAtMs, properties } as const
  const given = { event: counted, eventRef: event.ref, isActivity: true, sessionIdleMs }
  applyComputed(stage.plan, stage.person, part, given, nowMs)
}

describe('computed traits', () => {
  it('agree with a naive look at all events of a person, at every edge of a window', () => {
    const seed = 20_261_126
    const random = createSeededRandom(seed)
    let compared = 0
    let turned = 0
    for (let round = 0; round < 400; round++) {
      const definitions = someDefinitions(random, 5)
      const stage = createStage(definitions, 1 + Math.floor(random.unit() * 3))
      const events: NaiveEvent[] = []
      let nowMs = startMs
      const check = (atMs: number): void => {
        const { answersAt } = viewComputed(stage.person.parts, stage.inForce)
        for (const { trait, value, isExact } of answersAt(atMs)) {
          const expected = naiveValue(definitions[trait.name] ?? {}, events, atMs, definitions)
          const says = `seed ${seed}, round ${round}: ${JSON.stringify(definitions[trait.name])}`
          assert.deepEqual(value, expected, `${says} at ${atMs - startMs}`)
          assert.ok(isExact, says)
          compared++
        }
      }
      const eventCount = Math.floor(random.unit() * 25)
      for (let index = 0; index < eventCount; index++) {
        const leaps = [1000, 40_000, 20 * 60_000, 3 * hourMs]
        nowMs += Math.floor(random.unit() * (leaps[Math.floor(random.unit() * 4)] ?? 0))
        // Often just the pause that ends a session, and the length of a window.
        if (random.unit() < 0.2) {
          const last = events.at(-1)?.occurredAtMs ?? nowMs
          nowMs = Math.max(nowMs, last + (random.unit() < 0.7 ? 30 * 60_000 : 600_000))
        }
        const event = someEvent(random, nowMs, 4 * hourMs)
        events.push(event)
        apply(stage, event, Math.floor(random.unit() * stage.person.parts.length), nowMs)
        if (random.unit() < 0.3) stage.person = decodePerson(encodePerson(stage.person))
        if (random.unit() < 0.3) check(nowMs)
      }
      check(nowMs)
      // Between two of its edges nothing changes; at the edge the naive look sees the same.
      for (let edge = 0; edge < 4; edge++) {
        const view = viewComputed(stage.person.parts, stage.inForce)
        const before = view.answersAt(nowMs)
        const nextMs = view.nextChangeAt(nowMs)
        if (nextMs === Infinity) break
        assert.ok(nextMs > nowMs, 'an edge lies ahead')
        assert.deepEqual(view.answersAt(nextMs - 1), before, `seed ${seed}, round ${round}`)
        check(nextMs - 1)
        nowMs = nextMs
        check(nowMs)
        turned++
      }
    }
    assert.ok(compared > 8_000 && turned > 500, `${compared} compared, ${turned} edges`)
  })

  it('come to the same bytes of value in any order and any split over keys and the past', () => {
    const seed = 7
    const random = createSeededRandom(seed)
    for (let round = 0; round < 80; round++) {
      const definitions = someDefinitions(random, 6)
      const nowMs = startMs + 4 * hourMs
      const events = Array.from({ length: 30 }, () => someEvent(random, nowMs, 4 * hourMs))
      const whole = createStage(definitions, 1)
      for (const event of events) apply(whole, event, 0, nowMs)
      const split = createStage(definitions, 3)
      const past = createStage(definitions, 3)
      for (const event of events.toSorted(() => random.unit() - 0.5)) {
        const isPast = random.unit() < 0.5
        apply(isPast ? past : split, event, Math.floor(random.unit() * 3), nowMs)
      }
      for (const [index, part] of split.person.parts.entries()) {
        const states = decodeComputed(past.person.parts[index]?.computed ?? new Uint8Array(0))
        mergeComputed(split.plan, split.person, part, states, nowMs)
      }
      const answers = ({ person, inForce }: Stage) =>
        viewComputed(person.parts, inForce).answersAt(nowMs)
      assert.deepEqual(answers(split), answers(whole), `seed ${seed}, round ${round}`)
    }
  })

  it('stay within their bytes, and say where they are not exact any more', () => {
    const random = createSeededRandom(3)
    const definitions: Record<string, JsonObject> = {
      views: { kind: 'count', within: '2h' },
      spent: { kind: 'sum', of: 'price', within: '2h' },
      colours: { kind: 'uniqueCount', of: 'code' },
      often: { kind: 'mostFrequent', of: 'code' },
      dearest: { kind: 'max', of: 'price', within: '2h' },
      newest: { kind: 'list', of: 'code', length: 3, within: '2h' },
      all: { kind: 'count' },
    }
    const stage = createStage(definitions, 1)
    const events: NaiveEvent[] = []
    let nowMs = startMs
    for (let index = 0; index < 1500; index++) {
      nowMs += Math.floor(random.unit() * 8000)
      const code = `c${Math.floor(random.unit() * 2000)}`
      const properties = { code, price: Math.floor(random.unit() * 100) }
      const event = { name: 'View', occurredAtMs: nowMs, ref: index, properties }
      events.push(event)
      apply(stage, event, 0, nowMs)
    }
    const bytes = stage.person.parts[0]?.computed?.length ?? 0
    assert.ok(bytes < 30_000, `${bytes} bytes`)
    const expected = (name: string) =>
      naiveValue(definitions[name] ?? {}, events, nowMs, definitions) as number
    const answers = new Map(
      viewComputed(stage.person.parts, stage.inForce)
        .answersAt(nowMs)
        .map((answer) => [answer.trait.name, answer]),
    )
    const near = (name: string, share: number): void => {
      const value = answers.get(name)?.value as number
      const off = Math.abs(value - expected(name)) / expected(name)
      assert.ok(off <= share, `${name}: ${value} of ${expected(name)}`)
    }
    // A bucket is 128 s at most here: 7,200 s in at most 128 of them.
    near('views', 128 / 7200)
    near('spent', 256 / 7200)
    near('colours', 0.2)
    assert.equal(answers.get('colours')?.isExact, false)
    assert.equal(answers.get('often')?.isExact, false)
    assert.equal(answers.get('dearest')?.isExact, false)
    assert.deepEqual(answers.get('newest'), {
      ...answers.get('newest'),
      value: events
        .slice(-3)
        .map(({ properties }) => properties['code'])
        .reverse(),
      isExact: true,
    })
    assert.deepEqual(answers.get('all')?.value, 1500)
  })

  it('give way where all of a person are too large, and say so', () => {
    const definitions = Object.fromEntries(
      Array.from({ length: 14 }, (_, index) => [
        `t${index}`,
        { kind: 'first', of: `p${index}`, within: '2h' } as JsonObject,
      ]),
    )
    const stage = createStage(definitions, 1)
    for (let index = 0; index < 60; index++) {
      const properties = Object.fromEntries(
        Array.from({ length: 14 }, (_, at) => [`p${at}`, `${'x'.repeat(95)}${index}`]),
      )
      const event = { name: 'View', occurredAtMs: startMs + index, ref: index, properties }
      apply(stage, event, 0, startMs + index)
    }
    assert.ok((stage.person.parts[0]?.computed?.length ?? 0) <= computedBytesMax)
    const answers = viewComputed(stage.person.parts, stage.inForce).answersAt(startMs + 60)
    assert.ok(answers.some(({ isExact }) => !isExact))
    assert.ok(answers.some(({ isExact }) => isExact))
  })

  it('drop states of what is no longer in force, and keep those of a version ahead', () => {
    const before = createStage({ a: { kind: 'count' }, b: { kind: 'count', event: 'Buy' } }, 1)
    const event = { name: 'Buy', occurredAtMs: startMs, ref: 1, properties: {} }
    apply(before, event, 0, startMs)
    const idsOf = ({ person }: Stage) =>
      decodeComputed(person.parts[0]?.computed ?? new Uint8Array(0)).map(({ id }) => id)
    assert.equal(idsOf(before).length, 2)
    const compiled = compile({ a: { kind: 'count' } })
    const inForce = inForceOf(compiled)
    const later = { ...before, inForce, plan: planComputed(compiled, inForce) }
    apply(later, event, 0, startMs)
    assert.deepEqual(idsOf(later), [compiled.computed[0]?.id])
    const older = { ...inForce, version: 0, traits: [] }
    const behind = { ...later, inForce: older, plan: planComputed(compile({}), older) }
    apply(behind, event, 0, startMs)
    assert.deepEqual(idsOf(behind), [compiled.computed[0]?.id])
  })

  it('keep a rule from reading what was stated, but where it or one behind it sees that', () => {
    const segments = [
      { name: 'buyers', content: { event: 'Buy' } },
      { name: 'plus', content: { all: [{ segment: 'buyers' }, { trait: 'plan', is: 'plus' }] } },
      { name: 'keen', content: { trait: 'views', atLeast: 2 } },
      { name: 'fans', content: { segment: 'keen' } },
      { name: 'old', content: { trait: 'views.old', exists: true } },
    ]
    const traits = [{ name: 'views', content: { kind: 'count' } }]
    const answer = compileDefinitions({ ...emptyDocument, segments, traits }, 'h')
    assert.equal(answer.kind, 'compiled', JSON.stringify(answer))
    const { evaluation, seesStated } = planComputed(
      answer.definitions,
      inForceOf(answer.definitions),
    )
    const seeing = new Set([...seesStated].map((place) => evaluation.segments[place]?.name))
    assert.deepEqual(seeing, new Set(['buyers', 'old', 'plus']))
  })
})
