/**
 * Delivery beside the fold, in the owner of the partitions. Writes no state: it appends claims and
 * results.
 *
 * Due messages are named by the fold after each commit, and by the state's `due/` index at the
 * start of an ownership. The queue is bounded; what did not fit is found again in the index.
 */

import {
  type ClaimSkeleton,
  duePrefix,
  type Message,
  partitionOfMessage,
  type ResultSkeleton,
} from '../campaign/message.ts'
import { assert } from '../lib/assert.ts'
import { createBatcher } from '../lib/batcher.ts'
import { isRetryable } from '../lib/errors.ts'
import type { Logger } from '../lib/logger.ts'
import { createPace, type Pace } from '../lib/pace.ts'
import type { Random } from '../lib/random.ts'
import type { EventLog } from '../log/event-log.ts'
import { emptyBody, type NewRecord, type RecordKind } from '../log/record.ts'
import { type DeliverDeps, type DeliverOptions, deliverMessage } from './deliver-message.ts'
import { findMessage } from './read-state.ts'

export interface DeliveryDeps extends Omit<DeliverDeps, 'claim' | 'report' | 'pace'> {
  readonly log: EventLog
  readonly random: Random
  readonly logger: Logger
}

export interface DeliveryOptions extends DeliverOptions {
  /** Attempts under way at a time. */
  readonly attemptCountMax: number
  readonly queueCountMax: number
  /** Hand-overs begun in a second; absent = no limit. */
  readonly ratePerSecondMax?: number
}

const appendCountMax = 500
const appendRetryMs = 500
/** How long attempts in hand may take after a stop is asked for. */
const stopMsMax = 5000
const scanCount = 1000
/** How long a message whose data is too old is put aside, in `staleWaitMs`. */
const parkWaitCount = 50

/** What the fold's commits tell delivery. */
export interface DeliverySignals {
  /** This process is the owner in force, in `epoch`, from this commit on. */
  owned(partition: number, epoch: number): void
  messageDue(messageId: string): void
  claimAnswered(messageId: string, attempt: number, isGranted: boolean): void
}

export interface Delivery extends DeliverySignals {
  /** Runs until `signal` aborts; resolves when attempts in hand have ended. */
  run(signal: AbortSignal): Promise<void>
  readonly waitingCount: number
}

export function createDelivery(deps: DeliveryDeps, options: DeliveryOptions): Delivery {
  return new QueuedDelivery(deps, options)
}

class QueuedDelivery implements Delivery {
  readonly #deps: DeliveryDeps
  readonly #options: DeliveryOptions
  readonly #epochs = new Map<number, number>()
  /** Waiting and under way; a message is in it once. */
  readonly #known = new Set<string>()
  /** Named due while known: the answer to a result may come after the retry it asked for. */
  readonly #dueAgain = new Set<string>()
  #queue: string[] = []
  /** Partitions whose index may hold due messages that are not in the queue. */
  readonly #toScan = new Set<number>()
  /** By message and attempt: who waits for the fold's answer. */
  readonly #claims = new Map<string, (isGranted: boolean) => void>()
  readonly #append: (record: NewRecord) => Promise<void>
  readonly #pace: Pace | undefined
  #wake: () => void = () => {}

