/**
 * Looks at the state from outside: for a process that does not own all partitions.
 *
 * Tells how fresh each partition is, known and not guessed: at an instant of this process's own
 * clock it asks where the log ends; once the state of the partition has reached that end, and its
 * outbox holds nothing from before it, the state is as fresh as that instant. Tells those who wait
 * for a record that it is folded. Tells which definitions are in force.
 */

import type { Clock } from '../lib/clock.ts'
import { isRetryable, OperatingError } from '../lib/errors.ts'
import type { Logger } from '../lib/logger.ts'
import type { EventLog, Place } from '../log/event-log.ts'
import type { Head, StateReader } from '../state/state-store.ts'
import type { Freshness } from './freshness.ts'
import { readMeta } from './meta.ts'
import { outboxPrefix, parseOutboxKey } from './scope.ts'

export interface FollowStateDeps {
  readonly log: EventLog
  readonly state: StateReader
  readonly clock: Clock
  readonly logger: Logger
  readonly freshness: Freshness
}

export interface StateFollower {
  /** Records in the log and not in the state when it was last looked, over all partitions. */
  readonly lagCount: number
  /** Set while log or state cannot be reached. */
  readonly isAway: boolean
  /** Resolves where log or state fails for good: nothing is looked at any more. */
  readonly failed: Promise<OperatingError>
  /**
   * Resolves once the state holds the record at each place; answers false after `msMax`. A place
   * without an offset must be of a record that is appended already.
   */
  waitCommitted(places: readonly Place[], msMax: number): Promise<boolean>
  /** Calls `listener` with the hash of the definitions in force, and after each change. */
  onDefinitions(listener: (hash: string) => Promise<void>): void
  /** Looks now. */
  look(): Promise<void>
  close(): Promise<void>
}

/** How often those who wait for a record look. */
const waitLookMs = 10
/** Entries of an outbox looked at; more than that is not empty. */
const outboxCountMax = 200

interface Mark {
  readonly end: number
  readonly atMs: number
}

/** Begins to look, every `lookMs`; resolves after the first look. */
export async function openStateFollower(
  deps: FollowStateDeps,
  options: { readonly lookMs: number },
): Promise<StateFollower> {
  const follower = new Follower(deps)
  await follower.look()
  const stop = new AbortController()
  const failed = Promise.withResolvers<OperatingError>()
  const running = follower.run(options.lookMs, stop.signal).catch((error: unknown) => {
    if (!(error instanceof OperatingError)) throw error
    failed.resolve(error)
  })
  return {
    get lagCount() {
      return follower.lagCount
    },
    get isAway() {
      return follower.isAway
    },
    failed: failed.promise,
    waitCommitted: (places, msMax) => follower.waitCommitted(places, msMax),
    onDefinitions: (listener) => follower.onDefinitions(listener),
    look: () => follower.look(),
    async close() {
      stop.abort()
      await running
    },
  }
}

class Follower {
  lagCount = 0
  isAway = false
  readonly #deps: FollowStateDeps
  readonly #partitions: readonly number[]
  readonly #marks = new Map<number, Mark>()
  /** By partition: the offset at which its outbox held nothing old. */
  readonly #emptyAt = new Map<number, number>()
  #definitionsHash = ''
  /** Offset of the control partition when they were looked at. */
  #definitionsAt = -1
  #listener: ((hash: string) => Promise<void>) | undefined

  constructor(deps: FollowStateDeps) {
    this.#deps = deps
    const { partitionCount } = deps.log.identity
    this.#partitions = Array.from({ length: partitionCount }, (_, partition) => partition)
  }

  async run(lookMs: number, signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#deps
    while (!signal.aborted) {
      await clock.sleep(lookMs, signal)
      try {
        await this.look()
        this.isAway = false
      } catch (error) {
        // What is not confirmed grows old: who asks for the age is told the truth meanwhile.
        if (!isRetryable(error)) throw error
        if (!this.isAway) logger.warn({ error: String(error) }, 'log or state cannot be reached')
        this.isAway = true
      }
    }
  }

