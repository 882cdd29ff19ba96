/**
 * What a segment may miss: where the log had been trimmed before it came, or before a computed
 * trait that it sees, events of before are not counted. A window moves on from them; what looks
 * back over all time misses them for good.
 */

import type { ComputedInForce } from '../profile/computed/computed-trait.ts'
import { exactFromOf } from '../profile/computed/view-computed.ts'
import { partsOfRule, type Rule } from '../segment/rule.ts'
import { namesOf, type Segment } from '../segment/segment.ts'

/**
 * Returns the instant before which a rule may miss events at `nowMs`, also by way of the segments
 * that it names; undefined where it misses none.
 */
export function missesBefore(
  segments: readonly Segment[],
  inForce: ComputedInForce,
  { rule, nowMs }: { readonly rule: Rule; readonly nowMs: number },
): number | undefined {
  const found = [...partsOfRule(rule)].flatMap((part) => {
    if (part.kind !== 'segment') return missedBy(part, inForce, nowMs)
    const named = segments.find(({ name }) => name === part.segment)
    return (named && missesBefore(segments, inForce, { rule: named.rule, nowMs })) ?? []
  })
  return found.length === 0 ? undefined : Math.max(...found)
}

function missedBy(
  part: Rule,
  { traits, properties = [] }: ComputedInForce,
  nowMs: number,
): readonly number[] {
  const names = namesOf(part)
  const seen = traits.filter(({ name }) => names.traits.includes(name))
  const terms = traits.filter(({ name }) =>
    seen.some(({ over, by }) => name === over || name === by),
  )
  const ofTraits = [...seen, ...terms].filter((each) => (exactFromOf(each) ?? 0) > nowMs)
  const windowMs = 'windowMs' in part ? (part.windowMs ?? Infinity) : Infinity
  const ofEvents = properties.filter(
    ({ event, property, fromMs = -Infinity }) =>
      names.properties.get(event)?.has(property) === true && fromMs + windowMs > nowMs,
  )
  return [...ofTraits, ...ofEvents].flatMap(({ fromMs }) => fromMs ?? [])
}
