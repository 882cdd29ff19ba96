import type { Clock } from '../lib/clock.ts'
import type { Random } from '../lib/random.ts'
import type { NewRecord } from '../log/record.ts'
import { controlRecord } from './control-record.ts'
import type { ListSkeleton } from './fold.ts'

/** What is to come into force: definitions by their hash, or a list of people. */
export type ApplySkeleton = { readonly hash: string } | { readonly list: ListSkeleton }

/** Returns the record by which it does; the control partition tells it to all others. */
export function applyRecordOf(
  deps: { readonly clock: Clock; readonly random: Random },
  skeleton: ApplySkeleton,
): NewRecord {
  const recordedAtMs = deps.clock.nowMs()
  return controlRecord(deps, { partition: 0, kind: 'apply', skeleton, recordedAtMs })
}
