/**
 * Sees every effect of every process, in one order, and knows what is true in the stores at each
 * instant.
 *
 * What must hold at the moment of an effect is checked here, by plain book-keeping: nothing is
 * forwarded before its commit, nothing handed over before its grant or after a suppression, no
 * commit of an old epoch is taken.
 */

import { createHash } from 'node:crypto'
import type { Message } from '../../src/campaign/message.ts'
import type { HandOverRequest } from '../../src/delivery/mailer.ts'
import { addressKeyOf, isSuppressed, type Suppression } from '../../src/delivery/suppression.ts'
import { sha256Hex } from '../../src/lib/hash.ts'
import { countThrough } from '../../src/log/count-through.ts'
import type { Place } from '../../src/log/event-log.ts'
import { decodeRecord, encodeRecord, type LogRecord, type NewRecord } from '../../src/log/record.ts'
import { decodePerson } from '../../src/profile/person.ts'
import type { CommitAnswer, Head, PartitionCommit } from '../../src/state/state-store.ts'
import type { Timeline } from './virtual-clock.ts'
import { addressSecret, partitionCount } from './world-definitions.ts'

/** I7 lets this much time pass between the check and the first byte. */
const checkMsMax = 2000
const recentCount = 60
const hopCountMax = 64
const hashedLengthMin = 16_384

export interface SeenHandOver {
  readonly atMs: number
  readonly process: string
  readonly messageId: string
  readonly attempt: number
  readonly to: string
  readonly rawHash: string
  /** What became of it, as the provider knows; '' while under way. */
  outcome: string
}

/** A message became due, or granted, or an address was suppressed. */
export type Moment = 'due' | 'granted' | 'suppressed'

interface PersonFacts {
  readonly pointer?: string
  /** When it was first seen to point there. */
  readonly pointedAtMs: number
  readonly withdrawn: Map<string, number>
}

export class Observer {
  readonly violations: string[] = []
  readonly handOvers: SeenHandOver[] = []
  /** By partition, in the order of offsets: what was appended and when. */
  readonly log: (LogRecord & { readonly appendedAtMs: number })[][]
  readonly committedOffsets: number[]
  /** True age at the moment a person was read to be shown, by process and key. */
  readonly shownAges = new Map<string, number>()
  readonly messages = new Map<string, Message>()
  /** Of every grant ever committed: message/attempt to epoch. */
  readonly grants = new Map<string, number>()
  readonly recent: string[] = []
  effectCount = 0
  /** Told at once of commits that a hostile world would wait for. */
  onMoment: (moment: Moment, what: string) => void = () => {}
  readonly #timeline: Timeline
  readonly #hash = createHash('sha256')
  /** The newest lines of the trace: many are hashed in one go. */
  #unhashed = ''
  readonly #epochs: number[]
  readonly #grantedBy = new Set<string>()
  readonly #outbox = new Set<string>()
  readonly #unsent = new Map<string, { readonly key: string; readonly sinceMs: number }>()
  readonly #suppressed = new Map<
    string,
    { readonly value: Suppression; readonly sinceMs: number }[]
  >()
  readonly #people = new Map<string, PersonFacts>()
  readonly #effectCountMax: number

  /** A world that has more effects than `effectCountMax` has no end. */
  constructor(timeline: Timeline, effectCountMax: number) {
    this.#timeline = timeline
    this.#effectCountMax = effectCountMax
    this.log = Array.from({ length: partitionCount }, () => [])
    this.committedOffsets = this.log.map(() => 0)
    this.#epochs = this.log.map(() => 0)
  }

