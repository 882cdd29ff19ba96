/**
 * Folds one random history by random rules, and compares every membership with the naive reading of
 * the rule: behind each record, and at the instants around each edge that a window or a wait can
 * have. Then folds the log again from nothing and compares the state.
 */

import type { Event } from '../../src/event/event.ts'
import { personKeyOf } from '../../src/event/event.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { sha256Bytes, sha256Hex } from '../../src/lib/hash.ts'
import type { JsonObject } from '../../src/lib/json.ts'
import { silentLogger } from '../../src/lib/logger.ts'
import { createSeededRandom } from '../../src/lib/random.ts'
import { createMemoryEventLog } from '../../src/log/memory-event-log.ts'
import { decodeRecord, emptyBody, type NewRecord, type RecordKind } from '../../src/log/record.ts'
import type { CompiledDefinitions } from '../../src/process/definitions.ts'
import { compileDefinitions, emptyDocument } from '../../src/process/definitions.ts'
import { Filler } from '../../src/process/filler.ts'
import { decodeKeyList, encodeKeyList, type KeyList } from '../../src/process/key-list.ts'
import type { Owned } from '../../src/process/ownership.ts'
import { PartitionFold } from '../../src/process/partition-fold.ts'
import { decodePerson, type Person, personPrefix } from '../../src/profile/person.ts'
import { hashPartition } from '../../src/state/dump.ts'
import {
  createMemoryStateStore,
  type MemoryStateStore,
} from '../../src/state/memory-state-store.ts'
import { isMember, type NaiveEvent, type NaiveRules } from './naive-rule.ts'
import type { NaiveTraits } from './naive-trait.ts'
import {
  baseMs,
  Dice,
  deviceId,
  type GivenEvent,
  lengthMs,
  randomHistory,
  randomRules,
  type Step,
  userId,
} from './random-segments.ts'
import { randomTraits } from './random-traits.ts'

export interface OracleOptions {
  readonly seed: number
  readonly ruleCount: number
  readonly eventCount: number
  /** Instants looked at between records. */
  readonly edgeCountMax: number
}

export interface OracleResult {
  readonly comparedCount: number
  /** How often a membership was found to have turned. */
  readonly turnCount: number
  /** The first difference. */
  readonly failure?: string
}

const userKey = `user:${userId}`
const deviceKey = `anonymous:${deviceId}`
const owner = { epoch: 1, nonce: 'n' }

export async function runOracle(options: OracleOptions): Promise<OracleResult> {
  const dice = new Dice(createSeededRandom(options.seed))
  const traits = randomTraits(dice)
  const world = new OracleWorld([
    { rules: randomRules(dice, options.ruleCount), traits },
    { rules: randomRules(dice, options.ruleCount), traits: randomTraits(dice, traits) },
  ])
  const history = [...randomHistory(dice, options.eventCount)]
  if (dice.chance(0.6)) {
    const at = dice.whole(0, history.length - 1)
    history.splice(at, 0, { atMs: history[at]?.atMs ?? 0, happens: { kind: 'definitions' } })
  }
  await world.open()
  const edges = edgesOf(history)
  const edgeShare = Math.min(1, options.edgeCountMax / edges.length)
  let next = 0
  for (const step of [...history, { atMs: baseMs + lengthMs + 200_000 }]) {
    for (; (edges[next] ?? Number.POSITIVE_INFINITY) < step.atMs; next++) {
      if (dice.chance(edgeShare)) await world.lookAt(edges[next] ?? 0)
    }
    if ('happens' in step) await world.happen(step)
    if (world.failure !== undefined) break
  }
  if (world.failure === undefined) await world.checkRebuild()
  const { comparedCount, turnCount, failure } = world
  return { comparedCount, turnCount, ...(failure === undefined ? {} : { failure }) }
}

/** All instants at which a rule can turn by time, and those a millisecond before. */
function edgesOf(history: readonly Step[]): readonly number[] {
  const lengths = [0, 1, 2, 5, 10, 15, 20, 30, 45, 60].map((seconds) => seconds * 1000)
  const times = history.flatMap(({ happens }) => {
    if (happens.kind !== 'event') return []
    const seenAt = Date.parse(`${happens.event.traits?.['seenAt']}`)
    return [happens.event.occurredAtMs, ...(Number.isNaN(seenAt) ? [] : [seenAt])]
  })
  const edges = new Set<number>()
  for (const atMs of times) {
    for (const length of lengths) {
      for (const edge of [atMs + length, atMs - length]) {
        for (const around of [edge - 1, edge, edge + 1]) if (around > baseMs) edges.add(around)
      }
    }
  }
  return [...edges].sort((left, right) => left - right)
}

interface NaiveDocument {
  readonly rules: NaiveRules
  readonly traits: NaiveTraits
}

