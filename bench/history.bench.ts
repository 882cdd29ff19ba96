/**
 * What keeping the versions of people costs: CPU of the fold with and without it in one run, bytes
 * of the state for each event, and CPU to tell one version of the past.
 *
 * 50,000 people who are at any place between two checkpoints, so that one event in
 * `checkpointStepCount` makes one. Once of about 1.5 KB, and once of about 2 KB: there two values
 * just fit a page of the state, and with their steps they do not. Then 200 people with 1,000 events
 * each in 90 days: the bytes.
 */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../src/lib/clock.ts'
import { createSeededRandom } from '../src/lib/random.ts'
import { createMemoryEventLog, type MemoryEventLog } from '../src/log/memory-event-log.ts'
import { emptyBody, type NewRecord } from '../src/log/record.ts'
import { noDefinitions } from '../src/process/definitions.ts'
import { checkpointStepCount } from '../src/process/history.ts'
import { PartitionFold } from '../src/process/partition-fold.ts'
import { foldVersion } from '../src/process/refold.ts'
import { historyPrefix } from '../src/process/scope.ts'
import { appendActivity } from '../src/profile/activity-pack.ts'
import { createPerson, decodePerson, encodePerson, personPrefix } from '../src/profile/person.ts'
import { appendStep, beginSteps, stepCountMax } from '../src/profile/step-pack.ts'
import { openSqliteStateStore } from '../src/state/sqlite-state-store.ts'
import { type Change, noHead, type StateStore } from '../src/state/state-store.ts'
import { printFigure } from './figure.ts'
import { anEventRecord } from './fold.bench.ts'

const personCount = 50_000
const eventCount = 60_000
const activityCounts = [24, 32] as const
const startMs = 1_700_000_000_000
const dayMs = 86_400_000
const readCount = 256
const batchMsMax = 20
const heavyCount = 200
const heavyEventCount = 1_000
const lookCount = 200
const nonce = 'bench'
const place = { workspace: 'default', partitionCount: 1, partition: 0 } as const
interface People {
  readonly historyMs: number
  readonly activityCount: number
}

const definitionsOf = async () => noDefinitions()

export async function benchHistory(): Promise<void> {
  // Both ways twice, in turn: the first run warms the code up.
  for (const activityCount of activityCounts) {
    const micros = { off: 0, on: 0 }
    for (const way of ['off', 'on', 'off', 'on'] as const) {
      const people = { historyMs: way === 'on' ? 90 * dayMs : 0, activityCount }
      micros[way] = await withState((state) => measureFold(state, people))
    }
    const { on, off } = micros
    printFigure({
      bench: `history-fold-${activityCount}`,
      value: 1e6 / on,
      unit: 'events per second of CPU',
      baseline: 1e6 / off,
      note: `${on.toFixed(1)} us of CPU an event, ${off.toFixed(1)} without versions`,
    })
  }
  await withState(measureBytes)
}

async function withState<Result>(work: (state: StateStore) => Promise<Result>): Promise<Result> {
  const dataDir = await mkdtemp(join(tmpdir(), 'attune-bench-history-'))
  const state = await openSqliteStateStore({ dataDir })
  try {
    return await work(state)
  } finally {
    await state.close()
    await rm(dataDir, { recursive: true })
  }
}

/** Answers CPU microseconds of one event. */
async function measureFold(state: StateStore, people: People): Promise<number> {
  const { historyMs } = people
  await fill(state, people)
  const log = await openLog(historyMs)
  const options = { isSkewed: false, hasShop: false }
  await log.append(
    Array.from({ length: eventCount }, (_, index) => {
      const record = anEventRecord(index, options, 1)
      const number = Number(record.key.split('-').at(-1)) % personCount
      return { ...record, partition: 0, key: `user:customer-${number}` }
    }),
  )
  const cpu = process.cpuUsage()
  await foldAll(log, state)
  const { user, system } = process.cpuUsage(cpu)
  return (user + system) / eventCount
}

