/**
 * All partitions of a log over stores in memory, where a seed decides what happens next: an event
 * arrives, a record of an outbox is forwarded, or once more, or a partition folds some records.
 */

import assert from 'node:assert/strict'
import { type Event, personKeyOf } from '../event/event.ts'
import { sha256Bytes } from '../lib/hash.ts'
import type { Random } from '../lib/random.ts'
import { createMemoryEventLog, type MemoryEventLog } from '../log/memory-event-log.ts'
import {
  decodeRecord,
  emptyBody,
  type LogRecord,
  type NewRecord,
  partitionOf,
  type RecordKind,
} from '../log/record.ts'
import { decodePerson, type Person, type PersonTraits } from '../profile/person.ts'
import { createMemoryStateStore, type MemoryStateStore } from '../state/memory-state-store.ts'
import { type CompiledDefinitions, compileDefinitions, emptyDocument } from './definitions.ts'
import { decodeJson, readMeta } from './meta.ts'
import { PartitionFold } from './partition-fold.ts'
import { outboxPrefix, parseOutboxKey } from './scope.ts'

export const startMs = 1_800_000_000_000
export const partitionCount = 5
const workspace = 'default'
const hash = 'd'.repeat(64)
const owner = { epoch: 1, nonce: 'n' }

export type GivenEvent = Pick<Event, 'type' | 'name'> & Partial<Event>

/** Compiles definitions of which only some fields are given. */
export function compileGiven(given: Partial<typeof emptyDocument>): CompiledDefinitions {
  const answer = compileDefinitions({ ...emptyDocument, ...given }, hash)
  if (answer.kind === 'refused') throw new Error(JSON.stringify(answer.faults))
  return answer.definitions
}

/** More than any history here takes: beyond, records go round. */
const turnCountMax = 3000

interface Lane {
  readonly target: number
  readonly records: NewRecord[]
  nextIndex: number
}

export class Partitions {
  log: MemoryEventLog = createMemoryEventLog({
    identity: { incarnation: 'test', partitionCount },
  })
  readonly state: MemoryStateStore = createMemoryStateStore()
  readonly #folds: PartitionFold[] = []
  readonly #lanes = new Map<string, Lane>()
  readonly definitions: CompiledDefinitions
  #recordCount = 0

  constructor(definitions: CompiledDefinitions) {
    this.definitions = definitions
  }