class OracleWorld {
  comparedCount = 0
  turnCount = 0
  failure: string | undefined
  readonly #log = createMemoryEventLog({ identity: { incarnation: 'oracle', partitionCount: 1 } })
  readonly #state = createMemoryStateStore()
  readonly #documents: readonly NaiveDocument[]
  readonly #definitions = new Map<string, CompiledDefinitions>()
  readonly #blobs = new Map<string, Uint8Array>()
  readonly #lists = new Map<string, ReadonlySet<string>>()
  readonly #events: { readonly key: string; readonly event: NaiveEvent }[] = []
  readonly #fold: PartitionFold
  readonly #filler: Filler
  #nowMs = baseMs
  #inForce = 0
  #isClaimed = false
  #recordCount = 0
  #before = new Set<string>()

  constructor(documents: readonly NaiveDocument[]) {
    this.#documents = documents
    this.#fold = this.#createFold(this.#state)
    this.#filler = this.#createFiller()
  }

  async open(): Promise<void> {
    await this.#state.acquire(0, owner.epoch, owner.nonce)
    await this.#fold.open(await this.#state.head(0))
    await this.#append('owner', 'control:0', owner, baseMs)
    await this.#applyDocument(0, baseMs)
    await this.#settle(baseMs)
  }

  async happen({ atMs, happens }: Step): Promise<void> {
    await this.#append('tick', 'control:0', owner, atMs)
    if (happens.kind === 'event') await this.#appendEvent(happens.event, atMs)
    else if (happens.kind === 'list') await this.#replaceList(happens.name, happens.keys, atMs)
    else await this.#applyDocument(1, atMs)
    await this.#settle(atMs)
    await this.#compare(atMs)
  }

  async lookAt(atMs: number): Promise<void> {
    if (this.failure !== undefined) return
    await this.#append('tick', 'control:0', owner, atMs)
    await this.#foldToEnd(this.#fold, this.#state)
    await this.#compare(atMs)
  }

