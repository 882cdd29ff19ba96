/**
 * A log that has not what a partition's state stands on: cut beyond it, made anew, another. That
 * partition stops and says so, whether it is owned already or about to be; the others go on.
 */

import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { systemClock } from '../lib/clock.ts'
import { type Logger, silentLogger } from '../lib/logger.ts'
import { systemRandom } from '../lib/random.ts'
import type { EventLog } from '../log/event-log.ts'
import { createMemoryEventLog, type MemoryEventLog } from '../log/memory-event-log.ts'
import { emptyBody, type NewRecord } from '../log/record.ts'
import { createMemoryStateStore, type MemoryStateStore } from '../state/memory-state-store.ts'
import { noDefinitions } from './definitions.ts'
import { createFreshness, createFreshnessBuffer } from './freshness.ts'
import { runProcessor } from './processor.ts'
import { processorDefaults } from './processor-options.ts'

const partitionCount = 2
/** Partition 1 is never touched by what happens to the log of this one. */
const broken = 0

interface Stopped {
  readonly offset: number
  readonly says: string
}

/** A processor, and what it said. */
class Running {
  /** By partition: what was reported last, undefined where it was taken back. */
  readonly reports = new Map<number, Stopped | undefined>()
  readonly lost: number[] = []
  readonly errors: Readonly<Record<string, unknown>>[] = []
  readonly ended: Promise<void>
  readonly stop: () => Promise<void>
  #assign: (partitions: readonly number[]) => void = () => {}

  constructor(log: MemoryEventLog, state: MemoryStateStore, handOverMsMax = 1) {
    const stop = new AbortController()
    const logger: Logger = { ...silentLogger, error: (fields) => this.errors.push(fields) }
    this.ended = runProcessor(
      {
        log: { ...log, assign: (signal) => this.#follow(signal) },
        ...{ state, clock: systemClock, random: systemRandom, logger },
        definitionsOf: async () => noDefinitions(),
        openScratch: createMemoryStateStore,
        freshness: createFreshness(createFreshnessBuffer(partitionCount)),
        publish: () => {},
        drain: async () => {},
        lost: (partition) => this.lost.push(partition),
        reportStopped: (partition, stopped) => this.reports.set(partition, stopped),
      },
      { ...processorDefaults, idleMs: 20, handOverMsMax, sideBySideCount: 2 },
      stop.signal,
    )
    this.stop = async () => {
      stop.abort()
      this.#assign([])
      await this.ended
    }
  }

  assign(partitions: readonly number[]): void {
    this.#assign(partitions)
  }

  async *#follow(signal: AbortSignal): ReturnType<EventLog['assign']> {
    for (let next: readonly number[] = [0, 1]; !signal.aborted; ) {
      const told = new Promise<readonly number[]>((resolve) => {
        this.#assign = resolve
        signal.addEventListener('abort', () => resolve([]), { once: true })
      })
      yield next
      next = await told
    }
  }
}

function start(t: TestContext, log: MemoryEventLog, state: MemoryStateStore): Running {
  const running = new Running(log, state)
  t.after(() => running.stop())
  return running
}

function createLog(incarnation = 'test'): MemoryEventLog {
  return createMemoryEventLog({ identity: { incarnation, partitionCount } })
}

function aRecord(partition: number): NewRecord {
  const [id, recordedAtMs] = [systemRandom.bytes(16), systemClock.nowMs()]
  const skeleton = { topic: 'news', reason: 'test', atMs: recordedAtMs, isLifted: false }
  const given = { kind: 'suppress', key: 'address:a', isBackfill: false, keyId: 0 } as const
  return { ...given, partition, id, recordedAtMs, skeleton, body: emptyBody }
}

/** Appends a record, and waits until it is committed. */
async function happen(
  log: MemoryEventLog,
  state: MemoryStateStore,
  partition: number,
): Promise<void> {
  const [place] = await log.append([aRecord(partition)])
  await until(async () => (await state.head(partition)).offset >= (place?.offset ?? 0))
}

/** A state that stands on records of the log in both partitions; nobody owns them. */
async function foldSome(log: MemoryEventLog, state: MemoryStateStore): Promise<void> {
  const former = new Running(log, state)
  for (const partition of [0, 1]) await happen(log, state, partition)
  await former.stop()
}

async function untilStopped(running: Running): Promise<void> {
  await until(() => running.reports.get(broken) !== undefined)
}

