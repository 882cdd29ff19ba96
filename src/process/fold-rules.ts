/**
 * The version of the fold's rules, and what makes a change of them take effect at one place.
 *
 * A state is the fold of its log from a base, by one version of the rules. Where a newer program
 * finds a state of older rules, the state as it is becomes a base, a `rules` record is appended to
 * the partition, and the state's own entry says that the newer rules count from this offset on. So
 * the log itself tells a rebuild where it may not begin before: who folds up to the record by
 * other rules, or by the same from another place, stops there instead of giving another state.
 */

import { OperatingError } from '../lib/errors.ts'
import type { LogRecord } from '../log/record.ts'
import type { PartitionMeta } from './meta.ts'

/**
 * Raised by a release in which the same records give another state. The state of a fixed log under
 * each version is kept in a test.
 */
export const foldRulesVersion = 1

export interface RulesSkeleton {
  readonly version: number
  /** Version that folded what comes before. */
  readonly previous: number
  /** Offset behind which `version` counts; the record itself may lie further on. */
  readonly from: number
  /** Hash of the state at `from`, as the older rules left it. */
  readonly stateHash: string
}

/** Throws RULES_DIFFER unless the state of a partition was made by `version`. */
export function checkRules(meta: PartitionMeta, version: number, attempted: string): void {
  const [found] = meta.rules
  if (found === version) return
  const says = `its state was folded by rules ${found}, this program folds by rules ${version}`
  throw new OperatingError('RULES_DIFFER', `${attempted}: ${says}`)
}

/** Folds the record: throws RULES_DIFFER where what lies before it was folded by other rules. */
export function foldRules(meta: PartitionMeta, record: LogRecord): void {
  const { version, previous, from } = record.skeleton as RulesSkeleton
  const [foundVersion, foundFrom] = meta.rules
  // A change that was followed by another one before anything was folded.
  const isOutdated = version < foundVersion && from <= foundFrom
  if (isOutdated || (version === foundVersion && from === foundFrom)) return
  const where = `partition ${record.partition} at offset ${record.offset}`
  const wanted = `rules ${previous} up to ${from} and by rules ${version} from there`
  const says = `its log was folded by ${wanted}, not by rules ${foundVersion} from ${foundFrom}`
  throw new OperatingError('RULES_DIFFER', `fold ${where}: ${says}`)
}
