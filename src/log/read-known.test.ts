import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { readKnown } from './read-known.ts'
import { emptyBody, type LogRecord } from './record.ts'

const record: LogRecord = {
  ...{ partition: 1, offset: 8, key: 'user:ada', kind: 'event', skeleton: {}, body: emptyBody },
  ...{ id: new Uint8Array(16), recordedAtMs: 0, isBackfill: false, keyId: 0 },
}

describe('a read of what is known to be there', () => {
  it('asks again while the log shows nothing, and says where it never does', async () => {
    let sleptMs = 0
    const clock = {
      sleep: async (ms: number) => {
        sleptMs += ms
      },
    }
    const asked: unknown[] = []
    const createLog = (emptyCount: number) => ({
      read: async (...given: readonly unknown[]) => {
        asked.push(given)
        return asked.length > emptyCount ? [record] : []
      },
    })
    const place = { partition: 1, after: 7 }
    assert.deepEqual(await readKnown({ log: createLog(2), clock }, place, 5), [record])
    assert.deepEqual(asked, [
      [1, 7, 5],
      [1, 7, 5],
      [1, 7, 5],
    ])
    assert.equal(sleptMs, 200)
    const never = readKnown({ log: createLog(Infinity), clock }, place, 5)
    await assert.rejects(never, { code: 'STORE_UNREACHABLE' })
    assert.ok(sleptMs >= 30_000)
  })
})
