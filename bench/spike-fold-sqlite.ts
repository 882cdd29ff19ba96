/**
 * Measures the commit of a fold on SQLite, for four layouts of a person. 100,000 people, uniform.
 *
 *   node bench/spike-fold-sqlite.ts [eventCount]
 */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openSqliteStateStore } from '../src/state/sqlite-state-store.ts'
import {
  jsonLayout,
  measureFold,
  packedLayout,
  packedSeenLayout,
  partitionCount,
} from './spike-fold.ts'

const eventCount = Number(process.argv[2] ?? 120_000)
const batchCount = 400

const cases = [
  { layout: packedSeenLayout, hasSeen: false },
  { layout: packedLayout, hasSeen: true },
  { layout: packedLayout, hasSeen: false },
  { layout: jsonLayout, hasSeen: true },
  { layout: jsonLayout, hasSeen: false },
]

for (const { layout, hasSeen } of cases) {
  const dataDir = mkdtempSync(join(tmpdir(), 'spike-fold-'))
  const store = await openSqliteStateStore({ dataDir })
  for (let partition = 0; partition < partitionCount; partition++) {
    await store.acquire(partition, 1, 'n')
  }
  const result = await measureFold(store, layout, { hasSeen, eventCount, batchCount })
  console.log(JSON.stringify({ layout: layout.name, hasSeen, batchCount, ...result }))
  await store.close()
  rmSync(dataDir, { recursive: true })
}
