/**
 * A store elsewhere may lose commits while its owner lives: what is read then may lack a
 * suppression, or a whole person, until the log is folded again. So behind such reads the heads of
 * the partitions that they were of are looked at.
 */

import { partitionOf } from '../log/record.ts'
import { keysOf } from '../profile/ties.ts'
import type { FoundPerson, StatePlace } from './read-state.ts'

export const lossSays = 'the state has lost commits that are not folded again yet'

export interface LostCommitsDeps {
  readonly place: StatePlace
  /** How far the state was when this process last saw it. */
  reachedOffset(partition: number): number
}

/**
 * Returns the partitions of all identity keys of a person and of other keys; all partitions, where
 * who leads is not known.
 */
export function partitionsBehind(
  { workspace, partitionCount }: StatePlace,
  found: FoundPerson | undefined,
  otherKeys: readonly string[],
): readonly number[] {
  if (found === undefined) return Array.from({ length: partitionCount }, (_, each) => each)
  const keys = [...keysOf(found.person), ...otherKeys]
  return [...new Set(keys.map((key) => partitionOf(workspace, key, partitionCount)))]
}

/** Answers whether the store has less of one of the partitions than it had. */
export async function hasLostCommits(
  { place, reachedOffset }: LostCommitsDeps,
  partitions: readonly number[],
): Promise<boolean> {
  const reached = partitions.map((partition) => reachedOffset(partition))
  const heads = await Promise.all(partitions.map((partition) => place.state.head(partition)))
  return heads.some(({ offset }, index) => offset < (reached[index] ?? 0))
}
