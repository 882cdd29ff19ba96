/** Bases in the data directory, for filling the past behind a trimmed log: see fill-start.ts. */

import { join } from 'node:path'
import type { LogIdentity } from '../log/event-log.ts'
import type { OpenFillBase } from '../process/fill-start.ts'
import { foldRulesVersion } from '../process/fold-rules.ts'
import { hashPartition } from '../state/dump.ts'
import { openSqliteStateStore } from '../state/sqlite-state-store.ts'
import { type Base, listBases } from './base-folder.ts'

/** `tell` is told of a base that cannot be used although it should. */
export function createOpenFillBase(
  basesDir: string,
  log: LogIdentity,
  tell: (says: string) => void,
): OpenFillBase {
  return async ({ partition, fromOffset, untilOffset }) => {
    const offsetOf = (base: Base): number => base.partitions[partition]?.offset ?? 0
    const fitting = (await listBases(basesDir)).filter(
      (base) =>
        base.incarnation === log.incarnation &&
        base.rulesVersion === foldRulesVersion &&
        offsetOf(base) >= fromOffset &&
        offsetOf(base) < untilOffset,
    )
    for (const base of fitting.sort((left, right) => offsetOf(left) - offsetOf(right))) {
      const folder = join(basesDir, base.name)
      const state = await openSqliteStateStore({ dataDir: folder, readOnly: true })
      const { offset } = await state.head(partition)
      const hash = await hashPartition(state, partition)
      const isWhole = offset === offsetOf(base) && hash === base.partitions[partition]?.hash
      if (isWhole) return { state, close: () => state.close() }
      await state.close()
      tell(`base passed over: partition ${partition} of ${folder} has changed`)
    }
    return undefined
  }
}
