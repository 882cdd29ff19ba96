/**
 * Makes the state of a partition again from its log, and compares it with the one there is. It
 * begins with what `rebuilt` holds: nothing, or a base.
 *
 * Reads the log and the old state, writes the new one alone: it appends nothing and sends nothing.
 * The fold is the owner's own, so that equal hashes prove that the state follows from the log up to
 * its offset.
 *
 * What the rebuilt state may be used for: proof; and, after `pruneOutbox`, in place of a state that
 * was lost or damaged. Without pruning it holds every record that was ever sent between partitions,
 * and an owner would append them all again; the receivers would ignore them, but the log would
 * double.
 *
 * The old state should not change meanwhile: give a copy, or one that no server has. Where it moved
 * while it was hashed, the fold goes on to where it is then, a bounded number of times.
 */

import { assert } from '../lib/assert.ts'
import type { Clock } from '../lib/clock.ts'
import { OperatingError } from '../lib/errors.ts'
import type { EventLog } from '../log/event-log.ts'
import { readKnown } from '../log/read-known.ts'
import { hashPartition } from '../state/dump.ts'
import {
  type Change,
  commitCountMax,
  type PartitionCommit,
  type StateReader,
  type StateStore,
} from '../state/state-store.ts'
import type { FoldSources } from './fold.ts'
import { checkRules, foldRulesVersion } from './fold-rules.ts'
import { metaKey, type PartitionMeta, readMeta } from './meta.ts'
import { checkBelongs, PartitionFold } from './partition-fold.ts'
import { outboxPrefix, parseOutboxKey } from './scope.ts'

export interface RebuildDeps extends FoldSources {
  readonly log: EventLog
  /** The state as it stands; read only. */
  readonly state: StateReader
  /** Empty or a base of the same log; the rebuilt partition is committed here. */
  readonly rebuilt: StateStore
  readonly clock: Pick<Clock, 'sleep'>
}

export interface RebuildOptions {
  readonly workspace: string
  readonly partition: number
  /** Only in tests, see `FoldOptions`. */
  readonly rulesVersion?: number
  /** Told after each commit how many more records were folded. */
  onFolded?(count: number): void
}

export interface RebuiltPartition {
  readonly partition: number
  /** Offset up to which both states were made. */
  readonly offset: number
  readonly recordCount: number
  readonly stateHash: string
  readonly rebuiltHash: string
  readonly isEqual: boolean
  /** Offset of the base it began with, 0 for the start of the log. */
  readonly from: number
  /** Present where the old state moved on at each look, so that the two hashes tell nothing. */
  readonly isMoving?: true
  /** Offset of a record that cannot be folded, although the old state lies behind it. */
  readonly stoppedAt?: number
}

export const rebuildNonce = 'rebuild'
const readCount = 1000
/** Looks at a state that moves while it is hashed. */
const lookCountMax = 20
/** Timers of one record fire in pieces of some hundred; a bound for what should never loop. */
const pieceCountMax = 100_000
const never = (): boolean => false

/**
 * Folds one partition up to where `state` stands. Rejects with LOG_MISMATCH where it, or the base,
 * is of another log; with RULES_DIFFER where other rules of the fold made one of them.
 */
export async function rebuildPartition(
  deps: RebuildDeps,
  options: RebuildOptions,
): Promise<RebuiltPartition> {
  const { log, state, rebuilt } = deps
  const { partition } = options
  let head = await state.head(partition)
  await checkBelongs(log, partition, head)
  const before = await rebuilt.head(partition)
  await checkBelongs(log, partition, before)
  assert(before.offset <= head.offset, 'a rebuild begins no later than where it ends')
  const { workspace, rulesVersion = foldRulesVersion } = options
  const meta = await readMeta(state, partition)
  if (meta) checkRules(meta, rulesVersion, `rebuild partition ${partition}`)
  const epoch = Math.max(1, head.epoch, before.epoch + 1)
  const answer = await rebuilt.acquire(partition, epoch, rebuildNonce)
  assert(answer === 'acquired', 'nobody else has the store of a rebuild')
  const { partitionCount } = log.identity
  const fold = new PartitionFold(
    { ...deps, log, state: rebuilt },
    { workspace, partitionCount, partition, rulesVersion },
  )
  await fold.open(await rebuilt.head(partition))
  const commit = (): Promise<void> => commitFold(fold, rebuilt, epoch, log)
  let recordCount = 0
  let stateHash = ''
  let isMoving = true
  for (let look = 0; look < lookCountMax; look++) {
    const { offset: end } = head
    while (fold.cursor < end && fold.stopped === undefined) {
      const page = await readKnown(deps, { partition, after: fold.cursor }, readCount)
      const count = await fold.fold(
        page.filter(({ offset }) => offset <= end),
        never,
      )
      if (fold.hasChanges()) await commit()
      // The state lies behind this record, so whoever made it found the word that it awaits.
      else if (fold.isAwaitingWord) throw wordIsMissing(partition, fold.cursor)
      recordCount += count
      options.onFolded?.(count)
    }
    if (fold.stopped === undefined) await fireStartedTimers(deps, fold, commit)
    stateHash = await hashPartition(state, partition)
    const after = await state.head(partition)
    isMoving = after.offset !== end
    if (!isMoving || fold.stopped !== undefined) break
    if (look < lookCountMax - 1) head = after
  }
  if (isRulesDiffer(fold.stopped?.cause)) throw fold.stopped?.cause
  const stoppedAt = fold.stopped?.offset
  const rebuiltHash = await hashPartition(rebuilt, partition)
  return {
    partition,
    offset: head.offset,
    recordCount,
    stateHash,
    rebuiltHash,
    isEqual: stateHash === rebuiltHash,
    from: before.offset,
    ...(isMoving && stoppedAt === undefined ? { isMoving } : {}),
    ...(stoppedAt === undefined ? {} : { stoppedAt }),
  }
}

