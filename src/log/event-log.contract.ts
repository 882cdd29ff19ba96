/** The promises of `EventLog`, as a suite for every adapter. */

import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import fc from 'fast-check'
import { systemClock } from '../lib/clock.ts'
import { sha256Hex } from '../lib/hash.ts'
import type { EventLog, Place } from './event-log.ts'
import { type LogRecord, recordBytesMax, type WholeRecord } from './record.ts'

export interface LogUnderTest {
  /** Empty, of at least four partitions. */
  readonly log: EventLog
  /**
   * Opens the same log once more, as another owner or another process does; a second close is the
   * suite's.
   */
  again(): Promise<EventLog>
  /** False where `append` answers 0 for every offset, since only readers can tell. */
  readonly tellsOffsets?: boolean
  /** Loses the records up to and with `through`. */
  trim(partition: number, through: number): Promise<void>
  /** Breaks the disk under a log on this machine; a log elsewhere has none to break. */
  readonly setFault?: (fault: 'DISK_FULL' | 'STORE_IO' | undefined) => void
}

/** Where the records are: the promises about disks are those of logs on this machine. */
export type LogSite = 'this machine' | 'elsewhere'

/** Makes a record for tests; what matters to a test is what it sets. */
export function aRecord(given: Partial<WholeRecord> = {}): WholeRecord {
  return {
    partition: 0,
    key: 'user:ada',
    kind: 'event',
    id: new Uint8Array(16).fill(7),
    recordedAtMs: 1_790_000_000_000,
    isBackfill: false,
    keyId: 0,
    skeleton: { eventId: 'e1' },
    body: new TextEncoder().encode('{"name":"Product Viewed"}'),
    ...given,
  }
}

const never = new AbortController().signal
const arrivalMsMax = 60_000

export function describeEventLog(
  adapter: string,
  open: (t: TestContext) => Promise<LogUnderTest>,
  site: LogSite = 'this machine',
): void {
  describe(`${adapter} event log`, () => {
    describeAppend(open)
    describeRead(open)
    describeWait(open)
    if (site === 'this machine') describeFaults(open)
  })
}

