import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { systemClock } from '../lib/clock.ts'
import { createMemoryEventLog } from '../log/memory-event-log.ts'
import { emptyBody, type NewRecord } from '../log/record.ts'
import { Assignment } from './assignment.ts'
import type { Owned } from './ownership.ts'
import { waitForWork } from './wait-for-work.ts'

const record: NewRecord = {
  partition: 0,
  key: 'control:0',
  kind: 'skip',
  id: new Uint8Array(16),
  recordedAtMs: 1,
  isBackfill: false,
  keyId: 0,
  skeleton: { offset: 9, reason: 'none' },
  body: emptyBody,
}
/** Longer than any test may take: whoever waits for it has missed what should wake it. */
const foreverMs = 2 ** 30

function createWait() {
  const log = createMemoryEventLog({ identity: { incarnation: 'test', partitionCount: 1 } })
  const { promise: changed, resolve: change } = Promise.withResolvers<void>()
  async function* assign(): AsyncGenerator<readonly number[]> {
    await changed
    yield []
  }
  const assignment = new Assignment(assign())
  const fold = { partition: 0, awaits: 0 } as Owned['fold']
  const owned = [{ fold } as Owned]
  const abort = new AbortController()
  const wait = async (waitMs = foreverMs): Promise<void> =>
    await waitForWork({ log, clock: systemClock }, { owned, assignment, waitMs }, abort.signal)
  return { log, change, fold, abort, wait }
}

describe('waiting for work', { timeout: 60_000 }, () => {
  it('ends at once where the abort came before it', async () => {
    const { abort, wait } = createWait()
    abort.abort()
    await wait()
  })

  it('ends with an abort, a record, another assignment, or its time', async () => {
    const aborted = createWait()
    const appended = createWait()
    const changed = createWait()
    const late = createWait()
    const waits = [aborted.wait(), appended.wait(), changed.wait(), late.wait(1)]
    aborted.abort.abort()
    await appended.log.append([record])
    changed.change()
    await Promise.all(waits)
  })

  it('does not end for a record of a partition that stands still', async () => {
    const { log, fold, abort, wait } = createWait()
    fold.stopped = { offset: 1, cause: 'none', scannedTo: 1 }
    await log.append([record])
    let isOver = false
    const over = wait().then(() => {
      isOver = true
    })
    await systemClock.sleep(20)
    assert.equal(isOver, false)
    abort.abort()
    await over
  })
})
