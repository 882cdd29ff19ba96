/**
 * Measures `append` through the log's thread as the server calls it: 64 callers at once with
 * batches of 100, then one caller with single records. Prints rows a second of the first, the
 * latency of the second.
 *
 *   node bench/spike-log-thread.ts [batchCount]
 */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { NewRecord } from '../src/log/record.ts'
import { openSqliteEventLog } from '../src/log/sqlite-event-log.ts'
import { initSqliteLogs } from '../src/log/sqlite-log-file.ts'
import { startLogThread } from '../src/log/sqlite-log-thread.ts'

const batchCount = Number(process.argv[2] ?? 3000)
const callerCount = 64
const recordsPerBatch = 100
const partitionCount = 64

const dataDir = mkdtempSync(join(tmpdir(), 'spike-thread-'))
await initSqliteLogs(dataDir, { incarnation: 'spike', partitionCount })
const thread = await startLogThread(dataDir)
const log = await openSqliteEventLog({ dataDir, stream: 'events', port: thread.connect() })

const body = new Uint8Array(330).fill(65)
const recordOf = (n: number): NewRecord => ({
  partition: (n * 2654435761) % partitionCount,
  key: `user:${n % 100_000}`,
  kind: 'event',
  id: new Uint8Array(16),
  recordedAtMs: 1.79e12 + n,
  isBackfill: false,
  keyId: 0,
  skeleton: { eventId: `event-${n}`, sourceId: 'web', name: 'Product Viewed' },
  body,
})

let nextBatch = 0
const append = async (): Promise<void> => {
  while (nextBatch < batchCount) {
    const first = nextBatch++ * recordsPerBatch
    await log.append(Array.from({ length: recordsPerBatch }, (_, n) => recordOf(first + n)))
  }
}
const beganAt = performance.now()
await Promise.all(Array.from({ length: callerCount }, append))
const rowsPerSecond = (batchCount * recordsPerBatch) / ((performance.now() - beganAt) / 1000)

const latencies: number[] = []
for (let n = 0; n < 1000; n++) {
  const at = performance.now()
  await log.append([recordOf(n)])
  latencies.push(performance.now() - at)
}
latencies.sort((left, right) => left - right)
console.log(
  JSON.stringify({
    rowsPerSecond: Math.round(rowsPerSecond),
    singleMsMedian: Number((latencies[500] ?? 0).toFixed(3)),
    singleMsP99: Number((latencies[990] ?? 0).toFixed(3)),
  }),
)
await log.close()
await thread.close()
rmSync(dataDir, { recursive: true })