/** Only the broken partition stopped, and the log line names code, partition, remedy. */
function assertStopped({ reports, errors }: Running, code: string, says: RegExp): void {
  assert.deepEqual([...reports.keys()], [broken])
  assert.match(reports.get(broken)?.says ?? '', says)
  const [line] = errors
  assert.deepEqual([line?.['code'], line?.['partition']], [code, broken])
  assert.match(String(line?.['remedy']), /attune rebuild/)
}

async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = systemClock.monotonicMs() + 60_000
  while (!(await isTrue())) {
    assert.ok(systemClock.monotonicMs() < deadlineMs, `in time: ${isTrue}`)
    await systemClock.sleep(5)
  }
}

describe('a log that has lost what is not folded yet', () => {
  it('stops the partition that is being folded, and no other', async (t) => {
    const [log, state] = [createLog(), createMemoryStateStore()]
    const running = start(t, log, state)
    for (const partition of [0, 1]) await happen(log, state, partition)
    const before = await state.head(broken)
    // Cut before the processor has its turn.
    const appended = log.append([aRecord(broken), aRecord(broken)])
    log.trim(broken, await log.end(broken))
    await appended
    await untilStopped(running)
    assertStopped(running, 'LOG_OFFSET_LOST', /read partition 0 behind/)
    assert.deepEqual(running.lost, [broken])
    await happen(log, state, 1)
    // It never jumps: the state stays where it was.
    assert.equal((await state.head(broken)).offset, before.offset)
  })

  it('stops the partition when it is taken, and no other', async (t) => {
    const [log, state] = [createLog(), createMemoryStateStore()]
    await foldSome(log, state)
    const before = await state.head(broken)
    await log.append([aRecord(broken), aRecord(broken)])
    log.trim(broken, await log.end(broken))
    const running = start(t, log, state)
    await untilStopped(running)
    assertStopped(running, 'LOG_OFFSET_LOST', /read partition 0 behind/)
    await happen(log, state, 1)
    assert.deepEqual(await state.head(broken), before, 'not even fenced')
  })

  it('ends a process that owns alone, since no other would notice', async () => {
    const [log, state] = [createLog(), createMemoryStateStore()]
    await foldSome(log, state)
    await log.append([aRecord(broken)])
    log.trim(broken, await log.end(broken))
    await assert.rejects(new Running(log, state, 0).ended, { code: 'LOG_OFFSET_LOST' })
  })
})

describe('a log that is another', () => {
  it('stops a partition whose state is of another incarnation', async (t) => {
    const [log, state] = [createLog('another'), createMemoryStateStore()]
    await standOn(state, 'former')
    for (let index = 0; index < 5; index++) await log.append([aRecord(broken)])
    const running = start(t, log, state)
    await untilStopped(running)
    assertStopped(running, 'LOG_MISMATCH', /at offset \d+: the state is of another log/)
    await happen(log, state, 1)
  })

  it('stops a partition that has another record where its state stands', async (t) => {
    const [old, state] = [createLog(), createMemoryStateStore()]
    await foldSome(old, state)
    const log = createLog()
    // Partition 1 is as it was.
    for (const record of await old.read(1, 0, 100)) await log.append([record])
    while ((await log.end(broken)) < (await old.end(broken))) await log.append([aRecord(broken)])
    const running = start(t, log, state)
    await untilStopped(running)
    assertStopped(running, 'LOG_MISMATCH', /the log has another record there/)
    await happen(log, state, 1)
  })
})

describe('a partition that was reported as stopped', () => {
  it('is no more when it can be owned, or is given to another', async (t) => {
    const [log, state] = [createLog(), createMemoryStateStore()]
    const empty = state.snapshot()
    await foldSome(log, state)
    const lossy = createLog()
    const running = start(t, lossy, state)
    await until(() => running.reports.size === 2)
    running.assign([1])
    await until(() => running.reports.has(broken) && running.reports.get(broken) === undefined)
    assert.ok(running.reports.get(1) !== undefined)
    // As after a rebuild: the state is of this log.
    state.restore(empty)
    running.assign([0, 1])
    await until(() => running.reports.get(1) === undefined)
    for (const partition of [0, 1]) await happen(lossy, state, partition)
  })
})

/** Lets the state of the broken partition stand on a record of a log; the other stays empty. */
async function standOn(state: MemoryStateStore, incarnation: string): Promise<void> {
  const [partition, epoch, nonce] = [broken, 1, 'n']
  const lastRecordId = Buffer.from(systemRandom.bytes(16)).toString('hex')
  await state.acquire(partition, epoch, nonce)
  const place = { previousOffset: 0, offset: 3, lastRecordId, incarnation }
  const answers = await state.commit([{ partition, epoch, nonce, ...place, changes: [] }])
  assert.deepEqual(answers, ['committed'])
}
