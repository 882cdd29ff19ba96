/**
 * What waits to be appended to a log elsewhere: a lane of records for each partition, and the calls
 * that they came with.
 *
 * One piece of a lane is on its way at a time: what is called meanwhile waits and goes into the
 * next one, so that a request serves many callers. A piece that fails is sent again as it was,
 * before anything that came after it. A call is answered when the last of its records has its
 * place; one whose time is over is rejected, and what of it was not sent yet never is.
 */

import { assert } from '../lib/assert.ts'
import type { Clock } from '../lib/clock.ts'
import { OperatingError } from '../lib/errors.ts'
import type { Place } from './event-log.ts'
import { encodeRecord, type NewRecord, recordBytesMax } from './record.ts'

interface AppendCall {
  readonly places: Place[]
  readonly bytes: number
  readonly deadlineMs: number
  leftCount: number
  isSettled: boolean
  resolve(places: readonly Place[]): void
  reject(error: OperatingError): void
}

/** A record that waits, with its place in its call. */
export interface AppendItem {
  readonly key: string
  readonly value: Buffer
  readonly timestampMs: number
  readonly call: AppendCall
  readonly index: number
}

export interface AppendPiece {
  readonly items: readonly AppendItem[]
  bytes: Buffer
}

export interface AppendLane {
  readonly partition: number
  waiting: AppendItem[]
  /** What was sent, or will be sent again, before anything that waits. */
  sent: AppendPiece | undefined
  isFlying: boolean
  /** After a failure, not sent before. */
  notBeforeMs: number
}

export function createLane(partition: number): AppendLane {
  return { partition, waiting: [], sent: undefined, isFlying: false, notBeforeMs: 0 }
}

export interface AppendQueueOptions<Lane extends AppendLane> {
  readonly clock: Clock
  readonly queueBytesHigh: number
  readonly appendMsMax: number
  /** One for each partition, in order. */
  readonly lanes: readonly Lane[]
  /** Sends of these lanes what may be sent now; what it leaves is offered again. */
  send(lanes: readonly Lane[]): void
}

export interface AppendRequest<Lane extends AppendLane> {
  readonly bytesMax: number
  readonly countMax: number
  /** Makes what is to be sent of a lane next. */
  pieceOf(lane: Lane): AppendPiece
}

export class AppendQueue<Lane extends AppendLane> {
  readonly #options: AppendQueueOptions<Lane>
  /** Lanes with something to send. */
  readonly #ready = new Set<Lane>()
  #bytes = 0
  #callCount = 0
  #isPumpDue = false
  #isTimerSet = false
  #onDrained: (() => void) | undefined
  #closed: OperatingError | undefined

  constructor(options: AppendQueueOptions<Lane>) {
    this.#options = options
  }

  /** Bytes of all calls that are not answered. */
  get bytes(): number {
    return this.#bytes
  }