/**
 * Deletes what the targets have: an entry at or before the last one that its target received from
 * this source. Call it when all partitions are rebuilt. Answers how many entries it deleted and how
 * many are left to send.
 */
export async function pruneOutbox(
  rebuilt: StateStore,
  partitionCount: number,
): Promise<{ readonly deleted: number; readonly left: number }> {
  const received: PartitionMeta['received'][] = []
  for (let target = 0; target < partitionCount; target++) {
    received.push((await readMeta(rebuilt, target))?.received ?? {})
  }
  let deleted = 0
  let left = 0
  for (let source = 0; source < partitionCount; source++) {
    for (let after = ''; ; ) {
      const page = await rebuilt.scan(source, outboxPrefix, after, readCount)
      const last = page.at(-1)
      if (last === undefined) break
      after = last.key
      const changes: Change[] = page
        .filter(({ key }) => hasReceived(received, source, key))
        .map(({ key }) => ({ key, value: undefined }))
      left += page.length - changes.length
      deleted += changes.length
      if (changes.length > 0) await commitDeletes(rebuilt, source, changes)
    }
  }
  return { deleted, left }
}

/**
 * The old state may have been committed between two pieces of the timers of the next record, its
 * offset unchanged. Fires the same pieces; stops where both know the same of themselves, or where
 * the record itself is reached.
 */
async function fireStartedTimers(
  { log, state, rebuilt }: RebuildDeps,
  fold: PartitionFold,
  commit: () => Promise<void>,
): Promise<void> {
  const { partition } = fold
  const [wanted] = await state.get(partition, [metaKey])
  for (let piece = 0; piece < pieceCountMax; piece++) {
    const [present] = await rebuilt.get(partition, [metaKey])
    if (isSameBytes(wanted, present)) return
    const [next] = await log.read(partition, fold.cursor, 1)
    if (next === undefined || (await fold.fold([next], never)) > 0) return
    if (fold.stopped !== undefined || !fold.hasChanges()) return
    await commit()
  }
}

async function commitFold(
  fold: PartitionFold,
  rebuilt: StateStore,
  epoch: number,
  log: EventLog,
): Promise<void> {
  const owner = { epoch, nonce: rebuildNonce }
  const { commit } = fold.takeCommit(owner, log.identity.incarnation)
  await commitOne(rebuilt, commit)
  fold.committed(commit)
}

async function commitDeletes(
  rebuilt: StateStore,
  partition: number,
  changes: readonly Change[],
): Promise<void> {
  assert(changes.length <= commitCountMax, 'a page fits a commit')
  const head = await rebuilt.head(partition)
  await commitOne(rebuilt, { ...head, partition, previousOffset: head.offset, changes })
}

async function commitOne(rebuilt: StateStore, commit: PartitionCommit): Promise<void> {
  const [answer] = await rebuilt.commit([commit])
  assert(answer === 'committed', `nobody else commits to the store of a rebuild, ${answer}`)
}

function wordIsMissing(partition: number, offset: number): OperatingError {
  const says = `rebuild partition ${partition} behind offset ${offset}`
  return new OperatingError('LOG_MISMATCH', `${says}: the log lacks an owner's word on time`)
}

function isRulesDiffer(cause: unknown): boolean {
  return cause instanceof OperatingError && cause.code === 'RULES_DIFFER'
}

function hasReceived(
  received: readonly PartitionMeta['received'][],
  source: number,
  key: string,
): boolean {
  const { target, offset, index } = parseOutboxKey(key)
  const last = received[target]?.[source]
  if (last === undefined) return false
  return offset < last[0] || (offset === last[0] && index <= last[1])
}

function isSameBytes(left: Uint8Array | undefined, right: Uint8Array | undefined): boolean {
  if (left === undefined || right === undefined) return left === right
  return Buffer.compare(left, right) === 0
}