  async look(): Promise<void> {
    const { clock, log, state, freshness } = this.#deps
    const atMs = clock.nowMs()
    const ends = await Promise.all(this.#partitions.map((each) => log.end(each)))
    const reached = this.#partitions.map((each) => freshness.reachedOffset(each))
    const heads = await Promise.all(this.#partitions.map((each) => state.head(each)))
    this.lagCount = 0
    for (const partition of this.#partitions) {
      const end = ends[partition] ?? 0
      const offset = heads[partition]?.offset ?? 0
      // The store has lost commits, whoever owns it.
      if (offset < (reached[partition] ?? 0)) freshness.confirm(partition, 0)
      freshness.noteReached(partition, offset)
      this.lagCount += Math.max(0, end - offset)
      if (!this.#marks.has(partition)) this.#marks.set(partition, { end, atMs })
    }
    await Promise.all(this.#partitions.map((each) => this.#confirm(each, heads[each]?.offset ?? 0)))
    const controlOffset = heads[0]?.offset ?? 0
    if (controlOffset === this.#definitionsAt) return
    await this.#lookAtDefinitions()
    this.#definitionsAt = controlOffset
  }

  async waitCommitted(places: readonly Place[], msMax: number): Promise<boolean> {
    const { clock, state } = this.#deps
    const deadlineMs = clock.monotonicMs() + msMax
    const known: readonly Place[] | undefined = await this.#findPlaces(places, msMax)
    if (known === undefined) return false
    for (;;) {
      const heads: readonly Head[] = await Promise.all(
        known.map(({ partition }) => state.head(partition)),
      )
      if (known.every(({ offset }, index) => (heads[index]?.offset ?? 0) >= offset)) return true
      if (clock.monotonicMs() >= deadlineMs) return false
      await clock.sleep(waitLookMs)
    }
  }

  onDefinitions(listener: (hash: string) => Promise<void>): void {
    this.#listener = listener
    if (this.#definitionsHash !== '') void listener(this.#definitionsHash)
  }

  /**
   * A place that the log could not tell when it appended is at or before its end now. Answers
   * undefined where the end is not known within `msMax`.
   */
  async #findPlaces(
    places: readonly Place[],
    msMax: number,
  ): Promise<readonly Place[] | undefined> {
    if (places.every(({ offset }) => offset > 0)) return places
    const { clock, log } = this.#deps
    const found = Promise.all(
      places.map(async (place) =>
        place.offset > 0 ? place : { ...place, offset: await log.end(place.partition) },
      ),
    )
    const late = new AbortController()
    const isLate = clock.sleep(msMax, late.signal).then(() => undefined)
    return await Promise.race([found, isLate]).finally(() => late.abort())
  }

  async #confirm(partition: number, offset: number): Promise<void> {
    const { freshness } = this.#deps
    const mark = this.#marks.get(partition)
    if (mark === undefined || offset < mark.end) return
    // Nothing was folded since the outbox was found empty, and nothing waits to be.
    if (this.#emptyAt.get(partition) !== offset && !(await this.#hasSent(partition, mark))) return
    this.#emptyAt.set(partition, offset)
    this.#marks.delete(partition)
    // The owner may be in this process, and know better.
    if (mark.atMs > freshness.confirmedAtMs(partition)) freshness.confirm(partition, mark.atMs)
  }

  async #hasSent(partition: number, mark: Mark): Promise<boolean> {
    const { state } = this.#deps
    const page = await state.scan(partition, outboxPrefix, '', outboxCountMax)
    const isWaiting = page.some(({ key }) => parseOutboxKey(key).offset <= mark.end)
    return !isWaiting && page.length < outboxCountMax
  }

  async #lookAtDefinitions(): Promise<void> {
    const { definitionsHash: hash = '' } = (await readMeta(this.#deps.state, 0)) ?? {}
    if (hash === this.#definitionsHash) return
    this.#definitionsHash = hash
    await this.#listener?.(hash)
  }
}
