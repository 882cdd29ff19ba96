import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { sha256Bytes } from '../lib/hash.ts'
import type { EventLog } from '../log/event-log.ts'
import { createMemoryEventLog } from '../log/memory-event-log.ts'
import { emptyBody } from '../log/record.ts'
import { mergeRecords, openAtStart, readNewest } from './event-lines.ts'

const options = { wants: () => true, countMax: 100 }

describe('records of a log that shows less for a moment', () => {
  it('are all told, in the order of their time', async () => {
    const log = await openSlowLog(7)
    const cursor = await openAtStart(log, false)
    const merged: number[] = []
    for await (const [{ recordedAtMs }] of mergeRecords([cursor], options)) {
      merged.push(recordedAtMs)
    }
    assert.deepEqual(merged, [0, 1, 2, 3, 4, 5, 6])
    for await (const _ of mergeRecords([cursor], options)) assert.fail('all is told')
  })

  it('are found from the newest on', async () => {
    const newest = await readNewest(await openSlowLog(7), false, { ...options, countMax: 4 })
    assert.deepEqual(
      newest.map(({ recordedAtMs }) => recordedAtMs),
      [3, 4, 5, 6],
    )
  })
})

/** Shows at most two records, every other time none. */
async function openSlowLog(recordCount: number): Promise<EventLog> {
  const log = createMemoryEventLog({ identity: { incarnation: 'test', partitionCount: 2 } })
  for (let at = 0; at < recordCount; at++) {
    const given = { key: `user:${at}`, kind: 'event', skeleton: {}, body: emptyBody } as const
    const id = sha256Bytes(`${at}`, 16)
    const shared = { isBackfill: false, keyId: 0 }
    await log.append([{ ...given, ...shared, id, partition: at % 2, recordedAtMs: at }])
  }
  let isShown = true
  return {
    ...log,
    async read(partition, after, countMax) {
      isShown = !isShown
      return isShown ? await log.read(partition, after, Math.min(2, countMax)) : []
    },
  }
}