  async checkRebuild(): Promise<void> {
    const state = createMemoryStateStore()
    await state.acquire(0, owner.epoch, owner.nonce)
    const fold = this.#createFold(state)
    await fold.open(await state.head(0))
    await this.#foldToEnd(fold, state, 7)
    // What was forwarded is deleted by the owner, and not by a fold alone.
    for (const store of [this.#state, state]) await deleteOutbox(store)
    const [made, again] = [await hashPartition(this.#state, 0), await hashPartition(state, 0)]
    if (made !== again) this.failure = 'a rebuild gives another state'
  }

  #createFold(state: MemoryStateStore): PartitionFold {
    const deps = { ...this.#sources(), state }
    return new PartitionFold(deps, { workspace: 'default', partitionCount: 1, partition: 0 })
  }

  #createFiller(): Filler {
    const deps = {
      ...{ ...this.#sources(), state: this.#state },
      clock: { ...systemClock, nowMs: () => this.#nowMs },
      random: createSeededRandom(1),
      logger: silentLogger,
      openScratch: createMemoryStateStore,
    }
    return new Filler(deps, 'default', 1)
  }

  #sources() {
    const definitionsOf = async (hash: string): Promise<CompiledDefinitions> =>
      present(this.#definitions.get(hash))
    const listOf = async (hash: string): Promise<KeyList> =>
      decodeKeyList(present(this.#blobs.get(hash)))
    return { log: this.#log, definitionsOf, listOf }
  }

  async #applyDocument(index: number, atMs: number): Promise<void> {
    const { rules, traits } = present(this.#documents[index])
    const segments = filesOf(rules)
    const document = { ...emptyDocument, segments, traits: filesOf(traits) }
    const hash = sha256Hex(JSON.stringify([segments, document.traits]))
    const answer = compileDefinitions(document, hash)
    if (answer.kind === 'refused') throw new Error(JSON.stringify(answer.faults))
    this.#definitions.set(hash, answer.definitions)
    this.#inForce = index
    await this.#append('apply', 'control:0', { version: 0, hash }, atMs)
  }

  async #replaceList(name: string, keys: readonly string[], atMs: number): Promise<void> {
    const bytes = encodeKeyList(keys)
    const hash = sha256Hex(bytes)
    this.#blobs.set(hash, bytes)
    this.#lists.set(name, new Set(keys))
    const list = { name, hash, keyCount: keys.length }
    await this.#append('apply', 'control:0', { list }, atMs)
  }

  async #appendEvent(given: GivenEvent, atMs: number): Promise<void> {
    const { isBackfill, ...rest } = given
    const event: Event = {
      eventId: `e${this.#events.length}`,
      sourceId: 'web',
      receivedAtMs: atMs,
      ...rest,
    }
    const key = personKeyOf(event)
    if (given.userId !== undefined && given.anonymousId !== undefined) this.#isClaimed = true
    const id = sha256Bytes(`event ${this.#events.length}`, 16)
    const naive: NaiveEvent = {
      name: given.name,
      atMs: given.occurredAtMs,
      ref: Buffer.from(id).readUInt32BE(0),
      properties: given.properties ?? {},
      ...(given.traits === undefined ? {} : { traits: given.traits }),
      isIdentity: given.type === 'identify',
      order: this.#events.length,
      foldMs: atMs,
    }
    this.#events.push({ key, event: naive })
    const body = Buffer.from(JSON.stringify(event))
    const skeleton = { eventId: event.eventId, sourceId: 'web', name: event.name }
    await this.#append('event', key, skeleton, atMs, { id, body, isBackfill })
  }

  /** Forwards the outbox, fills traits and evaluates everybody, until nothing is left. */
  async #settle(atMs: number): Promise<void> {
    this.#nowMs = atMs
    const owned: Owned = {
      ...{ fold: this.#fold, ...owner, isAnnounced: true, isOwner: true },
      ...{ tickedAtMs: 0, isStopKnown: false },
    }
    for (let round = 0; round < 200; round++) {
      await this.#foldToEnd(this.#fold, this.#state)
      const sent = await takeOutbox(this.#state)
      for (const record of sent) await this.#log.append([record])
      const { evaluation } = this.#fold.scope.meta
      const isFilling = await this.#filler.step([owned], 0)
      if (isFilling) continue
      if (sent.length === 0 && evaluation === undefined) return
      if (sent.length > 0 || evaluation === undefined) continue
      const { number, after } = evaluation
      const skeleton = { task: 'segments', epoch: 1, number, after, peopleCountMax: 1 }
      await this.#append('continue', 'control:0', skeleton, atMs)
    }
    throw new Error('the world never settles')
  }

  async #append(
    kind: RecordKind,
    key: string,
    skeleton: unknown,
    recordedAtMs: number,
    given: Partial<NewRecord> = {},
  ): Promise<void> {
    const id = sha256Bytes(`${kind} ${this.#recordCount++}`, 16)
    const shared = { partition: 0, keyId: 0, isBackfill: false, body: emptyBody }
    await this.#log.append([{ ...shared, kind, key, id, recordedAtMs, skeleton, ...given }])
  }

  async #foldToEnd(fold: PartitionFold, state: MemoryStateStore, countMax = 100): Promise<void> {
    for (;;) {
      const records = await this.#log.read(0, fold.cursor, countMax)
      if (fold.stopped !== undefined) throw new Error('the fold stopped', { cause: fold.stopped })
      if (records.length === 0) return
      await fold.fold(records, () => false)
      const { commit } = fold.takeCommit(owner, 'oracle')
      await state.commit([commit])
      fold.committed(commit)
    }
  }

  async #compare(atMs: number): Promise<void> {
    const [bytes] = await this.#state.get(0, [personPrefix + userKey])
    if (bytes === undefined) return
    const person = decodePerson(bytes)
    // A device of which nothing came is no key of theirs yet.
    const isTheirs = this.#isClaimed && this.#events.some(({ key }) => key === deviceKey)
    const keys = isTheirs ? [userKey, deviceKey] : [userKey]
    const events = this.#events.filter(({ key }) => keys.includes(key)).map(({ event }) => event)
    const { rules, traits } = present(this.#documents[this.#inForce])
    const naive = { key: userKey, keys, events, lists: this.#lists, traits }
    const members = new Set<string>()
    for (const [name, rule] of rules) {
      const expected = isMember(rules, name, naive, atMs)
      const found = Object.hasOwn(person.memberships, name)
      this.comparedCount++
      if (found) members.add(name)
      if (found === expected) continue
      this.failure ??=
        `${found ? 'in' : 'not in'} ${name} at ${atMs - baseMs} ms, against ` +
        `${JSON.stringify(rule)} and ${describe(person, events)}`
    }
    this.turnCount += [...members].filter((name) => !this.#before.has(name)).length
    this.#before = members
  }
}

function filesOf(definitions: ReadonlyMap<string, JsonObject>) {
  return [...definitions].map(([name, content]) => ({ name, content }))
}

function describe(person: Person, events: readonly NaiveEvent[]): string {
  const shown = events.map(({ name, atMs, properties, traits }) => {
    return `\n  ${name} at ${atMs - baseMs}: ${JSON.stringify(traits ?? properties)}`
  })
  return `${person.key}, version ${person.version}:${shown.join('')}`
}

async function takeOutbox(state: MemoryStateStore): Promise<readonly NewRecord[]> {
  const entries = await state.scan(0, 'outbox/', '', 1000)
  await deleteOutbox(state)
  return entries.map(({ value }) => decodeRecord(0, 0, value))
}

async function deleteOutbox(state: MemoryStateStore): Promise<void> {
  const entries = await state.scan(0, 'outbox/', '', 10_000)
  const head = await state.head(0)
  const changes = entries.map(({ key }) => ({ key, value: undefined }))
  await state.commit([{ ...head, partition: 0, previousOffset: head.offset, changes }])
}

function present<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new Error('it is there')
  return value
}
