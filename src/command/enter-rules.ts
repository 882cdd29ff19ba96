/**
 * Lets a newer version of the fold's rules count, at one place in each partition.
 *
 * Order of effects: every partition is acquired, which fences who may still own it; the state as it
 * is becomes a base, in which the newer version counts already; a `rules` record goes into the log
 * of each partition; the same change of its own entry is committed to the state. Cut off anywhere,
 * the same call does what is left: a base or a record too many says the same again.
 *
 * It hands over nothing and changes no other key. Nothing may be folded meanwhile.
 */

import { assert } from '../lib/assert.ts'
import type { Clock } from '../lib/clock.ts'
import { OperatingError } from '../lib/errors.ts'
import type { Random } from '../lib/random.ts'
import type { EventLog } from '../log/event-log.ts'
import type { NewRecord } from '../log/record.ts'
import { controlRecord } from '../process/control-record.ts'
import { foldRulesVersion, type RulesSkeleton } from '../process/fold-rules.ts'
import { encodeJson, metaKey, readMeta } from '../process/meta.ts'
import { hashPartition } from '../state/dump.ts'
import { openSqliteStateStore } from '../state/sqlite-state-store.ts'
import type { StateReader, StateStore } from '../state/state-store.ts'
import { addBase, type Base, lockBases } from './base-folder.ts'
import { copyState } from './copy-state.ts'
import type { StoreOptions } from './store-options.ts'

export interface EnterRulesDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: EventLog
  readonly state: StateStore
}

export interface EnterRulesOptions {
  readonly stores: StoreOptions
  readonly basesDir: string
  /** Only in tests, see `FoldOptions`. */
  readonly rulesVersion?: number
}

type Change = RulesSkeleton & { readonly partition: number }

const rulesNonce = 'rules'

/** Answers with the base that was made; undefined where the state is of these rules already. */
export async function enterRules(
  deps: EnterRulesDeps,
  options: EnterRulesOptions,
): Promise<Base | undefined> {
  const { log, state, clock } = deps
  const { stores, basesDir, rulesVersion = foldRulesVersion } = options
  const { partitionCount } = log.identity
  const older = await findOlder(state, partitionCount, rulesVersion)
  if (older.length === 0) return undefined
  const lock = await lockBases(basesDir)
  try {
    for (const partition of older) await acquire(state, partition)
    let changes: readonly Change[] = []
    const given = { kind: 'as-is', createdAtMs: clock.nowMs(), rulesVersion } as const
    const base = await addBase(basesDir, given, async (folder) => {
      await copyState(stores, state, partitionCount, folder)
      const copy = await openSqliteStateStore({ dataDir: folder })
      try {
        changes = await changeCopy(copy, older, rulesVersion)
      } finally {
        await copy.close()
      }
      return { log: log.identity }
    })
    const nowMs = clock.nowMs()
    await log.append(changes.map((change) => recordOf(change, nowMs, deps.random)))
    for (const { partition } of changes) {
      await changeRules(state, partition, rulesVersion)
      const { epoch, nonce } = await state.head(partition)
      await state.release(partition, epoch, nonce)
    }
    return base
  } finally {
    lock.release()
  }
}

/** Throws RULES_DIFFER where a partition was folded by rules that this program does not know. */
async function findOlder(
  state: StateReader,
  partitionCount: number,
  version: number,
): Promise<readonly number[]> {
  const older: number[] = []
  for (let partition = 0; partition < partitionCount; partition++) {
    const meta = await readMeta(state, partition)
    if (meta === undefined || meta.rules[0] === version) continue
    if (meta.rules[0] > version) {
      const says = `partition ${partition} was folded by rules ${meta.rules[0]}, a newer program's`
      throw new OperatingError('RULES_DIFFER', `enter rules ${version}: ${says}`)
    }
    older.push(partition)
  }
  return older
}

async function acquire(state: StateStore, partition: number): Promise<void> {
  const { epoch } = await state.head(partition)
  const answer = await state.acquire(partition, epoch + 1, rulesNonce)
  if (answer === 'acquired') return
  throw new OperatingError('OWNER_FENCED', `enter new rules in partition ${partition}`)
}

async function changeCopy(
  copy: StateStore,
  partitions: readonly number[],
  version: number,
): Promise<readonly Change[]> {
  const changes: Change[] = []
  for (const partition of partitions) {
    const stateHash = await hashPartition(copy, partition)
    const { epoch } = await copy.head(partition)
    await copy.acquire(partition, epoch + 1, rulesNonce)
    changes.push({ partition, stateHash, ...(await changeRules(copy, partition, version)) })
  }
  return changes
}

/** Sets the version in a partition's own entry; the offset stays. */
async function changeRules(
  state: StateStore,
  partition: number,
  version: number,
): Promise<Omit<RulesSkeleton, 'stateHash'>> {
  const head = await state.head(partition)
  const meta = await readMeta(state, partition)
  assert(meta !== undefined, 'a partition of older rules has an entry of its own')
  const [previous] = meta.rules
  const from = head.offset
  const value = encodeJson({ ...meta, rules: [version, from] })
  const changes = [{ key: metaKey, value }]
  const commit = { ...head, partition, previousOffset: from, changes }
  const [answer] = await state.commit([commit])
  if (answer !== 'committed') {
    throw new OperatingError('OWNER_FENCED', `enter new rules in partition ${partition}`)
  }
  return { version, previous, from }
}

function recordOf(change: Change, recordedAtMs: number, random: Random): NewRecord {
  const { partition, ...skeleton } = change satisfies RulesSkeleton
  return controlRecord({ random }, { partition, kind: 'rules', skeleton, recordedAtMs })
}
