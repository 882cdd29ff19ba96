/**
 * Workers that fold from Kafka into Redis (or what `--stores` names), as processes of their own:
 * 100,000 people of about 2 KB, uniform keys, unique ids. The services share the cores with them.
 *
 * The workers own their partitions before the events are appended, faster than they fold; the rate
 * is that of the way from `fromShare` to `toShare`, on which each worker has folded the same count
 * whether it is alone or not. One worker and two take turns, since two runs of either are 10% apart
 * by themselves; each run starts its own services, and ends them. The bare baseline reads one value
 * of 2 KB for each event from the same store and writes it again, in batches.
 */

import { join } from 'node:path'
import { openEventLog, openStateStore } from '../src/command/open-stores.ts'
import { readServerConfig } from '../src/command/read-config.ts'
import { storeOptionsOf } from '../src/command/store-options.ts'
import { systemClock } from '../src/lib/clock.ts'
import { silentLogger } from '../src/lib/logger.ts'
import { createSeededRandom } from '../src/lib/random.ts'
import type { EventLog } from '../src/log/event-log.ts'
import { partitionOf } from '../src/log/record.ts'
import { personPrefix } from '../src/profile/person.ts'
import { type Head, noHead, type StateStore } from '../src/state/state-store.ts'
import { writeSmallShop } from '../test/faults/small-shop.ts'
import { type AttuneServer, startAttune } from './attune-server.ts'
import type { BenchWorld } from './bench-world.ts'
import { mean, printFigure } from './figure.ts'
import { anEventRecord, fillPeople, personCount, pickPerson, withOtherEnd } from './fold.bench.ts'

const partitionCount = 16
const workerEventCount = 300_000
/** Workers of each run that counts. */
const turns = [1, 2, 2, 1, 1, 2]
const bareCount = 40_000
const bareBatchCount = 400
const settleMs = 4000
const appendCount = 2000
const lookMs = 50
/** The rate is taken between these shares of the way. */
const fromShare = 0.4
const toShare = 0.9
const partitions = Array.from({ length: partitionCount }, (_, partition) => partition)
const deps = { clock: systemClock, logger: silentLogger }

export async function benchFoldShared(world: BenchWorld): Promise<void> {
  if (world.settings.stores === undefined) return
  const folded: Folded[] = []
  for (const workerCount of turns) folded.push(await foldWith(world, workerCount))
  const one = folded.filter(({ shares }) => shares.length === 1)
  const two = folded.filter(({ shares }) => shares.length === 2)
  const kinds = Object.values(world.settings.stores).join(', ')
  const shared = `${kinds}; ${personCount} people of about 2 KB, ${partitionCount} partitions`
  printFigure({
    bench: 'fold-shared',
    value: meanRate(one),
    unit: 'events/s',
    baseline: mean(folded.map(({ bare }) => bare)),
    note: `one worker on ${shared}; ${says(one)}`,
  })
  printFigure({
    bench: 'fold-shared-two-workers',
    value: meanRate(two),
    unit: 'events/s',
    baseline: meanRate(one),
    note:
      `two workers against one on the same cores, in turn; ${says(two)}; ` +
      `they folded ${two.map(({ shares }) => shares.join(' and ')).join(', ')}`,
  })
}

function meanRate(folded: readonly Folded[]): number {
  return mean(folded.map(({ rate }) => rate))
}

function says(folded: readonly Folded[]): string {
  const rates = folded.map(({ rate }) => Math.round(rate)).join(', ')
  const cpuMicros = mean(folded.map((each) => each.cpuMicros)).toFixed(1)
  return `${rates} events/s; ${cpuMicros} us of CPU an event in the whole worker`
}

interface Folded {
  readonly rate: number
  readonly bare: number
  readonly cpuMicros: number
  /** Records that each worker folded. */
  readonly shares: readonly number[]
}