  constructor(deps: DeliveryDeps, options: DeliveryOptions) {
    assert(options.attemptCountMax > 0, 'delivery makes at least one attempt at a time')
    this.#deps = deps
    this.#options = options
    const { ratePerSecondMax } = options
    this.#pace =
      ratePerSecondMax === undefined ? undefined : createPace(deps.clock, ratePerSecondMax)
    this.#append = createBatcher(async (records: readonly NewRecord[]) => {
      await deps.log.append(records)
      return records.map(() => undefined)
    }, appendCountMax)
  }

  get waitingCount(): number {
    return this.#queue.length
  }

  owned(partition: number, epoch: number): void {
    this.#epochs.set(partition, epoch)
    this.#toScan.add(partition)
    this.#wake()
  }

  messageDue(messageId: string): void {
    if (this.#known.has(messageId)) this.#dueAgain.add(messageId)
    else this.#enqueue(messageId)
  }

  #enqueue(messageId: string): void {
    if (this.#known.has(messageId)) return
    if (this.#queue.length >= this.#options.queueCountMax) {
      this.#toScan.add(partitionOfMessage(messageId) ?? 0)
      return
    }
    this.#known.add(messageId)
    this.#queue.push(messageId)
    this.#wake()
  }

  claimAnswered(messageId: string, attempt: number, isGranted: boolean): void {
    const answer = this.#claims.get(claimKey(messageId, attempt))
    if (answer !== undefined) answer(isGranted)
    else if (isGranted) void this.#giveBack(messageId, attempt)
  }

  async run(signal: AbortSignal): Promise<void> {
    const underWay = new Set<Promise<void>>()
    const hard = new AbortController()
    const onAbort = (): void => {
      this.#wake()
      void this.#deps.clock.sleep(stopMsMax, hard.signal).then(() => hard.abort())
    }
    signal.addEventListener('abort', onAbort, { once: true })
    const onHardAbort = (): void => {
      for (const answer of this.#claims.values()) answer(false)
    }
    hard.signal.addEventListener('abort', onHardAbort, { once: true })
    while (!signal.aborted) {
      if (this.#queue.length === 0) await this.#scanIndex()
      const hasRoom = underWay.size < this.#options.attemptCountMax
      const messageId = hasRoom ? this.#queue.shift() : undefined
      if (messageId === undefined) {
        await this.#waitForWork(signal)
        continue
      }
      const attempt = this.#deliver(messageId, signal, hard.signal).finally(() => {
        underWay.delete(attempt)
        this.#wake()
      })
      underWay.add(attempt)
    }
    await Promise.allSettled(underWay)
    signal.removeEventListener('abort', onAbort)
    hard.abort()
  }

  async #deliver(messageId: string, soft: AbortSignal, hard: AbortSignal): Promise<void> {
    const deps: DeliverDeps = {
      ...this.#deps,
      claim: (message, attempt) => this.#claim(message, attempt, hard),
      report: (message, result) => this.#report(message, result),
      pace: (signal) => this.#pace?.wait(signal) ?? Promise.resolve(),
    }
    try {
      const end = await deliverMessage(deps, this.#options, messageId, { soft, hard })
      if (end === 'stale') void this.#park(messageId, soft)
      if (end === 'lapsed') await this.#claimLapsed(messageId)
    } catch (error) {
      const says = error instanceof Error ? error.message : String(error)
      this.#deps.logger.error({ messageId, error: says }, 'an attempt ended without a result')
      await this.#deps.clock.sleep(appendRetryMs, soft)
      this.#toScan.add(partitionOfMessage(messageId) ?? 0)
    } finally {
      this.#known.delete(messageId)
      if (this.#dueAgain.delete(messageId)) this.#enqueue(messageId)
    }
  }

  /**
   * Lets the fold say that the message has lapsed, whenever it gets there. Nobody waits for the
   * answer: a partition may stand still for long. A grant all the same is given back.
   */
  async #claimLapsed(messageId: string): Promise<void> {
    const message = await findMessage(this.#deps.place, messageId)
    const epoch = this.#epochs.get(partitionOfMessage(messageId) ?? 0)
    if (message?.state.kind !== 'due' || epoch === undefined) return
    const skeleton: ClaimSkeleton = { messageId, attempt: message.state.attempt + 1, epoch }
    await this.#append(this.#recordOf(message, 'claim', skeleton))
  }

  /** Looks again later, without holding the place of an attempt meanwhile. */
  async #park(messageId: string, soft: AbortSignal): Promise<void> {
    await this.#deps.clock.sleep(this.#options.staleWaitMs * parkWaitCount, soft)
    this.#enqueue(messageId)
  }

  async #claim(message: Message, attempt: number, hard: AbortSignal): Promise<boolean> {
    const partition = partitionOfMessage(message.messageId) ?? 0
    const epoch = this.#epochs.get(partition)
    if (epoch === undefined || hard.aborted) return false
    const { messageId } = message
    const key = claimKey(messageId, attempt)
    const answer = new Promise<boolean>((resolve) => this.#claims.set(key, resolve))
    const skeleton: ClaimSkeleton = { messageId, attempt, epoch }
    try {
      await this.#append(this.#recordOf(message, 'claim', skeleton))
      return await answer
    } finally {
      this.#claims.delete(key)
    }
  }

  /** A result is kept until the log takes it: losing it would make a delivered message unknown. */
  async #report(message: Message, skeleton: ResultSkeleton): Promise<void> {
    for (;;) {
      try {
        await this.#append(this.#recordOf(message, 'result', skeleton))
        return
      } catch (error) {
        if (!isRetryable(error)) throw error
        await this.#deps.clock.sleep(appendRetryMs)
      }
    }
  }

  /**
   * A grant of ours that nobody waits for was never handed over: it becomes due again later. Grants
   * of others are not ours to give back: after a store has lost commits, the log grants again what
   * a dead owner handed over.
   */
  async #giveBack(messageId: string, attempt: number): Promise<void> {
    const message = await findMessage(this.#deps.place, messageId)
    if (message?.state.kind !== 'granted' || message.state.attempt !== attempt) return
    if (message.state.epoch !== this.#epochs.get(partitionOfMessage(messageId) ?? 0)) return
    const says = 'the claim was answered after its attempt had ended'
    await this.#report(message, { messageId, attempt, result: 'deferred', says })
  }

  #recordOf(message: Message, kind: RecordKind, skeleton: unknown): NewRecord {
    return {
      partition: partitionOfMessage(message.messageId) ?? 0,
      key: message.personKey,
      kind,
      id: this.#deps.random.bytes(16),
      recordedAtMs: this.#deps.clock.nowMs(),
      isBackfill: false,
      keyId: 0,
      skeleton,
      body: emptyBody,
    }
  }

  async #scanIndex(): Promise<void> {
    for (const partition of [...this.#toScan]) {
      this.#toScan.delete(partition)
      let after = ''
      for (;;) {
        const { state } = this.#deps.place
        const page = await state.scan(partition, duePrefix, after, scanCount)
        for (const { key } of page) this.#enqueue(key.slice(duePrefix.length))
        if (page.length < scanCount || this.#toScan.has(partition)) break
        after = page.at(-1)?.key ?? ''
      }
      if (this.#queue.length >= this.#options.queueCountMax) return
    }
  }

  #waitForWork(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }
}

function claimKey(messageId: string, attempt: number): string {
  return `${messageId}/${attempt}`
}
