/**
 * The owner's work on what does not fit into one record: appends `continue` records, so that the
 * log alone decides how far it is.
 *
 * One partition at a time, and its next record only when the fold has seen the last one: whatever
 * was appended meanwhile is folded before it. While other records wait, one brings fewer people, so
 * that the fold spends most of its time on those.
 */

import { isRetryable } from '../lib/errors.ts'
import type { EventLog } from '../log/event-log.ts'
import { emptyBody, type NewRecord } from '../log/record.ts'
import type { ContinueSkeleton } from './evaluate-people.ts'
import type { Owned } from './ownership.ts'

/** Of the people that a record brings, those that it brings while other records wait. */
const busyShare = 0.1

export interface ContinuerDeps {
  readonly log: EventLog
  recordOf(owned: Owned): NewRecord
}

/** Appends at most one record. Answers whether it did. */
export async function appendContinue(
  { log, recordOf }: ContinuerDeps,
  owneds: readonly Owned[],
  given: { readonly peopleCountMax: number; readonly isBusy: boolean },
): Promise<boolean> {
  const owned = owneds.find(isNext)
  const evaluation = owned?.fold.scope.meta.evaluation
  if (owned === undefined || evaluation === undefined) return false
  const { number, after } = evaluation
  const { epoch } = owned
  const share = given.isBusy ? busyShare : 1
  const skeleton: ContinueSkeleton = {
    task: 'segments',
    epoch,
    number,
    after,
    peopleCountMax: Math.max(1, Math.ceil(given.peopleCountMax * share)),
  }
  try {
    await log.append([{ ...recordOf(owned), kind: 'continue', skeleton, body: emptyBody }])
  } catch (error) {
    // A full disk, or a log that does not answer: a later turn tries again.
    if (!isRetryable(error)) throw error
    return false
  }
  owned.continued = markOf(owned)
  return true
}

/** Tells whether a partition has people to evaluate, and no record for it on its way. */
function isNext(owned: Owned): boolean {
  const { fold, isOwner, continued } = owned
  if (!isOwner || fold.stopped !== undefined) return false
  return fold.scope.meta.evaluation !== undefined && continued !== markOf(owned)
}

function markOf({ epoch, fold }: Owned): string {
  const { number = 0, after = '' } = fold.scope.meta.evaluation ?? {}
  return `${epoch}/${number}/${after}`
}
