import assert from 'node:assert/strict'
import { it } from 'node:test'
import { aRecord, describeEventLog } from './event-log.contract.ts'
import { createMemoryEventLog } from './memory-event-log.ts'

const identity = { incarnation: 'i1', partitionCount: 4 }

for (const [name, gapCounts] of [
  ['memory', [0]],
  ['memory, with gaps,', [0, 2, 0, 1]],
] as const) {
  describeEventLog(name, async () => {
    let count = 0
    const gapCount = (): number => gapCounts[count++ % gapCounts.length] ?? 0
    const log = createMemoryEventLog({ identity, gapCount })
    return {
      log,
      again: async () => log,
      trim: async (partition, through) => log.trim(partition, through),
      setFault: (fault) => log.setFault(fault),
    }
  })
}

it('counts the records that it keeps', async () => {
  const log = createMemoryEventLog({ identity })
  await log.append([aRecord({ partition: 1 }), aRecord({ partition: 1 })])
  log.trim(1, 1)
  assert.deepEqual([log.count(0), log.count(1)], [0, 1])
})
