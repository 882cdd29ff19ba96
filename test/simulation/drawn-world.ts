/**
 * What a world holds, drawn from its seed. One in sixteen holds everything; the others
 * leave features out at random.
 *
 * Leaving out finds more than having all of them always: one feature may hide what another would
 * show, and a lighter world leaves time for more of them (Groce, Zhang, Eide, Chen and Regehr,
 * "Swarm Testing", ISSTA 2012). Over many seeds each feature has to be there, and has to be left
 * out.
 */

import type { Random } from '../../src/lib/random.ts'
import { hourMs, minuteMs, secondMs } from './world-definitions.ts'

export const features = [
  'campaign cart-reminder',
  'campaign thanks',
  'campaign active-offer',
  'campaign watch-offer',
  'segment active',
  'segment abandoners',
  'segment loyal',
  'segment watchers',
  'segment spenders',
  'trait views',
  'trait views_lately',
  'trait session_views',
  'trait last_item',
  'trait session_items',
  'trait spent',
  'trait orders',
  'trait orders_lately',
  'trait spent_each',
  'trait favourite',
  'trait items',
  'the first definitions',
  'the later definitions',
  'second accounts',
  'keys taken out',
  'prices that move',
  'long visits',
  'trackers that send a visit at once',
  'a log that is asked now and then',
  'a log with gaps between offsets',
  'a log that tells no offsets',
  'a log that shows records late',
  'a state that takes commits late',
  'owners that share a state elsewhere',
  'a hot copy before the state',
] as const
export type Feature = (typeof features)[number]
export const sharedFeature: Feature = 'owners that share a state elsewhere'
/** As DynamoDB with Redis before it: the copy may lose anything, the state behind it nothing. */
export const copiedFeature: Feature = 'a hot copy before the state'

/** What a feature is nothing without. */
const needs: Partial<Record<Feature, readonly Feature[]>> = {
  'campaign active-offer': ['segment active'],
  'campaign watch-offer': ['segment watchers'],
  'segment loyal': ['the later definitions'],
  'segment spenders': ['the later definitions'],
  'segment watchers': ['trait views_lately'],
  'a hot copy before the state': ['owners that share a state elsewhere'],
  'trait session_views': ['the first definitions'],
  'trait last_item': ['the first definitions'],
  'trait session_items': ['the later definitions'],
  'trait spent': ['the later definitions'],
  'trait orders': ['the later definitions'],
  'trait orders_lately': ['the later definitions'],
  'trait spent_each': ['trait spent', 'trait orders'],
  'trait favourite': ['the later definitions'],
  'trait items': ['the later definitions'],
}
/** One of each is always there, so that there is something to fold by, and somebody to write to. */
const oneOf: readonly (readonly [Feature, Feature])[] = [
  ['campaign cart-reminder', 'campaign thanks'],
  ['the first definitions', 'the later definitions'],
]
const wholeShare = 1 / 16
const featureShare = 1 / 2
/** Most worlds change their definitions: the past of new traits is where most can go wrong. */
const shares: Partial<Record<Feature, number>> = {
  'the first definitions': 3 / 4,
  'the later definitions': 3 / 4,
  // Where events are folded one by one a commit is made for each: most of the time of a seed.
  'a log that is asked now and then': 3 / 4,
  // The same events in fewer sessions, so a fifth less CPU.
  'long visits': 3 / 4,
  'second accounts': 2 / 5,
  // Most trackers do, and a visit is then one append, one read and one commit.
  'trackers that send a visit at once': 2 / 3,
  [sharedFeature]: 1 / 5,
  [copiedFeature]: 1 / 2,
}

/** Times of an owner that only look, and how old data may be, which has to be above them. */
export interface Pace {
  readonly tickMs: number
  readonly idleMs: number
  readonly dueLookMs: number
  readonly freshWithin: readonly [string, string]
}

const paces: readonly Pace[] = [
  {
    tickMs: 15 * secondMs,
    idleMs: 20 * minuteMs,
    dueLookMs: 20 * minuteMs,
    freshWithin: ['30m', '25m'],
  },
  {
    tickMs: 45 * secondMs,
    idleMs: 90 * minuteMs,
    dueLookMs: 4 * hourMs,
    freshWithin: ['110m', '100m'],
  },
]

export interface DrawnWorld {
  readonly features: ReadonlySet<Feature>
  readonly pace: Pace
}

export function drawWorld(random: Random): DrawnWorld {
  const isWhole = random.unit() < wholeShare
  const pace = paces[Math.floor(random.unit() * paces.length)] as Pace
  const isDrawn = (each: Feature): boolean => random.unit() < (shares[each] ?? featureShare)
  const drawn = new Set(features.filter((each) => isDrawn(each) || isWhole))
  for (const pair of oneOf) {
    const one = pair[random.unit() < 0.5 ? 0 : 1]
    if (!pair.some((each) => drawn.has(each))) drawn.add(one)
  }
  const isMissing = (each: Feature): boolean => (needs[each] ?? []).some((one) => !drawn.has(one))
  for (;;) {
    const groundless = [...drawn].filter(isMissing)
    if (groundless.length === 0) return { features: drawn, pace }
    for (const each of groundless) drawn.delete(each)
  }
}
