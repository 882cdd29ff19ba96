import assert from 'node:assert/strict'
import { it } from 'node:test'
import { aRecord, describeEventLog } from './event-log.contract.ts'
import { createMemoryEventLog } from './memory-event-log.ts'

const identity = { incarnation: 'i1', partitionCount: 4 }

describeEventLog('memory', async () => {
  const log = createMemoryEventLog({ identity })
  return {
    log,
    again: async () => log,
    trim: async (partition, through) => log.trim(partition, through),
    setFault: (fault) => log.setFault(fault),
  }
})

it('counts the records that it keeps', async () => {
  const log = createMemoryEventLog({ identity })
  await log.append([aRecord({ partition: 1 }), aRecord({ partition: 1 })])
  log.trim(1, 1)
  assert.deepEqual([log.count(0), log.count(1)], [0, 1])
})