async function measureBytes(state: StateStore): Promise<void> {
  await state.acquire(0, 1, nonce)
  const log = await openLog(90 * dayMs)
  const options = { isSkewed: false, hasShop: false }
  const everyMs = (90 * dayMs) / (heavyCount * heavyEventCount)
  for (let index = 0; index < heavyCount * heavyEventCount; index++) {
    const recordedAtMs = startMs + Math.floor(index * everyMs)
    const key = `user:customer-${index % heavyCount}`
    const record = { ...anEventRecord(index, options, 1), key, recordedAtMs }
    const tick = index % 100 === 0 ? [{ ...owner(0, recordedAtMs), kind: 'tick' as const }] : []
    await log.append([...tick, record])
  }
  await log.append([{ ...owner(0, startMs + 90 * dayMs), kind: 'tick' }])
  await foldAll(log, state)
  let bytes = 0
  let stepBytes = 0
  for (let after = ''; ; ) {
    const page = await state.scan(0, '', after, 1000)
    for (const { key, value } of page) {
      if (key.startsWith(historyPrefix)) bytes += key.length + value.length
      if (key.startsWith(personPrefix)) stepBytes += decodePerson(value).steps.length
    }
    const last = page.at(-1)
    if (last === undefined) break
    after = last.key
  }
  const events = heavyCount * heavyEventCount
  printFigure({
    bench: 'history-bytes',
    value: (bytes + stepBytes) / events,
    unit: 'bytes of state an event',
    note: `${heavyCount} people, ${events} events, a checkpoint each ${checkpointStepCount}`,
  })
  const deps = { log, state, definitionsOf }
  const cpu = process.cpuUsage()
  for (let look = 0; look < lookCount; look++) {
    const personKey = `user:customer-${look % heavyCount}`
    const version = 1 + ((look * 37) % heavyEventCount)
    const answer = await foldVersion(deps, { ...place, personKey }, version)
    if (answer.kind === 'refused') throw new Error(`version ${version} is ${answer.reason}`)
  }
  const { user, system } = process.cpuUsage(cpu)
  printFigure({
    bench: 'history-read',
    value: (user + system) / 1000 / lookCount,
    unit: 'ms of CPU a version',
    note: `any of ${heavyEventCount} versions, with the log in memory`,
  })
}

async function openLog(historyMs: number): Promise<MemoryEventLog> {
  const log = createMemoryEventLog({ identity: { incarnation: 'bench', partitionCount: 1 } })
  await log.append([owner(historyMs, startMs)])
  return log
}

function owner(historyMs: number, recordedAtMs: number): NewRecord {
  return {
    ...{ partition: 0, key: 'control:0', kind: 'owner', recordedAtMs },
    ...{ id: new Uint8Array(16), isBackfill: false, keyId: 0, body: emptyBody },
    skeleton: { epoch: 1, nonce, historyMs },
  }
}

/** Puts people there, each at another place behind its last checkpoint. */
async function fill(state: StateStore, { historyMs, activityCount }: People): Promise<void> {
  const random = createSeededRandom(3)
  await state.acquire(0, 1, nonce)
  let changes: Change[] = []
  for (let index = 0; index < personCount; index++) {
    const key = `user:customer-${index}`
    const person = createPerson(key, 0)
    person.version = 1000
    const part = person.parts[0]
    if (part === undefined) continue
    part.totals['Product Viewed'] = [activityCount, 0, 0, 1]
    const entries = Array.from({ length: activityCount }, (_, at) => ({
      ...{ name: 'Product Viewed', occurredAtMs: at, eventRef: at },
      ...{ itemId: `item-${(index * 7 + at) % 5000}`, value: 4.95 },
    }))
    part.activity = appendActivity(part.activity, entries)
    if (historyMs > 0) {
      let steps = beginSteps(
        appendStep(person.steps, { kind: 'record', offset: 0, atMs: 0 }, 0),
        person.version - Math.floor(random.unit() * checkpointStepCount),
      )
      const stepCount = Math.floor(random.unit() * stepCountMax)
      for (let step = 0; step < stepCount; step++) {
        // As far apart as the steps of one of a million people: no end lies behind the log's.
        const atMs = Math.floor((step + 1) * (startMs / 100))
        steps = appendStep(steps, { kind: 'record', offset: 0, atMs }, 0)
      }
      person.steps = steps
    }
    changes.push({ key: personPrefix + key, value: encodePerson(person) })
    if (changes.length < 5000) continue
    const head = { ...noHead, epoch: 1, nonce, incarnation: 'bench' }
    await state.commit([{ partition: 0, ...head, previousOffset: 0, changes }])
    changes = []
  }
}

async function foldAll(log: MemoryEventLog, state: StateStore): Promise<void> {
  const fold = new PartitionFold({ log, state, definitionsOf }, place)
  await fold.open(await state.head(0))
  while (fold.cursor < (await log.end(0))) {
    const deadlineMs = systemClock.monotonicMs() + batchMsMax
    const shouldPause = (): boolean => systemClock.monotonicMs() > deadlineMs
    do {
      await fold.fold(await log.read(0, fold.cursor, readCount), shouldPause)
    } while (!shouldPause() && fold.cursor < (await log.end(0)))
    if (fold.stopped !== undefined) throw fold.stopped.cause
    const { commit } = fold.takeCommit({ epoch: 1, nonce }, 'bench')
    const [answer] = await state.commit([commit])
    if (answer !== 'committed') throw new Error(`the bench's commit was ${answer}`)
    fold.committed(commit)
  }
}
