/**
 * The two ways to make a base.
 *
 * Folded: the log is folded again from the newest base, beside a running server or without one, and
 * the result has to have the hash of the state. It is the fold's own product, so that a rebuild
 * from it is as good as one from the start. Appends nothing, and reads the state alone.
 *
 * As it is: a copy of the state, for where nothing can be folded: behind a restored backup whose
 * log was trimmed, or before newer rules of the fold.
 */

import { join } from 'node:path'
import type { Clock } from '../lib/clock.ts'
import { OperatingError } from '../lib/errors.ts'
import type { LogIdentity } from '../log/event-log.ts'
import { checkRules, foldRulesVersion } from '../process/fold-rules.ts'
import { readMeta } from '../process/meta.ts'
import { addBase, type Base, chooseBase } from './base-folder.ts'
import { copyState } from './copy-state.ts'
import { withStores } from './data-reader.ts'
import { rebuildState } from './rebuild-state.ts'
import type { StoreOptions } from './store-options.ts'

export interface MakeBaseOptions {
  readonly stores: StoreOptions
  readonly basesDir: string
  /** Folds the whole log, and not from the newest base. */
  readonly isFromStart: boolean
  readonly rulesVersion?: number
  tell(says: string): void
  onFolded?(count: number): void
}

/** Rejects with STATE_DIFFERS where the state is not what its log says. */
export async function makeFoldedBase(clock: Clock, options: MakeBaseOptions): Promise<Base> {
  const { basesDir, rulesVersion = foldRulesVersion } = options
  const given = { kind: 'folded', createdAtMs: clock.nowMs(), rulesVersion } as const
  return await addBase(basesDir, given, async (into) => {
    let log: LogIdentity | undefined
    let from: string | undefined
    const rebuilt = await rebuildState({
      ...options,
      into,
      async chooseBase(identity, heads) {
        log = identity
        if (options.isFromStart) return undefined
        from = (await chooseBase(basesDir, identity, heads, { ...options, rulesVersion }))?.name
        return from === undefined ? undefined : join(basesDir, from)
      },
    })
    if (log === undefined || !rebuilt.hasState) {
      throw new OperatingError('DATA_DIR_INVALID', 'make a base of a state that is not there')
    }
    for (const { partition, isEqual, isMoving, stoppedAt } of rebuilt.partitions) {
      if (isEqual) continue
      if (isMoving === true) options.tell(`partition ${partition} moves: folded, not compared`)
      else {
        const where = stoppedAt === undefined ? '' : `, stopped before ${stoppedAt}`
        const says = `make a base: partition ${partition} is not what its log says${where}`
        throw new OperatingError('STATE_DIFFERS', says)
      }
    }
    return { log, ...(from === undefined ? {} : { from }) }
  })
}

/** Rejects with RULES_DIFFER where the state is not of the rules of this program. */
export async function makeAsIsBase(
  clock: Clock,
  { stores, basesDir }: { readonly stores: StoreOptions; readonly basesDir: string },
): Promise<Base> {
  const given = { kind: 'as-is', createdAtMs: clock.nowMs() } as const
  return await withStores(stores, async ({ log, state }) => {
    const { partitionCount } = log.identity
    for (let partition = 0; partition < partitionCount; partition++) {
      const meta = await readMeta(state, partition)
      if (meta) checkRules(meta, foldRulesVersion, `copy partition ${partition}`)
    }
    return await addBase(basesDir, { ...given, rulesVersion: foldRulesVersion }, async (folder) => {
      await copyState(stores, state, partitionCount, folder)
      return { log: log.identity }
    })
  })
}
