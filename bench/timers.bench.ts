/**
 * Many pending timers on one machine, and a pause after which a fifth of them are due at once.
 *
 * Generated into the state of a server that was stopped: people with timers of segments that were
 * due a day ago, and with timers that are due in a year. Then `attune start`: how long until it is
 * ready, how long until the due ones are worked off, how long reads of profiles take meanwhile and
 * behind it, and how much memory it used. `--full`: 5,000,000 pending, 1,000,000 of them due.
 */

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '../src/lib/clock.ts'
import { partitionOf } from '../src/log/record.ts'
import { dueMsOf, timerKey, timerPrefix } from '../src/process/partition-view.ts'
import { createPerson, encodePerson, personPrefix } from '../src/profile/person.ts'
import { openSqliteStateStore } from '../src/state/sqlite-state-store.ts'
import type { Change, StateStore } from '../src/state/state-store.ts'
import { type AttuneServer, startAttune } from './attune-server.ts'
import type { BenchWorld } from './bench-world.ts'
import { percentile, printFigure } from './figure.ts'

const dayMs = 86_400_000
const partitionCount = 64
/** Each person has so many timers that are due, and so many that are not. */
const dueEach = 10
const laterEach = 40
const commitCount = 5000
const readPauseMs = 2
const lookMs = 500
const workMsMax = 1_800_000
const quietReadCount = 500
const emptyStartCount = 3
const emptyValue = new Uint8Array(0)

export async function benchTimers(world: BenchWorld): Promise<void> {
  const personCount = world.settings.isFull ? 100_000 : 10_000
  const dataDir = await world.makeFolder()
  const definitionsDir = join(await world.makeFolder(), 'shop')
  await writeDefinitions(definitionsDir)
  const first = await startAttune(world, { dataDir, definitionsDir })
  const { apiKey } = first
  await first.stop()
  const emptyStartsMs: number[] = []
  let rssEmpty = 0
  for (let count = 0; count < emptyStartCount; count++) {
    const empty = await startAttune(world, { dataDir, definitionsDir, apiKey })
    emptyStartsMs.push(empty.startMs)
    rssEmpty = await empty.rssMib()
    await empty.stop()
  }
  const nowMs = Math.floor(systemClock.nowMs())
  await withState(dataDir, (state) => fill(state, personCount, nowMs))

  const attune = await startAttune(world, { dataDir, definitionsDir, apiKey })
  const startedAt = systemClock.monotonicMs()
  const reads = { busy: [] as number[], quiet: [] as number[] }
  let isDone = false
  const reading = readProfiles(attune, personCount, reads.busy, () => isDone)
  await withState(dataDir, (state) => untilWorkedOff(state, nowMs), true)
  const workedOffMs = systemClock.monotonicMs() - startedAt
  isDone = true
  await reading
  await readProfiles(attune, personCount, reads.quiet, () => reads.quiet.length >= quietReadCount)
  const rssMax = await attune.rssMibMax()
  await attune.stop()

  const due = personCount * dueEach
  const note = `${personCount * (dueEach + laterEach)} timers pending, ${due} of them due`
  const figure = { unit: 'ms', note }
  const baseline = percentile(emptyStartsMs, 0.5)
  printFigure({ ...figure, bench: 'timers-start', value: attune.startMs, baseline })
  printFigure({ bench: 'timers-rss', value: rssMax, unit: 'MiB', baseline: rssEmpty, note })
  const rate = (due / workedOffMs) * 1000
  printFigure({ bench: 'timers-work-off', value: rate, unit: 'timers/s', note })
  for (const [name, share] of [
    ['timers-read-p50', 0.5],
    ['timers-read-p99', 0.99],
  ] as const) {
    const value = percentile(reads.busy, share)
    const baseline = percentile(reads.quiet, share)
    printFigure({ ...figure, bench: name, value, baseline, note: `${reads.busy.length} reads` })
  }
}

