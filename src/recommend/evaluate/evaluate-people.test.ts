import { deepStrictEqual, equal, notDeepStrictEqual, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { defaultWeights, onlyWeights } from '../blend-weights.ts'
import { type Interaction, interactionKinds } from '../recommender.ts'
import { PeopleEvaluator, type PeopleOptions, type PeopleRow } from './evaluate-people.ts'
import { PeopleActivity } from './people-activity.ts'

const minuteMs = 60_000
const rows: readonly PeopleRow[] = [
  { algorithm: 'blend', weights: defaultWeights },
  { algorithm: 'revisit', weights: onlyWeights('revisit') },
  { algorithm: 'fitted' },
]

function evaluate(interactions: readonly Interaction[], options: Partial<PeopleOptions> = {}) {
  const activity = new PeopleActivity()
  for (const interaction of interactions) activity.add(interaction)
  activity.sort()
  const evaluator = new PeopleEvaluator({ monotonicMs: () => 0 }, activity, {
    ...{ isUpdated: false, isCurrentExcluded: false, isNewOnly: false, isFitted: true },
    ...{ predictionCountMax: 1e6, unasked: new Set(), blend: {}, contents: [] },
    ...options,
  })
  return { split: evaluator.split, lines: evaluator.evaluate(rows) }
}

function view(profileId: string, itemId: string, minute: number): Interaction {
  return { profileId, itemId, kind: 'view', occurredAtMs: minute * minuteMs }
}

/** People who each look at `a`, `b` and `c`, one after the other. */
function walks(count: number, from = 0): readonly Interaction[] {
  return Array.from({ length: count }, (_, nth) => {
    const minute = (from + nth) * 100
    return ['a', 'b', 'c'].map((itemId, at) => view(`p${from + nth}`, itemId, minute + at))
  }).flat()
}

/** People who each go back and forth between two items of their own. */
function ways(count: number): readonly Interaction[] {
  return Array.from({ length: count }, (_, nth) => {
    const own = [`x${nth}`, `y${nth}`]
    return [0, 1, 0, 1].map((which, at) => view(`p${nth}`, own[which] ?? '', nth * 100 + at))
  }).flat()
}

const someInteraction: fc.Arbitrary<Interaction> = fc.record({
  profileId: fc.constantFrom('p1', 'p2', 'p3', 'p4'),
  itemId: fc.integer({ min: 0, max: 12 }).map((index) => `i${index}`),
  kind: fc.constantFrom(...interactionKinds),
  occurredAtMs: fc.integer({ min: 0, max: 10_000 * minuteMs }),
})

describe('PeopleEvaluator', () => {
  it('predicts each interaction of the test from the past of its person', () => {
    const testFromMs = 80 * 100 * minuteMs
    const { split, lines } = evaluate(walks(100), { testFromMs })
    deepStrictEqual(split, { fitFrom: 216, testFrom: 240, count: 300, predictableCount: 40 })
    const [blend] = lines
    equal(blend?.predictions, 40)
    // b follows a and c follows b: both known, so always the first.
    deepStrictEqual([blend?.hr20, blend?.mrr20], [1, 1])
    // Of a goes on with b and c, of b with c: all are answered.
    equal(blend?.recall20, 1)
    equal(blend?.coverage, 1)
  })

  it('takes the last fifth for the test, with all of the same instant', () => {
    const { split } = evaluate(walks(100))
    equal(split.testFrom, 240)
    const atOnce = walks(10).map((each) => ({ ...each, occurredAtMs: 5 }))
    deepStrictEqual(evaluate(atOnce).split.testFrom, 0)
  })

  it('learns of the test nothing while frozen, and each after it was scored while updated', () => {
    const past = walks(50)
    // Two people, the second of whom does what the first did: met in the test alone.
    const test = [
      ...[view('x', 'k', 6000), view('x', 'l', 6001)],
      ...[view('y', 'k', 6010), view('y', 'l', 6011)],
    ]
    const testFromMs = 6000 * minuteMs
    const [frozen] = evaluate([...past, ...test], { testFromMs }).lines
    const [updated] = evaluate([...past, ...test], { testFromMs, isUpdated: true }).lines
    deepStrictEqual([frozen?.predictions, frozen?.hr20], [2, 0])
    deepStrictEqual([updated?.predictions, updated?.hr20], [2, 0.5])
  })

  it('fits the weights by what lies before the test alone', () => {
    fc.assert(
      fc.property(
        fc.array(someInteraction, { minLength: 30, maxLength: 60 }),
        fc.array(someInteraction, { minLength: 1, maxLength: 30 }),
        (past, later) => {
          const testFromMs = 10_001 * minuteMs
          const test = later.map((each) => {
            return { ...each, occurredAtMs: each.occurredAtMs + testFromMs }
          })
          const weightsOf = (interactions: readonly Interaction[]) =>
            evaluate(interactions, { testFromMs, isUpdated: true }).lines.at(-1)?.weights
          const without = weightsOf([...past, view('p1', 'i1', 10_001)])
          deepStrictEqual(weightsOf([...past, ...test]), without)
        },
      ),
      { numRuns: 30 },
    )
  })

  it('fits weights that are better than others where one algorithm tells all', () => {
    const { lines } = evaluate(ways(400), { isUpdated: true })
    const fitted = lines.at(-1)
    ok((fitted?.weights[1]?.revisit ?? 0) > 0.5, JSON.stringify(fitted?.weights))
    notDeepStrictEqual(fitted?.weights, defaultWeights)
    ok((fitted?.mrr20 ?? 0) >= (lines[0]?.mrr20 ?? 1), `${fitted?.mrr20} and ${lines[0]?.mrr20}`)
  })

  it('fits to the last tenth of what lies before the test', () => {
    // What was learned first goes back, the last tenth and the test go on.
    const all = [...ways(400), ...walks(80, 500)]
    const { split, lines } = evaluate(all, { testFromMs: 565 * 100 * minuteMs })
    ok(split.fitFrom >= 1600, `${split.fitFrom}`)
    for (const row of lines.at(-1)?.weights ?? []) ok((row.revisit ?? 0) < 0.1, JSON.stringify(row))
  })

  it('answers the current item, or leaves it out, or predicts only what is new', () => {
    const again = walks(100).flatMap((each) => [
      each,
      { ...each, occurredAtMs: each.occurredAtMs + 1000 },
    ])
    const [, allowed] = evaluate(again, {}).lines
    const [, excluded] = evaluate(again, { isCurrentExcluded: true }).lines
    const [, isNew] = evaluate(again, { isNewOnly: true }).lines
    equal(allowed?.predictions, 100)
    equal(excluded?.predictions, 100)
    equal(isNew?.predictions, 40)
    ok((allowed?.mrr20 ?? 0) > (excluded?.mrr20 ?? 1))
    // Of three items a is met before b, and both before c: no more than one stands before it.
    ok((isNew?.mrr20 ?? 0) >= 0.75, `${isNew?.mrr20}`)
  })

  it('predicts interactions of one kind from all that came before', () => {
    const bought = walks(100).flatMap((each) =>
      each.itemId === 'c' ? [each, { ...each, kind: 'purchase' as const }] : [each],
    )
    const { split, lines } = evaluate(bought, { only: 'purchase' })
    deepStrictEqual([split.predictableCount, lines[0]?.predictions], [20, 20])
    equal(evaluate(bought, { only: 'cart' }).lines[0]?.predictions, 0)
    equal(evaluate(bought, { only: 'view' }).lines[0]?.predictions, 40)
  })

  it('predicts nothing of robots, and of more than is wanted only some people', () => {
    const all = evaluate(walks(100)).lines[0]?.predictions
    equal(all, 40)
    equal(evaluate(walks(100), { unasked: new Set([99]) }).lines[0]?.predictions, 38)
    const some = evaluate(walks(100), { predictionCountMax: 20 }).lines[0]?.predictions ?? 0
    ok(some > 0 && some < 40 && some % 2 === 0, `${some}`)
  })

  it('gives the same figures each time', () => {
    deepStrictEqual(evaluate(walks(60)).lines, evaluate(walks(60)).lines)
  })
})

describe('PeopleActivity', () => {
  it('orders by time, and keeps the order of what was at once', () => {
    fc.assert(
      fc.property(fc.array(someInteraction, { maxLength: 50 }), (given) => {
        const interactions = given.map((each) => ({ ...each }))
        const activity = new PeopleActivity()
        for (const interaction of interactions) activity.add(interaction)
        activity.sort()
        const sorted = interactions.toSorted(
          (left, right) => left.occurredAtMs - right.occurredAtMs,
        )
        deepStrictEqual(
          sorted.map((_, place) => activity.at(place)),
          sorted,
        )
        for (const [place, { occurredAtMs }] of sorted.entries()) {
          equal(activity.placeFrom(occurredAtMs) <= place, true)
          ok(activity.atMsAt(activity.placeFrom(occurredAtMs)) === occurredAtMs)
        }
      }),
      { numRuns: 100 },
    )
  })

  it('gives the devices of a person to them, and knows the profile that each row came by', () => {
    const activity = new PeopleActivity()
    for (const each of [view('device', 'a', 1), view('user', 'b', 2), view('other', 'c', 3)]) {
      activity.add(each)
    }
    activity.sort()
    activity.join(['user', 'user', 'other'])
    equal(activity.countPeople(), 2)
    equal(activity.personAt(0), activity.personAt(1))
    ok(activity.personAt(2) !== activity.personAt(0))
    equal(activity.at(0).profileId, 'device')
    deepStrictEqual([...activity.peopleOf(['device'])], [activity.personAt(1)])
  })

  it('leaves out what an erased profile did, and takes what it does afterwards', () => {
    const activity = new PeopleActivity()
    for (const each of [view('ann', 'a', 1), view('bob', 'b', 2)]) activity.add(each)
    activity.erase('ann')
    activity.erase('nobody')
    activity.add(view('ann', 'c', 3))
    activity.sort()
    deepStrictEqual(
      Array.from({ length: activity.count }, (_, place) => activity.at(place).itemId),
      ['b', 'c'],
    )
    equal(activity.countPeople(), 2)
    ok(!activity.profileIds.slice(0, 1).includes('ann'))
  })

  it('keeps the newest where it is full', () => {
    const activity = new PeopleActivity(8)
    for (let minute = 0; minute < 20; minute++) activity.add(view('p', `i${minute}`, minute))
    activity.sort()
    ok(activity.count <= 8 && activity.count >= 6)
    equal(activity.count + activity.droppedCount, 20)
    equal(activity.at(activity.count - 1).itemId, 'i19')
    equal(activity.at(0).itemId, `i${activity.droppedCount}`)
  })
})
