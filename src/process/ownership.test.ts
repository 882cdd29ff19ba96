import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { systemClock } from '../lib/clock.ts'
import { OperatingError } from '../lib/errors.ts'
import { type Logger, silentLogger } from '../lib/logger.ts'
import { systemRandom } from '../lib/random.ts'
import type { EventLog } from '../log/event-log.ts'
import { createMemoryEventLog, type MemoryEventLog } from '../log/memory-event-log.ts'
import { emptyBody, type LogRecord } from '../log/record.ts'
import { hashPartition } from '../state/dump.ts'
import { createMemoryStateStore, type MemoryStateStore } from '../state/memory-state-store.ts'
import type { StateStore } from '../state/state-store.ts'
import { noDefinitions } from './definitions.ts'
import { createFreshness, createFreshnessBuffer } from './freshness.ts'
import { runProcessor } from './processor.ts'
import { type ProcessorOptions, processorDefaults } from './processor-options.ts'

const partitionCount = 2
const handOverMsMax = 300

interface StartGiven {
  readonly state?: StateStore
  readonly drain?: () => Promise<void>
  readonly logger?: Logger
  readonly options?: Partial<ProcessorOptions>
}

/** Owners on one memory log and one memory state; each gets what a test assigns it. */
class World {
  readonly log: MemoryEventLog = createMemoryEventLog({
    identity: { incarnation: 'test', partitionCount },
  })
  readonly state: MemoryStateStore = createMemoryStateStore()
  readonly #stops: (() => Promise<void>)[] = []

  constructor(t: TestContext) {
    t.after(async () => {
      for (const stop of this.#stops) await stop()
    })
  }

  start(given: StartGiven = {}): Owner {
    const owner = new Owner()
    const stop = new AbortController()
    const log: EventLog = { ...this.log, assign: (signal) => owner.follow(signal) }
    const run = runProcessor(
      {
        log,
        state: given.state ?? this.state,
        definitionsOf: async () => noDefinitions(),
        openScratch: createMemoryStateStore,
        clock: systemClock,
        random: systemRandom,
        logger: given.logger ?? silentLogger,
        freshness: {
          ...createFreshness(createFreshnessBuffer(partitionCount)),
          confirm: (partition, atMs) => owner.confirmed.push({ partition, atMs }),
        },
        publish: ({ partition, ownedEpoch }) => {
          if (ownedEpoch !== undefined) owner.owned.set(partition, ownedEpoch)
        },
        drain: given.drain ?? (async () => {}),
        lost: (partition) => owner.owned.delete(partition),
        reportStopped: () => {},
      },
      { ...processorDefaults, idleMs: 20, handOverMsMax, sideBySideCount: 2, ...given.options },
      stop.signal,
    )
    owner.stop = async () => {
      stop.abort()
      await run
    }
    this.#stops.push(owner.stop)
    return owner
  }

  /** Appends a record that the fold counts, and waits until it is committed. */
  async happen(partition: number): Promise<void> {
    const offset = await this.append(partition)
    await until(async () => (await this.state.head(partition)).offset >= offset)
  }

  async append(partition: number): Promise<number> {
    const given = { kind: 'suppress', key: 'address:a', isBackfill: false, keyId: 0 } as const
    const id = systemRandom.bytes(16)
    const recordedAtMs = systemClock.nowMs()
    const skeleton = { topic: id.join(''), reason: 'test', atMs: recordedAtMs, isLifted: false }
    const [place] = await this.log.append([
      { ...given, partition, id, recordedAtMs, skeleton, body: emptyBody },
    ])
    return place?.offset ?? 0
  }

  async records(partition: number): Promise<readonly LogRecord[]> {
    return await this.log.read(partition, 0, 1000)
  }
}

class Owner {
  /** Epochs in force, by partition. */
  readonly owned = new Map<number, number>()
  /** What it said of freshness, in order. */
  readonly confirmed: { readonly partition: number; readonly atMs: number }[] = []
  stop: () => Promise<void> = async () => {}
  #assigned: (readonly number[])[] = []
  #wake: () => void = () => {}

  assign(partitions: readonly number[]): void {
    this.#assigned.push(partitions)
    this.#wake()
  }