async function withState<Result>(
  dataDir: string,
  work: (state: StateStore) => Promise<Result>,
  readOnly = false,
): Promise<Result> {
  const state = await openSqliteStateStore({ dataDir, readOnly })
  try {
    return await work(state)
  } finally {
    await state.close()
  }
}

async function fill(state: StateStore, personCount: number, nowMs: number): Promise<void> {
  const waiting = Array.from({ length: partitionCount }, (): Change[] => [])
  for (let index = 0; index < personCount; index++) {
    const key = `user:customer-${index}`
    const person = createPerson(key, nowMs - 2 * dayMs)
    person.version = 1
    const changes = waiting[partitionOf('default', key, partitionCount)]
    if (changes === undefined) continue
    for (let timer = 0; timer < dueEach; timer++) {
      const dueMs = nowMs - dayMs + ((index * 7 + timer) % 3_600_000)
      person.segmentTimers[`s${timer}`] = dueMs
      changes.push({ key: timerKey(dueMs, key, `segment:s${timer}`), value: emptyValue })
    }
    for (let timer = 0; timer < laterEach; timer++) {
      const dueMs = nowMs + 365 * dayMs + index * laterEach + timer
      changes.push({ key: timerKey(dueMs, key, `segment:later${timer}`), value: emptyValue })
    }
    changes.push({ key: personPrefix + key, value: encodePerson(person) })
    if (changes.length >= commitCount) await flush(state, waiting)
  }
  await flush(state, waiting)
}

async function flush(state: StateStore, waiting: Change[][]): Promise<void> {
  for (const [partition, changes] of waiting.entries()) {
    const head = await state.head(partition)
    const owner = { epoch: head.epoch + 1, nonce: 'bench' }
    await state.acquire(partition, owner.epoch, owner.nonce)
    const place = { ...head, ...owner, partition, previousOffset: head.offset }
    const [answer] = await state.commit([{ ...place, changes }])
    if (answer !== 'committed') throw new Error(`the commit was ${answer}`)
    await state.release(partition, owner.epoch, owner.nonce)
    changes.length = 0
  }
}

async function writeDefinitions(folder: string): Promise<void> {
  await mkdir(join(folder, 'segments'), { recursive: true })
  await writeFile(
    join(folder, 'shop.yaml'),
    'name: Timers\ncurrency: EUR\nurl: https://a.example/\n',
  )
  for (let timer = 0; timer < dueEach; timer++) {
    const rule = '{event: Product Viewed, count: {atLeast: 1}, within: 10m}'
    await writeFile(join(folder, 'segments', `s${timer}.yaml`), `name: s${timer}\nrule: ${rule}\n`)
  }
}

async function untilWorkedOff(state: StateStore, nowMs: number): Promise<void> {
  const startedAt = systemClock.monotonicMs()
  for (let partition = 0; partition < partitionCount; ) {
    const [timer] = await state.scan(partition, timerPrefix, '', 1)
    if (timer === undefined || dueMsOf(timer.key) > nowMs) {
      partition++
      continue
    }
    if (systemClock.monotonicMs() - startedAt > workMsMax) throw new Error('not worked off in time')
    await systemClock.sleep(lookMs)
  }
}

/** Reads one profile after the other, and notes how long each took. */
async function readProfiles(
  { url, apiKey }: AttuneServer,
  personCount: number,
  times: number[],
  isEnough: () => boolean,
): Promise<void> {
  const headers = { authorization: `Bearer ${apiKey}` }
  for (let index = 0; !isEnough(); index++) {
    const startedAt = systemClock.monotonicMs()
    const id = (index * 7919) % personCount
    const answer = await fetch(`${url}/api/v1/profiles/customer-${id}`, { headers })
    await answer.arrayBuffer()
    if (answer.status !== 200) throw new Error(`a profile was answered ${answer.status}`)
    times.push(systemClock.monotonicMs() - startedAt)
    await systemClock.sleep(readPauseMs)
  }
}