function describeAppend(open: (t: TestContext) => Promise<LogUnderTest>): void {
  it('gives back what was appended, whole and in order, at the places it told', async (t) => {
    const { log, tellsOffsets = true } = await open(t)
    const model: WholeRecord[][] = [[], [], [], []]
    const lastOffsets = [0, 0, 0, 0]
    await fc.assert(
      fc.asyncProperty(fc.array(recordsArbitrary, { maxLength: 4 }), async (calls) => {
        const answers = await Promise.all(calls.map((records) => log.append(records)))
        for (const [call, records] of calls.entries()) {
          assert.equal(answers[call]?.length, records.length)
          for (const [index, record] of records.entries()) {
            const place: Place | undefined = answers[call]?.[index]
            assert.equal(place?.partition, record.partition)
            if (tellsOffsets) assert.ok(place.offset > (lastOffsets[record.partition] ?? 0))
            else assert.equal(place.offset, 0)
            lastOffsets[record.partition] = place.offset
            model[record.partition]?.push(record)
          }
        }
        for (const [partition, expected] of model.entries()) {
          const records = await readAll(log, partition, 7)
          assert.deepEqual(records.map(withoutPlace), expected.map(plain))
          const offsets = records.map(({ offset }) => offset)
          assert.ok(offsets.every((offset, index) => offset > (offsets[index - 1] ?? 0)))
          if (tellsOffsets) assert.equal(offsets.at(-1) ?? 0, lastOffsets[partition])
          assert.equal(await log.end(partition), records.at(-1)?.offset ?? 0)
          assert.equal(await log.start(partition), records[0]?.offset ?? 0)
        }
      }),
      { numRuns: 25 },
    )
  })

  it('keeps the order of one key over calls that follow each other without waiting', async (t) => {
    const { log } = await open(t)
    const calls = Array.from({ length: 300 }, (_, n) => log.append([aRecord({ keyId: n })]))
    await Promise.all(calls)
    assert.equal(log.queueBytes(), 0, 'nothing waits where all is answered')
    const keyIds = (await readAll(log, 0, 50)).map((record) => record.keyId)
    assert.deepEqual(
      keyIds,
      Array.from({ length: 300 }, (_, n) => n),
    )
  })

  it('shows at a glance what another owner has just appended', async (t) => {
    const { log, again } = await open(t)
    const other = await again()
    await log.append([aRecord()])
    let after = (await readAll(log, 0, 50)).at(-1)?.offset ?? 0
    await log.wait([0], [after - 1], never)
    for (let keyId = 1; keyId <= 5; keyId++) {
      await other.append([aRecord({ keyId })])
      const [record] = await log.read(0, after, 1)
      assert.equal(record?.keyId, keyId)
      after = record.offset
    }
  })

  it('shows what another owner of the same log appended', async (t) => {
    const { log, again } = await open(t)
    const other = await again()
    await other.append([aRecord({ key: 'user:bea' })])
    await log.append([aRecord({ key: 'user:ada' })])
    for (const reader of [log, other]) {
      const keys = (await readAll(reader, 0, 10)).map(({ key }) => key)
      assert.deepEqual(keys, ['user:bea', 'user:ada'])
    }
    assert.deepEqual(other.identity, log.identity)
  })

  it('takes a record of the greatest size and refuses a larger one', async (t) => {
    const { log } = await open(t)
    const spare = recordBytesMax - 31 - 2 - 8 - 4 - 16
    const largest = aRecord({ body: new Uint8Array(spare) })
    const tooLarge = aRecord({ body: new Uint8Array(spare + 1) })
    await assert.rejects(log.append([aRecord(), tooLarge]))
    assert.equal(await log.end(0), 0)
    await log.append([largest])
    assert.equal((await readAll(log, 0, 1))[0]?.body.length, spare)
  })

  it('makes the ids that are hashes, also beside others, in one call and in several', async (t) => {
    const { log } = await open(t)
    const texts = ['web\0e1', 'ünï\0\u{1f6d2}', 'web\0e2']
    const hashed = texts.map((hashOf) => ({ ...aRecord(), id: { hashOf } }))
    await Promise.all([log.append([...hashed, aRecord()]), log.append(hashed)])
    const ids = (await readAll(log, 0, 9)).map(({ id }) => Buffer.from(id).toString('hex'))
    const expected = texts.map((text) => sha256Hex(text).slice(0, 32))
    assert.deepEqual(ids, [...expected, '07'.repeat(16), ...expected])
  })

  it('keeps nothing of the buffers it was given', async (t) => {
    const { log } = await open(t)
    const body = new Uint8Array([1, 2, 3])
    const appended = log.append([aRecord({ body })])
    body.fill(9)
    await appended
    assert.deepEqual([...((await readAll(log, 0, 1))[0]?.body ?? [])], [1, 2, 3])
  })
}

