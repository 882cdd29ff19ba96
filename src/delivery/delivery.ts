/**
 * Delivery beside the fold, in the owner of the partitions. Writes no state: it appends claims and
 * results.
 *
 * Due messages are named by the fold after each commit, and by the state's `due/` index at the
 * start of an ownership. The queue is bounded; what did not fit is found again in the index.
 */

import { setMaxListeners } from 'node:events'
import {
  type ClaimSkeleton,
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
import { DueIndex } from './due-index.ts'
import { findMessage } from './read-state.ts'
import { type DueWatchDeps, watchDue } from './watch-due.ts'

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
  /**
   * How long attempts in hand may take for a partition that another owner waits for; what is under
   * way then ends at once, unclear where its message had left.
   */
  readonly drainMsMax?: number
  /** How often it looks whether a due message was forgotten. */
  readonly dueLookMs?: number
}

const appendCountMax = 500
const appendRetryMs = 500
/** How long attempts in hand may take after a stop is asked for. */
const stopMsMax = 5000
const drainMsMaxDefault = 700
const dueLookMsDefault = 30_000
/** How long a message whose data is too old is put aside, in `staleWaitMs`. */
const parkWaitCount = 50

/** What the fold's commits tell delivery. */
export interface DeliverySignals {
  /** This process is the owner in force, in `epoch`, from this commit on. */
  owned(partition: number, epoch: number): void
  messageDue(messageId: string): void
  claimAnswered(messageId: string, attempt: number, isGranted: boolean): void
  /** Begins nothing more for the partition; resolves when its attempts in hand have ended. */
  drain(partition: number): Promise<void>
  /** Another owner has the partition: what is in hand and not begun ends at once. */
  lost(partition: number): void
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
  /** Of the partitions that this process owns. */
  readonly #standings = new Map<number, Standing>()
  /** Waiting and under way; a message is in it once. */
  readonly #known = new Set<string>()
  /** Named due while known: the answer to a result may come after the retry it asked for. */
  readonly #dueAgain = new Set<string>()
  /** Put aside for a while, since their data is too old. */
  readonly #parked = new Set<string>()
  #queue: string[] = []
  /** May hold due messages that are not in the queue. */
  readonly #index: DueIndex
  /** By message and attempt: who waits for the fold's answer. */
  readonly #claims = new Map<string, Claim>()
  readonly #append: (record: NewRecord) => Promise<void>
  readonly #pace: Pace | undefined
  /** True where something came since `run` began to look; it may have looked there already. */
  #hasNews = false
  #resume: () => void = () => {}

