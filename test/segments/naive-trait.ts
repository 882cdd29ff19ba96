/**
 * A computed trait read word for word as it was written, over all events of a person, at one
 * instant. Knows nothing of the engine: no states, no parts, no bounds.
 */

import { isJsonObject, type Json, type JsonObject } from '../../src/lib/json.ts'
import { answerOf, type NaiveSample, ratioOf } from '../../src/process/computed-oracle.fixture.ts'
import { type NaiveEvent, passes, secondsOf } from './naive-rule.ts'

export type NaiveTraits = ReadonlyMap<string, JsonObject>

/** Returns the value; undefined where there is nothing to say it of. */
export function traitValueAt(
  traits: NaiveTraits,
  name: string,
  events: readonly NaiveEvent[],
  nowMs: number,
): Json | undefined {
  const trait = traits.get(name) ?? {}
  if (trait['kind'] === 'ratio') {
    return ratioOf(trait, (term) => traitValueAt(traits, term, events, nowMs))
  }
  return answerOf(trait, samplesOf(trait, events, nowMs), nowMs)
}

/** In order: by time, then by the event's reference, then by the place in the event. */
function samplesOf(
  { event, of, where, within }: JsonObject,
  events: readonly NaiveEvent[],
  nowMs: number,
): readonly NaiveSample[] {
  const names = Array.isArray(event) ? (event as readonly Json[]) : [event]
  const counted = events.filter(({ name, atMs, isIdentity, properties }) => {
    const isNamed = event === undefined ? !isIdentity : names.includes(name)
    const isIn = within === undefined || (atMs <= nowMs && nowMs - atMs < secondsOf(within))
    return isNamed && isIn && (where === undefined || fits(where as JsonObject, properties))
  })
  return counted
    .toSorted((left, right) => left.atMs - right.atMs || left.ref - right.ref)
    .flatMap((each) =>
      (of === undefined ? [1] : valuesOf(each, `${of}`)).map((value) => ({
        atMs: each.atMs,
        value,
      })),
    )
}

function fits(where: JsonObject, properties: JsonObject): boolean {
  const part = (one: Json): boolean => fits(one as JsonObject, properties)
  if (Array.isArray(where['all'])) return (where['all'] as readonly Json[]).every(part)
  if (Array.isArray(where['any'])) return (where['any'] as readonly Json[]).some(part)
  if (where['not'] !== undefined) return !part(where['not'])
  const { property, ...tests } = where
  return passes(tests, properties[`${property}`], 0)
}

function valuesOf({ name, properties }: NaiveEvent, of: string): readonly Json[] {
  const { products } = properties
  const lines = Array.isArray(products) ? (products as readonly JsonObject[]) : [properties]
  const present = (values: readonly (Json | undefined)[]): readonly Json[] =>
    values.filter((value) => value !== undefined)
  if (of === '$event') return [name]
  if (of === '$item') return present(lines.map((line) => line['product_id']))
  if (of === '$value') {
    const amounts = lines.flatMap(({ price, quantity }) =>
      price === undefined ? [] : [Number(price) * Number(quantity ?? 1)],
    )
    return amounts.length === 0 ? [] : [amounts.reduce((total, each) => total + each, 0)]
  }
  const [list = '', each = ''] = of.split('.*.')
  if (each === '') return present([properties[of]])
  const entries = properties[list]
  if (!Array.isArray(entries)) return []
  return present(
    (entries as readonly Json[]).map((one) => (isJsonObject(one) ? one[each] : undefined)),
  )
}