async function foldWith(world: BenchWorld, workerCount: number): Promise<Folded> {
  const eventCount = workerCount * workerEventCount
  const folder = await world.makeFolder()
  const dataDir = join(folder, 'data')
  const definitionsDir = join(folder, 'shop')
  await writeSmallShop(definitionsDir, { without: ['at-once', 'waiting'] })
  const stores = await world.openStores(dataDir, partitionCount)
  const values = await readServerConfig(undefined, { ...stores, 'server.dataDir': dataDir })
  const { log: logOptions, state: stateOptions } = storeOptionsOf(values)
  const state = await openStateStore(deps, stateOptions)
  await fillPeople(state, partitionCount)
  const bare = await measureBare(state)
  for (let partition = 0; partition < partitionCount; partition++) {
    await state.release(partition, 1, 'bench')
  }
  const log = await openEventLog(deps, logOptions, { stream: 'events' })
  const workers: AttuneServer[] = []
  // One after the other: each writes an API key into the same file.
  for (let index = 0; index < workerCount; index++) {
    workers.push(await startAttune(world, { dataDir, definitionsDir, stores, role: 'work' }))
  }
  await untilOwned(state)
  await systemClock.sleep(settleMs)
  const before = await Promise.all(workers.map((worker) => worker.cpuUsed()))
  const counts = await Promise.all(workers.map(({ url }) => readRecordCount(url)))
  const appending = appendAll(log, eventCount)
  const rate = await measureRate(state, eventCount)
  await appending
  await untilFolded(log, state)
  const after = await Promise.all(workers.map((worker) => worker.cpuUsed()))
  const ended = await Promise.all(workers.map(({ url }) => readRecordCount(url)))
  for (const worker of workers) await worker.stop()
  await log.close()
  await state.close()
  await world.closeStores()
  const cpuMs = after.reduce((sum, { allMs }, at) => sum + allMs - (before[at]?.allMs ?? 0), 0)
  const shares = ended.map((count, index) => count - (counts[index] ?? 0))
  return { rate, bare, cpuMicros: (cpuMs * 1000) / eventCount, shares }
}

async function untilOwned(state: StateStore): Promise<void> {
  for (;;) {
    const heads = await readHeads(state)
    if (heads.every(({ nonce, epoch }) => nonce !== '' && epoch > 1)) return
    await systemClock.sleep(lookMs)
  }
}

async function readHeads(state: StateStore): Promise<readonly Head[]> {
  return await Promise.all(partitions.map((each) => state.head(each)))
}

async function readOffsets(state: StateStore): Promise<number> {
  return (await readHeads(state)).reduce((sum, { offset }) => sum + offset, 0)
}

/** Events of the last minutes: one that is late triggers nothing, and each is noted as such. */
async function appendAll(log: EventLog, eventCount: number): Promise<void> {
  const firstAtMs = systemClock.nowMs() - eventCount
  const options = { isSkewed: false, hasShop: false, firstAtMs }
  for (let at = 0; at < eventCount; at += appendCount) {
    const records = Array.from({ length: appendCount }, (_, index) =>
      anEventRecord(at + index, options, partitionCount),
    )
    await log.append(records)
  }
}

async function measureRate(state: StateStore, eventCount: number): Promise<number> {
  const first = await readOffsets(state)
  const until = async (share: number): Promise<{ count: number; atMs: number }> => {
    for (;;) {
      const count = (await readOffsets(state)) - first
      if (count >= eventCount * share) return { count, atMs: systemClock.monotonicMs() }
      await systemClock.sleep(lookMs)
    }
  }
  const from = await until(fromShare)
  const to = await until(toShare)
  return ((to.count - from.count) * 1000) / (to.atMs - from.atMs)
}

async function untilFolded(log: EventLog, state: StateStore): Promise<void> {
  for (;;) {
    const ends = await Promise.all(partitions.map((each) => log.end(each)))
    const heads = await readHeads(state)
    if (heads.every(({ offset }, index) => offset >= (ends[index] ?? 0))) return
    await systemClock.sleep(lookMs)
  }
}

async function readRecordCount(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text()
  return Number(/^attune_process_records_total (\d+)/m.exec(text)?.[1] ?? 0)
}

/** Reads and writes one value for each event, nothing else. */
async function measureBare(state: StateStore): Promise<number> {
  const random = createSeededRandom(1)
  const startedAt = systemClock.monotonicMs()
  for (let done = 0; done < bareCount; done += bareBatchCount) {
    const keys = partitions.map(() => new Set<string>())
    for (let count = 0; count < bareBatchCount; count++) {
      const key = `user:customer-${pickPerson(random.unit(), false)}`
      keys[partitionOf('default', key, partitionCount)]?.add(personPrefix + key)
    }
    const commits = await Promise.all(
      keys.map(async (some, partition) => {
        const names = [...some]
        const values = await state.get(partition, names)
        const changes = names.flatMap((key, index) => {
          const value = values[index]
          return value === undefined ? [] : [{ key, value: withOtherEnd(value, done) }]
        })
        const owner = { epoch: 1, nonce: 'bench', incarnation: 'bench' }
        return { ...noHead, ...owner, partition, previousOffset: 0, changes }
      }),
    )
    await state.commit(commits)
  }
  return (bareCount * 1000) / (systemClock.monotonicMs() - startedAt)
}