  constructor(deps: DeliveryDeps, options: DeliveryOptions) {
    assert(options.attemptCountMax > 0, 'delivery makes at least one attempt at a time')
    this.#deps = deps
    this.#options = options
    const { ratePerSecondMax } = options
    this.#pace =
      ratePerSecondMax === undefined ? undefined : createPace(deps.clock, ratePerSecondMax)
    this.#index = new DueIndex({
      ...{ state: deps.place.state, clock: deps.clock, logger: deps.logger },
      found: (messageId) => this.#enqueue(messageId),
      isFull: () => this.#queue.length >= options.queueCountMax,
    })
    this.#append = createBatcher(async (records: readonly NewRecord[]) => {
      await deps.log.append(records)
      return records.map(() => undefined)
    }, appendCountMax)
  }

  get waitingCount(): number {
    return this.#queue.length
  }

  owned(partition: number, epoch: number): void {
    const standing = this.#standings.get(partition) ?? createStanding()
    standing.epoch = epoch
    this.#standings.set(partition, standing)
    this.#lookAgain(partition)
  }

  async drain(partition: number): Promise<void> {
    const standing = this.#standings.get(partition)
    if (standing === undefined) return
    standing.soft.abort()
    const ended = new AbortController()
    const { drainMsMax = drainMsMaxDefault } = this.#options
    const late = this.#deps.clock.sleep(drainMsMax, ended.signal).then(() => {
      if (!ended.signal.aborted) this.#endNow(partition, standing)
    })
    await Promise.allSettled(standing.attempts)
    ended.abort()
    await late
  }

  lost(partition: number): void {
    const standing = this.#standings.get(partition)
    this.#standings.delete(partition)
    this.#index.delete(partition)
    if (standing !== undefined) this.#endNow(partition, standing)
  }

  /** Lets nothing begin any more: claims count as refused, hand-overs not begun are given up. */
  #endNow(partition: number, standing: Standing): void {
    standing.soft.abort()
    standing.hard.abort()
    for (const claim of [...this.#claims.values()]) {
      if (claim.partition === partition) claim.answer(false)
    }
  }

  messageDue(messageId: string): void {
    if (this.#known.has(messageId)) this.#dueAgain.add(messageId)
    else this.#enqueue(messageId)
  }

  /** Not for a partition that is not owned, or being given up: the index tells its next owner. */
  #mayBegin(partition: number): boolean {
    return this.#standings.get(partition)?.soft.signal.aborted === false
  }

  #enqueue(messageId: string): void {
    if (!this.#mayBegin(partitionOfMessage(messageId) ?? 0)) return
    if (this.#known.has(messageId)) return
    if (this.#queue.length >= this.#options.queueCountMax) {
      this.#index.add(partitionOfMessage(messageId) ?? 0)
      return
    }
    this.#known.add(messageId)
    this.#queue.push(messageId)
    this.#wake()
  }

  claimAnswered(messageId: string, attempt: number, isGranted: boolean): void {
    const claim = this.#claims.get(claimKey(messageId, attempt))
    if (claim !== undefined) claim.answer(isGranted)
    else if (isGranted) void this.#giveBack(messageId, attempt)
  }

  async run(signal: AbortSignal): Promise<void> {
    const underWay = new Set<Promise<void>>()
    const ended = new AbortController()
    const onAbort = (): void => {
      this.#wake()
      for (const { soft } of this.#standings.values()) soft.abort()
      void this.#deps.clock.sleep(stopMsMax, ended.signal).then(() => this.#endAllNow())
    }
    signal.addEventListener('abort', onAbort, { once: true })
    const watching = this.#watchDue(signal)
    while (!signal.aborted) {
      this.#hasNews = false
      if (this.#queue.length === 0 && !(await this.#index.scan(signal))) continue
      const hasRoom = underWay.size < this.#options.attemptCountMax
      const messageId = hasRoom ? this.#queue.shift() : undefined
      if (messageId === undefined) {
        await this.#waitForWork(signal)
        continue
      }
      const standing = this.#standings.get(partitionOfMessage(messageId) ?? 0)
      if (standing === undefined || standing.soft.signal.aborted) {
        this.#forget(messageId)
        continue
      }
      const attempt = this.#deliver(messageId, standing).finally(() => {
        underWay.delete(attempt)
        standing.attempts.delete(attempt)
        this.#wake()
      })
      underWay.add(attempt)
      standing.attempts.add(attempt)
    }
    await Promise.allSettled(underWay)
    await watching
    signal.removeEventListener('abort', onAbort)
    ended.abort()
    this.#endAllNow()
  }

  #endAllNow(): void {
    for (const [partition, standing] of this.#standings) this.#endNow(partition, standing)
  }

  /** The next owner of its partition finds it in the index. */
  #forget(messageId: string): void {
    this.#known.delete(messageId)
    this.#dueAgain.delete(messageId)
  }

  async #deliver(messageId: string, standing: Standing): Promise<void> {
    const soft = standing.soft.signal
    const hard = standing.hard.signal
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
      this.#index.add(partitionOfMessage(messageId) ?? 0)
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
    const epoch = this.#standings.get(partitionOfMessage(messageId) ?? 0)?.epoch
    if (message?.state.kind !== 'due' || epoch === undefined) return
    const skeleton: ClaimSkeleton = { messageId, attempt: message.state.attempt + 1, epoch }
    await this.#append(this.#recordOf(message, 'claim', skeleton))
  }

  /** Looks again later, without holding the place of an attempt meanwhile. */
  async #park(messageId: string, soft: AbortSignal): Promise<void> {
    this.#parked.add(messageId)
    await this.#deps.clock.sleep(this.#options.staleWaitMs * parkWaitCount, soft)
    this.#parked.delete(messageId)
    this.#enqueue(messageId)
  }

  async #claim(message: Message, attempt: number, hard: AbortSignal): Promise<boolean> {
    const partition = partitionOfMessage(message.messageId) ?? 0
    const epoch = this.#standings.get(partition)?.epoch
    if (epoch === undefined || hard.aborted) return false
    const { messageId } = message
    const key = claimKey(messageId, attempt)
    const answer = new Promise<boolean>((resolve) => {
      this.#claims.set(key, { partition, answer: resolve })
    })
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
    // The partition may be given up while the message is read.
    const epoch = this.#standings.get(partitionOfMessage(messageId) ?? 0)?.epoch
    const message = await findMessage(this.#deps.place, messageId)
    if (message?.state.kind !== 'granted' || message.state.attempt !== attempt) return
    if (message.state.epoch !== epoch) return
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

  #lookAgain(partition: number): void {
    this.#index.add(partition)
    this.#wake()
  }

  #watchDue(signal: AbortSignal): Promise<void> {
    const { place, clock, logger, ageMs } = this.#deps
    const deps: DueWatchDeps = {
      ...{ state: place.state, clock, logger, ageMs },
      partitions: () => [...this.#standings.keys()].filter((each) => this.#mayBegin(each)),
      isBusy: () => this.#queue.length > 0,
      isKnown: (messageId) => this.#known.has(messageId) || this.#parked.has(messageId),
      lookAgain: (partition) => this.#lookAgain(partition),
    }
    return watchDue(deps, this.#options.dueLookMs ?? dueLookMsDefault, signal)
  }

  #wake(): void {
    this.#hasNews = true
    this.#resume()
  }

  #waitForWork(signal: AbortSignal): Promise<void> {
    if (signal.aborted || this.#hasNews) return Promise.resolve()
    return new Promise((resolve) => {
      this.#resume = resolve
    })
  }
}

interface Claim {
  readonly partition: number
  answer(isGranted: boolean): void
}

/** What delivery has in hand of one partition, while this process owns it. */
interface Standing {
  epoch: number
  /** Begin nothing more. */
  readonly soft: AbortController
  /** End what is under way. */
  readonly hard: AbortController
  readonly attempts: Set<Promise<void>>
}

function createStanding(): Standing {
  const soft = new AbortController()
  const hard = new AbortController()
  // Each attempt under way listens to both.
  setMaxListeners(0, soft.signal, hard.signal)
  return { epoch: 0, soft, hard, attempts: new Set() }
}

function claimKey(messageId: string, attempt: number): string {
  return `${messageId}/${attempt}`
}