  /** Writes one line of the trace. */
  note(process: string, what: string): void {
    const line = `${this.#timeline.nowMs} ${process} ${what}`
    this.effectCount++
    // It may go round at one instant: only an error gets out of there.
    if (this.effectCount > this.#effectCountMax) throw new Error('goes on without end')
    this.#unhashed += `${line}\n`
    if (this.#unhashed.length > hashedLengthMin) this.#hashOn()
    this.recent.push(line)
    if (this.recent.length > 2 * recentCount) this.recent.splice(0, recentCount)
  }

  violate(invariant: string, says: string): void {
    this.violations.push(`${invariant}: ${says} (at ${this.#timeline.nowMs})`)
  }

  /** SHA-256 over all that happened, in order. */
  traceHash(): string {
    this.#hashOn()
    return this.#hash.copy().digest('hex')
  }

  #hashOn(): void {
    this.#hash.update(this.#unhashed)
    this.#unhashed = ''
  }

  appended(process: string, records: readonly NewRecord[], places: readonly Place[]): void {
    records.forEach((record, index) => {
      const place = places[index]
      if (place === undefined) return
      const { partition, offset } = place
      this.note(process, `append ${record.kind} ${partition}:${offset} ${record.key}`)
      const written = decodeRecord(partition, offset, encodeRecord(record))
      this.log[partition]?.push({ ...written, appendedAtMs: this.#timeline.nowMs })
      if (record.outbox === undefined) return
      const { source, offset: from, index: at } = record.outbox
      const id = `${source}:${from}:${at}`
      if (!this.#outbox.has(id)) {
        this.violate('order', `outbox ${id} was forwarded before its commit`)
      }
      this.#unsent.delete(id)
    })
  }

  acquired(process: string, partition: number, epoch: number, answer: string): void {
    this.note(process, `acquire ${partition} epoch ${epoch} ${answer}`)
    if (answer === 'acquired')
      this.#epochs[partition] = Math.max(this.#epochs[partition] ?? 0, epoch)
  }

  committed(process: string, commit: PartitionCommit, answer: CommitAnswer): void {
    const { partition, epoch, offset, changes } = commit
    this.note(process, `commit ${partition} to ${offset} with ${changes.length} changes: ${answer}`)
    if (answer !== 'committed') return
    if (epoch < (this.#epochs[partition] ?? 0)) {
      this.violate('I6', `a commit of epoch ${epoch} was taken in partition ${partition}`)
    }
    this.committedOffsets[partition] = offset
    for (const { key, value } of changes) {
      if (value === undefined) continue
      const { buffer, byteOffset, byteLength } = value
      this.#changed(process, partition, key, Buffer.from(buffer, byteOffset, byteLength))
    }
  }

  /** The store lost its newest commits; what they let happen has happened all the same. */
  rolledBack(partition: number, { offset, epoch }: Head): void {
    this.note('world', `partition ${partition} of the state is back at ${offset}`)
    this.committedOffsets[partition] = offset
    this.#epochs[partition] = epoch
  }

  /** A person is about to be read, to be shown: notes how old the state is at this instant. */
  readToShow(process: string, partition: number, key: string): void {
    let ageMs = this.#ageOf(partition, () => true)
    this.log.forEach((records, source) => {
      if (records.at(-1)?.offset === this.committedOffsets[source]) return
      const isOfDevice = (record: LogRecord): boolean => this.leadingKey(record.key) === key
      ageMs = Math.max(ageMs, this.#ageOf(source, isOfDevice))
    })
    for (const entry of this.#unsent.values()) {
      if (entry.key === key) ageMs = Math.max(ageMs, this.#timeline.nowMs - entry.sinceMs)
    }
    this.shownAges.set(`${process}|${key}`, ageMs)
  }

  evidenceStored(process: string, messageId: string, jumpedMs: number): void {
    const message = this.messages.get(messageId)
    if (message === undefined) return
    const ageMs = this.shownAges.get(`${process}|${this.leadingKey(message.personKey)}`) ?? 0
    if (ageMs > message.freshWithinMs + jumpedMs) {
      this.violate('I9', `${messageId} shows data ${ageMs} ms old, over ${message.freshWithinMs}`)
    }
  }

  handOverBegins(process: string, request: HandOverRequest, jumpedMs: number): SeenHandOver {
    const { messageId, attempt, envelopeTo: to, raw } = request
    const nowMs = this.#timeline.nowMs
    const rawHash = sha256Hex(raw)
    this.note(process, `hand over ${messageId} attempt ${attempt} ${rawHash.slice(0, 12)}`)
    if (!this.#grantedBy.has(`${process}|${messageId}|${attempt}`)) {
      this.violate('order', `${messageId} attempt ${attempt} was handed over before its grant`)
    }
    const message = this.messages.get(messageId)
    if (message !== undefined && nowMs - message.notAfterMs > checkMsMax + jumpedMs) {
      this.violate('I8', `${messageId} lapsed ${nowMs - message.notAfterMs} ms ago`)
    }
    const topic = message?.topic ?? ''
    const key = addressKeyOf(addressSecret, to)
    const suppression = this.#suppressed.get(key)?.find(({ value }) => isSuppressed(value, topic))
    if (suppression !== undefined && nowMs - suppression.sinceMs > checkMsMax) {
      const agoMs = nowMs - suppression.sinceMs
      this.violate('I7', `${messageId} goes to an address suppressed ${agoMs} ms ago`)
    }
    const { key: leader, sinceMs: joinedMs } = this.#leaderOf(message?.personKey ?? '')
    const withdrawn = this.#people.get(leader)?.withdrawn
    const withdrawnMs = Math.min(withdrawn?.get('*') ?? nowMs, withdrawn?.get(topic) ?? nowMs)
    // Who has joined another a moment ago could not be known by what that one said.
    const sinceMs = Math.max(joinedMs, withdrawnMs)
    if (nowMs - sinceMs > checkMsMax) {
      this.violate('I7', `${messageId} goes to one who withdrew ${nowMs - sinceMs} ms ago`)
    }
    const seen: SeenHandOver = {
      atMs: nowMs,
      process,
      messageId,
      attempt,
      to,
      rawHash,
      outcome: '',
    }
    this.handOvers.push(seen)
    return seen
  }

  /** Keys that have joined another, as last committed. */
  joinedKeys(): readonly string[] {
    return [...this.#people].flatMap(([key, { pointer }]) => (pointer === undefined ? [] : [key]))
  }

  leadingKey(key: string): string {
    return this.#leaderOf(key).key
  }

  /**
   * Follows a key to the one who leads, and says since when it does. A commit that was lost may
   * have bent pointers.
   */
  #leaderOf(key: string): { readonly key: string; readonly sinceMs: number } {
    let current = key
    let sinceMs = 0
    for (let hop = 0; hop < hopCountMax; hop++) {
      const facts = this.#people.get(current)
      if (facts?.pointer === undefined) break
      current = facts.pointer
      sinceMs = Math.max(sinceMs, facts.pointedAtMs)
    }
    return { key: current, sinceMs }
  }

  unsentOutbox(): readonly string[] {
    return [...this.#unsent.keys()]
  }

  #ageOf(partition: number, isMeant: (record: LogRecord) => boolean): number {
    const records = this.log[partition] ?? []
    const committed = this.committedOffsets[partition] ?? 0
    for (const record of records.slice(countThrough(records, committed))) {
      if (isMeant(record)) return this.#timeline.nowMs - record.appendedAtMs
    }
    return 0
  }

  #changed(process: string, partition: number, key: string, value: Buffer): void {
    const family = key.slice(0, key.indexOf('/'))
    const rest = key.slice(family.length + 1)
    if (family === 'outbox') this.#outboxCommitted(partition, rest, value)
    else if (family === 'message') this.#messageCommitted(process, value)
    else if (family === 'suppression') {
      const known = this.#suppressed.get(rest) ?? []
      const suppression = JSON.parse(value.toString()) as Suppression
      known.push({ value: suppression, sinceMs: this.#timeline.nowMs })
      this.#suppressed.set(rest, known)
      this.onMoment('suppressed', rest)
    } else if (family === 'person') this.#personCommitted(rest, value)
  }

  #outboxCommitted(partition: number, rest: string, value: Buffer): void {
    const [, offset = '', index = ''] = rest.split('/')
    const from = Number.parseInt(offset, 16)
    const id = `${partition}:${from}:${Number.parseInt(index, 16)}`
    if (this.#outbox.has(id)) return
    // The key stands behind the fixed head and the outbox id, with its length before it.
    const keyAt = 31 + 26
    const recordKey = value.toString('utf8', keyAt + 2, keyAt + 2 + value.readUInt16BE(keyAt))
    const sinceMs = this.log[partition]?.[from - 1]?.appendedAtMs ?? this.#timeline.nowMs
    this.#outbox.add(id)
    this.#unsent.set(id, { key: recordKey, sinceMs })
  }

  #messageCommitted(process: string, value: Buffer): void {
    const message = JSON.parse(value.toString()) as Message
    const { messageId, state } = message
    this.messages.set(messageId, message)
    if (state.kind === 'due' || state.kind === 'granted') this.onMoment(state.kind, messageId)
    if (state.kind !== 'granted') return
    this.#grantedBy.add(`${process}|${messageId}|${state.attempt}`)
    this.grants.set(`${messageId}|${state.attempt}`, state.epoch)
  }

  #personCommitted(key: string, value: Buffer): void {
    // Most people neither moved nor left: looking at the bytes saves decoding them.
    const isPlain = !value.includes('"pointer":') && !value.includes('"withdrawn":{"')
    if (isPlain && !this.#people.has(key)) return
    const { nowMs } = this.#timeline
    const { pointer, withdrawn } = decodePerson(value)
    const known = this.#people.get(key)
    const since = known?.withdrawn ?? new Map<string, number>()
    for (const topic of Object.keys(withdrawn)) {
      if (!since.has(topic)) since.set(topic, nowMs)
    }
    const pointedAtMs = pointer === known?.pointer ? (known?.pointedAtMs ?? nowMs) : nowMs
    const facts = { withdrawn: since, pointedAtMs }
    this.#people.set(key, pointer === undefined ? facts : { ...facts, pointer })
  }
}