  append(records: readonly NewRecord[]): Promise<readonly Place[]> {
    if (this.#closed) throw this.#closed
    if (records.length === 0) return Promise.resolve([])
    const encoded = records.map((record) => this.#encode(record))
    const bytes = encoded.reduce((sum, value) => sum + value.length, 0)
    const { clock, queueBytesHigh, appendMsMax } = this.#options
    if (this.#bytes + bytes > queueBytesHigh) {
      throw new OperatingError('LOG_OVERLOADED', `append ${records.length} records`)
    }
    return new Promise((resolve, reject) => {
      const deadlineMs = clock.monotonicMs() + appendMsMax
      const leftCount = records.length
      const call = { places: [], bytes, deadlineMs, leftCount, isSettled: false, resolve, reject }
      this.#bytes += bytes
      this.#callCount++
      for (const [index, { partition, key, recordedAtMs }] of records.entries()) {
        const lane = this.#laneOf(partition)
        const value = encoded[index]
        assert(value, 'each record was encoded')
        lane.waiting.push({ key, value, timestampMs: recordedAtMs, call, index })
        this.#ready.add(lane)
      }
      this.pumpSoon()
    })
  }

  /** Resolves when all calls in hand are answered; refuses further ones at once. */
  async close(): Promise<void> {
    this.#closed ??= new OperatingError('STORE_UNREACHABLE', 'use a log that is closed')
    if (this.#callCount === 0) return
    const drained = Promise.withResolvers<void>()
    this.#onDrained = drained.resolve
    await drained.promise
  }

  /** Calls of one turn of the event loop travel together. */
  pumpSoon(): void {
    if (this.#isPumpDue) return
    this.#isPumpDue = true
    setImmediate(() => {
      this.#isPumpDue = false
      this.#pump()
    })
  }

  /** Takes from what waits as much as fits; the first record always does. */
  take(lane: Lane, bytesOf: (item: AppendItem) => number, bytesMax: number): AppendItem[] {
    let count = 0
    let bytes = 0
    for (const item of lane.waiting) {
      bytes += bytesOf(item)
      if (count > 0 && bytes > bytesMax) break
      count++
    }
    const items = lane.waiting.slice(0, count)
    lane.waiting = lane.waiting.slice(count)
    return items
  }

  /** Returns the lanes whose pieces go into one request: the first always does. */
  depart(candidates: readonly Lane[], request: AppendRequest<Lane>): readonly Lane[] {
    const lanes: Lane[] = []
    let bytes = 0
    for (const lane of candidates) {
      lane.sent ??= request.pieceOf(lane)
      bytes += lane.sent.bytes.length
      const isFull = lanes.length === request.countMax || bytes > request.bytesMax
      // A later turn begins with those that were left out.
      if (lanes.length > 0 && isFull) break
      lane.isFlying = true
      lanes.push(lane)
      this.#ready.delete(lane)
    }
    return lanes
  }

  land(lanes: readonly Lane[]): void {
    for (const lane of lanes) {
      lane.isFlying = false
      this.#ready.add(lane)
    }
  }

  /** What was sent of the lane is in the log: its first record at `offset`, if that is known. */
  placed(lane: Lane, offset: number | undefined): void {
    const { partition } = lane
    const items = lane.sent?.items ?? []
    lane.sent = undefined
    for (const [at, { call, index }] of items.entries()) {
      call.places[index] = { partition, offset: offset === undefined ? 0 : offset + at }
      call.leftCount--
      if (call.leftCount === 0) this.#settle(call)
    }
    this.#restIfEmpty(lane)
  }

  /** What was sent of the lane was refused for good. */
  refused(lane: Lane, error: OperatingError): void {
    const items = lane.sent?.items ?? []
    lane.sent = undefined
    for (const { call } of items) this.#settle(call, error)
    this.#restIfEmpty(lane)
  }

  /**
   * After a failure: the lane waits until `notBeforeMs`, and what is late, or all where nothing can
   * succeed any more, is rejected. Answers whether that was so of what had been sent: nobody knows
   * then what became of it.
   */
  putOff(
    lane: Lane,
    failed: {
      readonly error: OperatingError
      readonly isOver: boolean
      readonly notBeforeMs: number
    },
  ): boolean {
    const nowMs = this.#options.clock.monotonicMs()
    const isSettled = ({ call }: AppendItem): boolean => call.isSettled
    const isLate = ({ call }: AppendItem): boolean => failed.isOver || call.deadlineMs <= nowMs
    lane.notBeforeMs = failed.notBeforeMs
    const sent = lane.sent?.items ?? []
    const isSentLate =
      sent.length > 0 &&
      (sent.some((item) => !isSettled(item) && isLate(item)) || sent.every(isSettled))
    if (isSentLate) this.refused(lane, failed.error)
    if (lane.sent === undefined) {
      const late = lane.waiting.filter((item) => isSettled(item) || isLate(item))
      lane.waiting = lane.waiting.filter((item) => !isSettled(item) && !isLate(item))
      for (const { call } of late) this.#settle(call, failed.error)
      this.#restIfEmpty(lane)
    }
    return isSentLate
  }

  #pump(): void {
    const nowMs = this.#options.clock.monotonicMs()
    const lanes: Lane[] = []
    let pauseMs = Number.POSITIVE_INFINITY
    for (const lane of this.#ready) {
      if (lane.isFlying) continue
      if (lane.notBeforeMs > nowMs) pauseMs = Math.min(pauseMs, lane.notBeforeMs - nowMs)
      else lanes.push(lane)
    }
    if (lanes.length > 0) this.#options.send(lanes)
    if (pauseMs < Number.POSITIVE_INFINITY) this.#pumpAfter(pauseMs)
  }

  /** A timer may come a little early; the pump then sets the next one. */
  #pumpAfter(ms: number): void {
    if (this.#isTimerSet) return
    this.#isTimerSet = true
    void this.#options.clock.sleep(Math.max(1, ms)).then(() => {
      this.#isTimerSet = false
      this.pumpSoon()
    })
  }

  #settle(call: AppendCall, error?: OperatingError): void {
    if (call.isSettled) return
    call.isSettled = true
    this.#bytes -= call.bytes
    this.#callCount--
    if (error) call.reject(error)
    else call.resolve(call.places)
    if (this.#callCount === 0) this.#onDrained?.()
  }

  #restIfEmpty(lane: Lane): void {
    if (lane.waiting.length === 0) this.#ready.delete(lane)
  }

  #laneOf(partition: number): Lane {
    const lane = this.#options.lanes[partition]
    assert(lane, 'a partition is one of the log')
    return lane
  }

  #encode(record: NewRecord): Buffer {
    this.#laneOf(record.partition)
    const value = encodeRecord(record)
    assert(value.length <= recordBytesMax, 'a record is at most recordBytesMax')
    return value
  }
}