function describeRead(open: (t: TestContext) => Promise<LogUnderTest>): void {
  it('returns at most the count asked for, and nothing at the end', async (t) => {
    const opened = await open(t)
    const { log } = opened
    const places = await appendKnown(
      opened,
      [1, 2, 3].map((keyId) => aRecord({ keyId })),
    )
    assert.equal((await log.read(0, 0, 2)).length, 2)
    assert.equal((await log.read(0, 0, 0)).length, 0)
    assert.deepEqual(await log.read(0, places[2]?.offset ?? 0, 5), [])
    assert.deepEqual(await log.read(1, 0, 5), [])
  })

  it('says from memory that there may be more, unless all was read', async (t) => {
    const opened = await open(t)
    const { log } = opened
    const [first] = await appendKnown(opened, [aRecord()])
    assert.equal(log.hasMore(0, 0), true)
    await log.read(0, 0, 5)
    assert.equal(log.hasMore(0, first?.offset ?? 0), false)
    await log.append([aRecord()])
    await log.wait([0], [first?.offset ?? 0], never)
    assert.equal(log.hasMore(0, first?.offset ?? 0), true)
  })

  it('refuses to read behind an offset whose next records are lost', async (t) => {
    const opened = await open(t)
    const { log, trim } = opened
    const places = await appendKnown(
      opened,
      [1, 2, 3].map((keyId) => aRecord({ keyId })),
    )
    const second = places[1]?.offset ?? 0
    await trim(0, second)
    await assert.rejects(log.read(0, 0, 5), { code: 'LOG_OFFSET_LOST' })
    await assert.rejects(log.read(0, places[0]?.offset ?? 0, 5), { code: 'LOG_OFFSET_LOST' })
    assert.deepEqual(
      (await log.read(0, second, 5)).map(({ keyId }) => keyId),
      [3],
    )
    assert.equal(await log.start(0), places[2]?.offset)
  })

  it('refuses to read behind an offset that was never given', async (t) => {
    const opened = await open(t)
    const { log } = opened
    const places = await appendKnown(opened, [aRecord()])
    await assert.rejects(log.read(0, (places[0]?.offset ?? 0) + 1, 5), { code: 'LOG_OFFSET_LOST' })
  })

  it('goes on behind the last offset after everything was trimmed', async (t) => {
    const opened = await open(t)
    const { log, trim } = opened
    const [first] = await appendKnown(opened, [aRecord()])
    await trim(0, first?.offset ?? 0)
    assert.equal(await log.start(0), 0)
    assert.deepEqual(await log.read(0, first?.offset ?? 0, 5), [])
    await assert.rejects(log.read(0, 0, 5), { code: 'LOG_OFFSET_LOST' })
    const [second] = await appendKnown(opened, [aRecord()])
    assert.ok((second?.offset ?? 0) > (first?.offset ?? 0))
  })

  it('assigns all partitions once, and ends when it is told to', async (t) => {
    const { log } = await open(t)
    const stopping = new AbortController()
    const assigned: (readonly number[])[] = []
    for await (const partitions of log.assign(stopping.signal)) {
      assigned.push(partitions)
      setImmediate(() => stopping.abort())
    }
    assert.deepEqual(assigned, [Array.from({ length: log.identity.partitionCount }, (_, n) => n)])
  })
}

function describeWait(open: (t: TestContext) => Promise<LogUnderTest>): void {
  it('waits no longer where a record is there already', async (t) => {
    const { log } = await open(t)
    await log.append([aRecord({ partition: 2 })])
    await log.wait([0, 2], [0, 0], never)
  })

  it('wakes all who wait for a partition when a record comes, and no others', async (t) => {
    const { log, again } = await open(t)
    const other = await again()
    const woken: string[] = []
    const stopping = new AbortController()
    const sleeper = log.wait([3], [0], stopping.signal).then(() => woken.push('sleeper'))
    const waits = [log, other].map((one, index) =>
      one.wait([0, 1], [0, 0], never).then(() => woken.push(`waiter ${index}`)),
    )
    await other.append([aRecord({ partition: 1 })])
    await Promise.all(waits)
    assert.deepEqual(woken.sort(), ['waiter 0', 'waiter 1'])
    assert.equal((await log.read(1, 0, 1)).length, 1)
    stopping.abort()
    await sleeper
  })

  it('wakes for each record, however soon it follows', async (t) => {
    const { log } = await open(t)
    let after = 0
    for (let round = 0; round < 50; round++) {
      const waiting = log.wait([0], [after], never)
      const appended = log.append([aRecord()])
      await waiting
      after = (await log.read(0, after, 10)).at(-1)?.offset ?? 0
      await appended
    }
    assert.equal(after, await log.end(0))
  })

  it('stops waiting without an error when it is told to', async (t) => {
    const { log } = await open(t)
    const stopping = new AbortController()
    const waiting = log.wait([0], [0], stopping.signal)
    setImmediate(() => stopping.abort())
    await waiting
    await log.wait([0], [0], stopping.signal)
  })
}

