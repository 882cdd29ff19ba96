import type { Clock } from '../lib/clock.ts'
import type { Random } from '../lib/random.ts'
import { emptyBody, type NewRecord } from '../log/record.ts'
import type { ListSkeleton } from './fold.ts'

/** What is to come into force: definitions by their hash, or a list of people. */
export type ApplySkeleton = { readonly hash: string } | { readonly list: ListSkeleton }

/** Returns the record by which it does; the control partition tells it to all others. */
export function applyRecordOf(
  { clock, random }: { readonly clock: Clock; readonly random: Random },
  skeleton: ApplySkeleton,
): NewRecord {
  return {
    partition: 0,
    key: 'control:0',
    kind: 'apply',
    id: random.bytes(16),
    recordedAtMs: clock.nowMs(),
    isBackfill: false,
    keyId: 0,
    skeleton,
    body: emptyBody,
  }
}