  /** Begins a log with the definitions; a log that is given is folded from its start. */
  async open(log?: MemoryEventLog): Promise<this> {
    if (log !== undefined) this.log = log
    for (let partition = 0; partition < partitionCount; partition++) {
      await this.state.acquire(partition, owner.epoch, owner.nonce)
      const skeleton = { hash, version: 1 }
      if (log === undefined)
        await this.append('definitions', `control:${partition}`, skeleton, 0, { partition })
      const fold = new PartitionFold(
        {
          log: this.log,
          state: this.state,
          definitionsOf: () => Promise.resolve(this.definitions),
        },
        { workspace, partitionCount, partition },
      )
      await fold.open(await this.state.head(partition))
      this.#folds.push(fold)
      while (log !== undefined && (await this.#fold(fold, 7)));
    }
    return this
  }

  async append(
    kind: RecordKind,
    key: string,
    skeleton: unknown,
    atMs: number,
    given: Partial<NewRecord> = {},
  ): Promise<void> {
    await this.log.append([
      {
        partition: partitionOf(workspace, key, partitionCount),
        key,
        kind,
        id: sha256Bytes(`${kind} ${this.#recordCount++}`, 16),
        recordedAtMs: startMs + atMs,
        isBackfill: false,
        keyId: 0,
        skeleton,
        body: emptyBody,
        ...given,
      },
    ])
  }

  /** Appends an event at `atMs` behind the start; the same `eventId` again is a repeat. */
  async event(given: GivenEvent, atMs: number): Promise<void> {
    const times = { occurredAtMs: startMs + atMs, receivedAtMs: startMs + atMs }
    const eventId = given.eventId ?? `e${atMs}`
    const event: Event = { sourceId: 'web', ...times, ...given, eventId }
    await this.append('event', personKeyOf(event), { name: event.name, contentHash: 1 }, atMs, {
      id: sha256Bytes(`web ${eventId}`, 16),
      body: Buffer.from(JSON.stringify(event)),
    })
  }

  async tick(atMs: number): Promise<void> {
    for (let partition = 0; partition < partitionCount; partition++) {
      await this.append('tick', `control:${partition}`, { epoch: 0, nonce: '' }, atMs, {
        partition,
      })
    }
  }

  /** Does one thing that some owner or the network could do next. */
  async step(random: Random): Promise<void> {
    if (random.unit() < 0.5) {
      await this.#fold(pick(random, this.#folds), 1 + Math.floor(4 * random.unit()))
    } else {
      const lanes = [...this.#lanes.values()]
      if (lanes.length > 0) await this.#forward(pick(random, lanes), random)
    }
  }

  /** Goes on until nothing is left to do. */
  async settle(random: Random): Promise<void> {
    for (let turn = 0; ; turn++) {
      if (turn > turnCountMax) throw new Error('partitions never come to rest')
      const waiting = [...this.#lanes.values()].filter(
        (lane) => lane.nextIndex < lane.records.length,
      )
      if (waiting.length > 0) await this.#forward(pick(random, waiting), random)
      let isDone = waiting.length === 0
      for (const fold of this.#folds) {
        if (await this.#fold(fold, 100)) isDone = false
      }
      if (isDone) return
    }
  }

  async records(): Promise<readonly LogRecord[]> {
    const all: LogRecord[] = []
    for (let partition = 0; partition < partitionCount; partition++) {
      all.push(...(await this.log.read(partition, 0, 100_000)))
    }
    return all
  }

  async people(): Promise<ReadonlyMap<string, Person>> {
    const people = new Map<string, Person>()
    for (let partition = 0; partition < partitionCount; partition++) {
      for (const { key, value } of await this.state.scan(partition, 'person/', '', 10_000)) {
        people.set(key.slice('person/'.length), decodePerson(value))
      }
    }
    return people
  }

  async traits(key: string): Promise<PersonTraits> {
    const partition = partitionOf(workspace, key, partitionCount)
    const [bytes] = await this.state.get(partition, [`trait/${key}`])
    return bytes === undefined ? {} : decodeJson<PersonTraits>(bytes)
  }

  async findings(): Promise<Readonly<Record<string, number>>> {
    const sums: Record<string, number> = {}
    for (let partition = 0; partition < partitionCount; partition++) {
      const { findings = {} } = (await readMeta(this.state, partition)) ?? assert.fail('no meta')
      for (const [kind, count] of Object.entries(findings)) sums[kind] = (sums[kind] ?? 0) + count
    }
    return sums
  }

  async #fold(fold: PartitionFold, countMax: number): Promise<boolean> {
    const records = await this.log.read(fold.partition, fold.cursor, countMax)
    if (records.length === 0) return false
    await fold.fold(records, () => false)
    if (fold.stopped !== undefined) throw fold.stopped.cause
    const { commit } = fold.takeCommit(owner, 'test')
    const [answer] = await this.state.commit([commit])
    if (answer !== 'committed') throw new Error(`commit: ${answer}`)
    fold.committed(commit)
    for (const { key, value } of commit.changes) {
      if (value === undefined || !key.startsWith(outboxPrefix)) continue
      const { target } = parseOutboxKey(key)
      const name = `${fold.partition}>${target}`
      const lane = this.#lanes.get(name) ?? { target, records: [], nextIndex: 0 }
      this.#lanes.set(name, lane)
      lane.records.push(decodeRecord(target, 0, value))
    }
    return true
  }

  /** Brings the next record of a lane, and sometimes some of those before it once more. */
  async #forward(lane: Lane, random: Random): Promise<void> {
    const isAgain = lane.nextIndex > 0 && random.unit() < 0.2
    if (isAgain) lane.nextIndex -= Math.ceil(Math.min(3, lane.nextIndex) * random.unit())
    const record = lane.records[lane.nextIndex]
    if (record === undefined) return
    lane.nextIndex++
    await this.log.append([record])
  }
}

export function pick<Value>(random: Random, values: readonly Value[]): Value {
  return values[Math.floor(random.unit() * values.length)] as Value
}

/** Follows pointers to the key that leads. */
export function leaderOf(people: ReadonlyMap<string, Person>, key: string): string {
  let current = key
  for (let hop = 0; hop < 100; hop++) {
    const pointer = people.get(current)?.pointer
    if (pointer === undefined) return current
    current = pointer
  }
  throw new Error(`pointers of ${key} do not end`)
}