function describeFaults(open: (t: TestContext) => Promise<LogUnderTest>): void {
  it('refuses on a full disk, keeps what is acknowledged, goes on when it can', async (t) => {
    const { log, setFault } = await openBreakable(t, open)
    const large = (keyId: number): WholeRecord => aRecord({ keyId, body: new Uint8Array(50_000) })
    await log.append([large(1)])
    setFault('DISK_FULL')
    await assert.rejects(log.append([large(2), large(3)]), { code: 'DISK_FULL', retryable: true })
    await assert.rejects(log.append([large(4)]), { code: 'DISK_FULL' })
    setFault(undefined)
    await log.append([large(5)])
    assert.deepEqual(
      (await readAll(log, 0, 10)).map(({ keyId }) => keyId),
      [1, 5],
    )
  })

  it('refuses for good after any other failure', async (t) => {
    const { log, setFault } = await openBreakable(t, open)
    await log.append([aRecord({ keyId: 1 })])
    setFault('STORE_IO')
    await assert.rejects(log.append([aRecord({ keyId: 2 })]), { code: 'STORE_IO' })
    setFault(undefined)
    await assert.rejects(log.append([aRecord({ keyId: 3 })]), { code: 'STORE_IO' })
    assert.equal((await readAll(log, 0, 10))[0]?.keyId, 1)
  })
}

/**
 * Appends records of one partition, and returns their places; where `append` does not tell the
 * offsets, from another reader, so that the log under test has read nothing.
 */
async function appendKnown(
  { log, again, tellsOffsets = true }: LogUnderTest,
  records: readonly WholeRecord[],
): Promise<readonly Place[]> {
  const places = await log.append(records)
  if (tellsOffsets) return places
  const partition = places[0]?.partition ?? 0
  const found = await readAll(await again(), partition, 1000)
  return found.slice(-records.length).map(({ offset }) => ({ partition, offset }))
}

async function openBreakable(
  t: TestContext,
  open: (t: TestContext) => Promise<LogUnderTest>,
): Promise<Required<Omit<LogUnderTest, 'tellsOffsets'>>> {
  const { setFault, tellsOffsets: _, ...opened } = await open(t)
  assert.ok(setFault, 'a log on this machine has a disk that can fail')
  return { ...opened, setFault }
}

const recordsArbitrary = fc.array(
  fc.record({
    partition: fc.nat(3),
    key: fc.string({ unit: 'binary', maxLength: 30 }),
    kind: fc.constantFrom('event', 'tick', 'owner', 'forwarded'),
    id: fc.uint8Array({ minLength: 16, maxLength: 16 }),
    recordedAtMs: fc.nat(),
    isBackfill: fc.boolean(),
    keyId: fc.nat(),
    skeleton: fc.jsonValue(),
    body: fc.uint8Array({ maxLength: 300 }),
  }) satisfies fc.Arbitrary<WholeRecord>,
  { maxLength: 8 },
)

async function readAll(log: EventLog, partition: number, countMax: number): Promise<LogRecord[]> {
  const after = ((await log.start(partition)) || 1) - 1
  return await readToEnd(log, { partition, after, countMax })
}

/**
 * Reads on until the log's end. An empty page is none: a read never waits for more, and what the
 * end tells of may be on its way from elsewhere still.
 */
export async function readToEnd(
  log: EventLog,
  place: { readonly partition: number; readonly after: number; readonly countMax: number },
): Promise<LogRecord[]> {
  const { partition, countMax } = place
  const end = await log.end(partition)
  const deadlineMs = systemClock.monotonicMs() + arrivalMsMax
  const records: LogRecord[] = []
  for (let { after } = place; ; ) {
    const batch = await log.read(partition, after, countMax)
    assert.ok(batch.length <= countMax)
    if (batch.length === 0 && after >= end) return records
    assert.ok(systemClock.monotonicMs() < deadlineMs, `${partition}: ${after} of ${end} were read`)
    records.push(...batch)
    after = batch.at(-1)?.offset ?? after
  }
}

function withoutPlace(record: LogRecord): WholeRecord {
  const { offset: _, ...rest } = record
  return plain(rest)
}

/**
 * Buffers become arrays, and JSON its own round trip (-0 is 0), so that records compare by value.
 */
function plain(record: WholeRecord): WholeRecord {
  return {
    ...record,
    id: Uint8Array.from(record.id),
    body: Uint8Array.from(record.body),
    skeleton: JSON.parse(JSON.stringify(record.skeleton)),
  }
}