  async *follow(signal: AbortSignal): AsyncGenerator<readonly number[]> {
    signal.addEventListener('abort', () => this.#wake(), { once: true })
    while (!signal.aborted) {
      const next = this.#assigned.shift()
      if (next !== undefined) yield next
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
    }
  }
}

async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = systemClock.monotonicMs() + 60_000
  while (!(await isTrue())) {
    assert.ok(systemClock.monotonicMs() < deadlineMs, `in time: ${isTrue}`)
    await systemClock.sleep(5)
  }
}

describe('ownership', () => {
  it('moves a partition in order: drained, committed, released, taken', async (t) => {
    const world = new World(t)
    let isDraining = false
    const drained = Promise.withResolvers<void>()
    const first = world.start({
      drain: () => {
        isDraining = true
        return drained.promise
      },
    })
    const second = world.start()
    first.assign([0, 1])
    second.assign([])
    await until(() => first.owned.size === 2)
    first.assign([0])
    await until(() => isDraining)
    // Until delivery has ended for it, the partition is folded where it was.
    await world.happen(1)
    assert.equal((await world.state.head(1)).epoch, 1)
    drained.resolve()
    await until(() => !first.owned.has(1))
    assert.equal((await world.state.head(1)).nonce, '')
    second.assign([1])
    await until(() => second.owned.has(1))
    assert.equal(second.owned.get(1), 2)
    await world.happen(0)
    await world.happen(1)
    assert.deepEqual([...first.owned.keys()], [0])
  })

  it('waits for the former owner no longer than the bound, and then fences it', async (t) => {
    const world = new World(t)
    const first = world.start()
    first.assign([0, 1])
    await until(() => first.owned.size === 2)
    const second = world.start()
    const askedAt = systemClock.monotonicMs()
    second.assign([0])
    await until(() => second.owned.has(0))
    assert.ok(systemClock.monotonicMs() - askedAt >= handOverMsMax)
    await world.happen(0)
    await until(() => !first.owned.has(0))
    await world.happen(1)
    assert.deepEqual([...first.owned.keys()], [1])
    assert.deepEqual([...second.owned.keys()], [0])
  })

  it('tells of a partition that was taken over as it was meant, never as an error', async (t) => {
    const world = new World(t)
    const said: string[] = []
    const logger: Logger = {
      info: (_fields, event) => said.push(`info ${event}`),
      warn: (_fields, event) => said.push(`warn ${event}`),
      error: (_fields, event) => said.push(`error ${event}`),
    }
    // Delivery ends for neither within the bound.
    const drained = Promise.withResolvers<void>()
    t.after(() => drained.resolve())
    const first = world.start({ logger, drain: () => drained.promise })
    first.assign([0, 1])
    await until(() => first.owned.size === 2)
    first.assign([0])
    const second = world.start()
    second.assign([1])
    await until(() => said.length === 1)
    assert.deepEqual(said, ['info not owned: the next owner has it'])
    // Still wanted by the first: two words of the log that do not fit.
    second.assign([0, 1])
    await until(() => said.length === 2)
    assert.deepEqual(said, [
      'info not owned: the next owner has it',
      'warn not owned: another took it',
    ])
  })

  it('folds what delivery left in the log before it releases a partition', async (t) => {
    const world = new World(t)
    let last = 0
    const drain = async (): Promise<void> => {
      for (let index = 0; index < 10; index++) last = await world.append(1)
    }
    const owner = world.start({ drain, options: { batchCountMax: 1 } })
    owner.assign([0, 1])
    await until(() => owner.owned.size === 2)
    owner.assign([0])
    await until(() => !owner.owned.has(1))
    const { offset, nonce } = await world.state.head(1)
    assert.deepEqual({ offset, nonce }, { offset: last, nonce: '' })
  })

  it('gives everything up when it stops, so that the next owner need not wait', async (t) => {
    const world = new World(t)
    const first = world.start()
    first.assign([0, 1])
    await until(() => first.owned.size === 2)
    await first.stop()
    const nonces = await Promise.all(
      [0, 1].map(async (each) => (await world.state.head(each)).nonce),
    )
    assert.deepEqual(nonces, ['', ''])
  })

  it('folds again what the store has lost, all of it or its newest commits', async (t) => {
    const world = new World(t)
    const empty = world.state.snapshot()
    const owner = world.start()
    owner.assign([0, 1])
    await until(() => owner.owned.size === 2)
    for (let index = 0; index < 5; index++) await world.happen(0)
    const snapshot = world.state.snapshot()
    for (let index = 0; index < 5; index++) await world.happen(0)
    const hash = await topics(world)
    const isTakenBack = (): boolean => owner.confirmed.some(({ atMs }) => atMs === 0)
    assert.ok(!isTakenBack())
    world.state.restore(snapshot)
    await world.happen(1)
    await until(async () => (await topics(world)) === hash)
    assert.ok(isTakenBack(), 'what was lost is not fresh')
    world.state.restore(empty)
    await world.happen(1)
    await until(async () => (await topics(world)) === hash)
    await until(() => owner.owned.size === 2)
    // Nothing that an older history says counts: the epoch in force is the newest of the log.
    const epochs = (await world.records(0))
      .filter(({ kind }) => kind === 'owner')
      .map(({ skeleton }) => (skeleton as { epoch: number }).epoch)
    assert.equal(owner.owned.get(0), Math.max(...epochs))
    assert.equal((await hashPartition(world.state, 0)).length, 64)
  })

  it('waits for a store that does not answer, and loses nothing', async (t) => {
    const world = new World(t)
    let isAway = false
    const away = (): void => {
      if (isAway) throw new OperatingError('STORE_UNREACHABLE', 'reach the state')
    }
    const { state } = world
    const owner = world.start({
      state: {
        ...state,
        async get(partition, keys) {
          away()
          return await state.get(partition, keys)
        },
        async commit(commits) {
          // Taken, and the answer lost: the same commit comes again.
          const answers = await state.commit(commits)
          away()
          return answers
        },
      },
    })
    owner.assign([0, 1])
    await until(() => owner.owned.size === 2)
    await world.happen(0)
    isAway = true
    const happening = Promise.all([world.happen(0), world.happen(1)])
    await systemClock.sleep(1200)
    isAway = false
    await happening
    assert.equal(owner.owned.size, 2)
    assert.equal((await topics(world)).split(',').length, 2)
  })
})

/** Names all that was folded of the suppressions in partition 0. */
async function topics({ state }: World): Promise<string> {
  const entries = await state.scan(0, 'suppression/', '', 100)
  const bodies = entries.map(({ value }) => Buffer.from(value).toString())
  return [...bodies.join().matchAll(/"(\d{16,})"/g)].map(([, topic]) => topic).join()
}
