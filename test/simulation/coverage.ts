/**
 * What many seeds must have come by together. Whatever none of them did is not tested by any: a
 * fault point that was never hit, a feature that no world had or that none was without, a kind of
 * record that nobody appended.
 */

import { type RecordKind, recordKinds } from '../../src/log/record.ts'
import { features } from './drawn-world.ts'
import { faultPointNames } from './fault-plan.ts'

/** Seeds from which on something that is missing is a failure. */
const coverageSeedCountMin = 100
/** Faults that each seed has to be hit by. */
const faultCountMin = 20

/** Written by commands that are not part of a world. */
const foreignKinds = new Set<RecordKind>(['rules', 'resolution'])

export interface Covered {
  readonly seedCount: number
  /** Of the seed that was hit by the fewest. */
  readonly leastFaultCount: number
  /** How often, by fault point. */
  readonly hits: ReadonlyMap<string, number>
  /** In how many worlds, by feature. */
  readonly features: ReadonlyMap<string, number>
  /** In how many worlds, by kind. */
  readonly recordKinds: ReadonlyMap<string, number>
}

/** Returns a sentence for each thing that no seed did; nothing where the seeds are too few. */
export function findUncovered(covered: Covered): readonly string[] {
  const { seedCount, leastFaultCount, hits, recordKinds: kinds } = covered
  if (seedCount < coverageSeedCountMin) return []
  const found = (title: string, names: readonly string[]): readonly string[] =>
    names.length === 0 ? [] : [`${title}: ${names.join('; ')}`]
  const countOf = (name: string): number => covered.features.get(name) ?? 0
  const isCalm = leastFaultCount < faultCountMin
  return [
    ...found(
      'faults of a seed, at least',
      isCalm ? [`${leastFaultCount} of ${faultCountMin}`] : [],
    ),
    ...found(
      'fault points never hit',
      faultPointNames.filter((name) => !hits.has(name)),
    ),
    ...found(
      'features of no world',
      features.filter((name) => countOf(name) === 0),
    ),
    ...found(
      'features of every world',
      features.filter((name) => countOf(name) >= seedCount),
    ),
    ...found(
      'kinds of records never appended',
      recordKinds.filter((kind) => !foreignKinds.has(kind) && !kinds.has(kind)),
    ),
  ]
}
