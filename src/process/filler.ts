/**
 * Fills the past of new computed traits, and of properties of events that rules name for the first
 * time, beside the fold and in small steps, so that it holds nothing up.
 *
 * The owner folds its own log again, from its beginning to where they came into force, by the code
 * and the rules that folded it then, into a state beside the real one; there the traits count, and
 * the properties are kept, from the first record on. What the parts have then is appended in
 * `filled` records, a bounded number of people each, and the fold merges it with what has come
 * since. Nothing of the second state is sent or kept; a device's past that went to a user meanwhile
 * is followed there. Where the log was trimmed it begins later, and says so: see fill-start.ts.
 *
 * Order of effects: read, append, wait until the fold has taken it, append the next. How far it has
 * come is in the state alone: after a crash, or under a new owner, the slice in hand is read again
 * and goes on behind the last place that was folded.
 */

import type { Clock } from '../lib/clock.ts'
import { isRetryable } from '../lib/errors.ts'
import { murmur3 } from '../lib/hash.ts'
import type { Logger } from '../lib/logger.ts'
import type { Random } from '../lib/random.ts'
import type { EventLog } from '../log/event-log.ts'
import { decodeRecord, type LogRecord } from '../log/record.ts'
import { emptyPack } from '../profile/activity-pack.ts'
import { pickProperties } from '../profile/activity-values.ts'
import { decodeComputed, type PackedState } from '../profile/computed/computed-pack.ts'
import { sessionId } from '../profile/computed/computed-trait.ts'
import { decodePerson, type ProfilePart, personPrefix } from '../profile/person.ts'
import type { Change, PartitionCommit, StateReader, StateStore } from '../state/state-store.ts'
import type { ExtraTraits } from './computed-stage.ts'
import { controlRecord } from './control-record.ts'
import { byEvent } from './fill-property.ts'
import { copyFillBase, countedFrom, isLost, isTrimmed, type OpenFillBase } from './fill-start.ts'
import type { FillJob } from './fill-state.ts'
import type { FoldSources, OwnerSkeleton } from './fold.ts'
import { type FilledEntry, type FilledSkeleton, filledEntry } from './fold-filled.ts'
import { InForceReader } from './in-force.ts'
import type { Owned } from './ownership.ts'
import { PartitionFold } from './partition-fold.ts'
import { feedPrefix, itemPrefix, outboxPrefix } from './scope.ts'
import { partsSentBy, withoutStates } from './send-part.ts'

export interface FillerDeps extends FoldSources {
  readonly log: EventLog
  readonly state: StateReader
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Opens an empty state that nobody else sees, for as long as a slice is read. */
  openScratch(): StateStore
  /** Absent where there are no bases at hand: then what a trimmed log lacks is left out. */
  readonly openFillBase?: OpenFillBase
}

/** People of one record, and bytes of their states: the fold takes it in some milliseconds. */
const entryCountMax = 100
const entryBytesMax = 200 * 1024
const readCount = 64
/** Pages read in one step at most, whatever the clock says. */
const pageCountMax = 200
const scanCount = 200
const scratchOwner = { epoch: 1, nonce: 'fill' } as const
const never = (): boolean => false

interface Task {
  readonly partition: number
  readonly version: number
  readonly slice: number
  readonly fold: PartitionFold
  readonly scratch: StateStore
  /** The oldest record that the log had when it began. */
  readonly logStart: number
  /** No event is missing from here on; absent where the whole log is read. */
  fromMs?: number
  /** Spans of activity are part of what is filled. */
  readonly hasSession: boolean
  /** Parts that were sent to another key on the way. */
  readonly moved: Placed[]
  /** By place, once the slice is read. */
  entries?: readonly Placed[]
  /** Where the log ended behind the record in hand, and the place it began behind. */
  inHand?: { readonly after: string; readonly end: number }
}

interface Placed {
  readonly place: string
  readonly entry: FilledEntry
}

export class Filler {
  readonly #deps: FillerDeps
  readonly #workspace: string
  readonly #countMax: number
  #task: Task | undefined
  /** Jobs that cannot be filled here; said once. */
  readonly #failed = new Set<string>()

  constructor(deps: FillerDeps, workspace: string, countMax = entryCountMax) {
    this.#deps = deps
    this.#workspace = workspace
    this.#countMax = countMax
  }

  /** Works for about `msMax`. Answers whether there is more to do. */
  async step(owneds: readonly Owned[], msMax: number): Promise<boolean> {
    const next = this.#next(owneds)
    if (next === undefined) {
      await this.#end()
      return false
    }
    const { owned, job } = next
    try {
      await this.#work(owned, job, this.#deps.clock.monotonicMs() + msMax)
    } catch (error) {
      if (isRetryable(error)) throw error
      const { partition } = owned.fold
      const { logStart } = this.#task ?? {}
      await this.#end()
      // It was trimmed meanwhile: what is left is read.
      const hadFrom = isLost(error) ? logStart : undefined
      if (hadFrom !== undefined && (await this.#deps.log.start(partition)) > hadFrom) return true
      this.#failed.add(`${partition}/${job.version}`)
      const says = 'computed traits and segments stay pending: their past cannot be read'
      this.#deps.logger.error({ partition, version: job.version, cause: String(error) }, says)
    }
    return true
  }

  /** The task in hand goes first, while its partition is owned. */
  #next(owneds: readonly Owned[]): { readonly owned: Owned; readonly job: FillJob } | undefined {
    const inHand = owneds.filter(({ fold }) => fold.partition === this.#task?.partition)
    for (const owned of [...inHand, ...owneds]) {
      const { fold, isOwner, isDrained } = owned
      if (!isOwner || isDrained !== undefined || fold.stopped !== undefined) continue
      const job = fold.scope.fills.jobs.find(
        ({ isRead, version, untilOffset }) =>
          !isRead &&
          untilOffset <= fold.committedOffset &&
          !this.#failed.has(`${fold.partition}/${version}`),
      )
      if (job !== undefined) return { owned, job }
    }
    return undefined
  }

  async #work(owned: Owned, job: FillJob, deadlineMs: number): Promise<void> {
    const { partition } = owned.fold
    let task = this.#task
    const isSame =
      task?.partition === partition && task.version === job.version && task.slice === job.slice
    if (task === undefined || !isSame) {
      await this.#end()
      task = await this.#begin(owned, job)
      this.#task = task
    }
    if (task.entries === undefined) await this.#read(task, job, deadlineMs)
    if (task.entries !== undefined) await this.#append(task, task.entries, owned, job)
  }

  async #begin({ fold: { partition, scope } }: Owned, job: FillJob): Promise<Task> {
    const { log } = this.#deps
    const scratch = this.#deps.openScratch()
    await scratch.acquire(partition, scratchOwner.epoch, scratchOwner.nonce)
    const traits = scope.definitions.computed.filter(({ id }) => job.ids.includes(id))
    const fold = new PartitionFold(
      { ...this.#deps, state: scratch },
      {
        workspace: this.#workspace,
        partitionCount: log.identity.partitionCount,
        partition,
        extraTraits: {
          ...{ traits, properties: byEvent(job.properties ?? []), sinceVersion: job.version },
          ...this.#pendingIn(partition, job),
        },
      },
    )
    const { version, slice } = job
    const hasSession = traits.some(({ isSession }) => isSession === true)
    const logStart = await log.start(partition)
    const made = { partition, version, slice, fold, scratch, logStart, hasSession, moved: [] }
    const task: Task = { ...made, ...(await this.#beginBehind(scratch, { partition, scope }, job)) }
    await fold.open(await scratch.head(partition))
    return task
  }

  /** Where the log lacks its beginning, begins with a base, or with nothing to read. */
  async #beginBehind(
    scratch: StateStore,
    { partition, scope }: Pick<PartitionFold, 'partition' | 'scope'>,
    job: FillJob,
  ): Promise<Pick<Task, 'fromMs' | 'entries'>> {
    const { log, openFillBase } = this.#deps
    if (!(await isTrimmed(log, partition))) return {}
    const { untilOffset } = job
    const fromOffset = (await log.start(partition)) - 1
    const base = await openFillBase?.({ partition, fromOffset, untilOffset })
    if (base === undefined) return { fromMs: countedFrom(scope.meta.foldMs), entries: [] }
    try {
      const target = { state: scratch, partition, owner: scratchOwner }
      const foldMs = await copyFillBase(base.state, target, (key) => isInSlice(key, job))
      return { fromMs: countedFrom(foldMs) }
    } finally {
      await base.close()
    }
  }

  /** With some of the people left out, when the others were evaluated is read from the state. */
  #pendingIn(partition: number, { sliceCount }: FillJob): Pick<ExtraTraits, 'pendingBehind'> {
    if (sliceCount === 1) return {}
    const reader = new InForceReader(this.#deps.state, partition)
    const pendingBehind = async (offset: number): Promise<readonly string[]> => {
      const found = await reader.at(offset + 1)
      if (found === undefined) throw new Error('which rules held then is not kept any more')
      return found.pending
    }
    return { pendingBehind }
  }

  /** Folds the past of one slice; when all of it is, collects what its parts have. */
  async #read(task: Task, job: FillJob, deadlineMs: number): Promise<void> {
    const { fold, partition } = task
    for (let page = 0; page < pageCountMax; page++) {
      const records = await this.#deps.log.read(partition, fold.cursor, readCount)
      // The record that brought the traits is there: who shows nothing has not brought it yet.
      if (records.length === 0) return
      const past = records
        .filter(({ offset }) => offset < job.untilOffset)
        .map((record) => maskOthers(record, job))
      if (past.length === 0) {
        task.entries = await collectEntries(task, job)
        return
      }
      await fold.fold(past, never)
      if (fold.stopped !== undefined) throw new Error(`stopped at offset ${fold.stopped.offset}`)
      await this.#keep(task, job)
      if (this.#deps.clock.monotonicMs() >= deadlineMs) return
    }
  }

  /** Commits what the second fold has made to the state beside, but for what it would send. */
  async #keep(task: Task, job: FillJob): Promise<void> {
    const { fold, scratch, moved } = task
    if (!fold.hasChanges()) return
    const { commit } = fold.takeCommit(scratchOwner, this.#deps.log.identity.incarnation)
    for (const { key, value } of commit.changes) {
      if (value !== undefined && key.startsWith(outboxPrefix)) {
        moved.push(...placesOfMoved(decodeRecord(0, 0, value), task, job))
      }
    }
    const kept: PartitionCommit = { ...commit, changes: commit.changes.filter(isRead) }
    await scratch.commit([kept])
    fold.committed(commit)
  }

  async #append(task: Task, entries: readonly Placed[], owned: Owned, job: FillJob): Promise<void> {
    const { log } = this.#deps
    const { partition } = task
    if (task.inHand?.after === job.after) {
      // On its way; or it was lost, or passed over under an owner before: then it is said again.
      const isFolded = owned.fold.committedOffset >= task.inHand.end
      if (!isFolded || log.hasMore(partition, owned.fold.cursor)) return
    }
    const rest = entries.filter(({ place }) => place > job.after)
    const some: Placed[] = []
    let bytes = 0
    for (const each of rest) {
      const { states, values = '' } = each.entry
      bytes += states.length + values.length + each.place.length
      if (some.length > 0 && (some.length === this.#countMax || bytes > entryBytesMax)) break
      some.push(each)
    }
    const skeleton: FilledSkeleton = {
      step: 'people',
      version: task.version,
      slice: task.slice,
      sliceCount: job.sliceCount,
      after: job.after,
      through: some.at(-1)?.place ?? '',
      isSliceEnd: some.length === rest.length,
      ...(task.fromMs === undefined ? {} : { fromMs: task.fromMs }),
      epoch: owned.epoch,
      nonce: owned.nonce,
    }
    const recordedAtMs = this.#deps.clock.nowMs()
    const body = Buffer.from(JSON.stringify(some.map(({ entry }) => entry)))
    const given = { partition, kind: 'filled', skeleton, recordedAtMs, body } as const
    await log.append([controlRecord(this.#deps, given)])
    task.inHand = { after: job.after, end: await log.end(partition) }
  }

  async #end(): Promise<void> {
    const task = this.#task
    this.#task = undefined
    await task?.scratch.close()
  }
}

/** Keys that no later record of the log reads: what would be sent, fed, or is of an item. */
function isRead({ key }: Change): boolean {
  return ![outboxPrefix, feedPrefix, itemPrefix].some((prefix) => key.startsWith(prefix))
}

/** What is of no person of this slice only moves time on, and the places of senders. */
function maskOthers(record: LogRecord, job: FillJob): LogRecord {
  const { key, kind } = record
  // No versions are kept of what is thrown away.
  if (kind === 'owner') {
    return { ...record, skeleton: { ...(record.skeleton as OwnerSkeleton), historyMs: 0 } }
  }
  // What a partition that had the traits before has sent is in the real state.
  const isAhead = kind === 'filled' && (record.skeleton as FilledSkeleton).version === job.version
  if (isAhead) return { ...record, kind: 'skip' }
  if (key.startsWith('control:')) return record
  const isPerson = !key.startsWith('item:') && !key.startsWith('address:')
  if (isPerson && isInSlice(key, job)) return withoutStates(record)
  return { ...record, kind: 'skip' }
}

function isInSlice(key: string, { slice, sliceCount }: FillJob): boolean {
  return sliceCount === 1 || murmur3(key) % sliceCount === slice
}

async function collectEntries(task: Task, job: FillJob): Promise<readonly Placed[]> {
  const { scratch, partition, moved } = task
  const found: Placed[] = [...moved]
  for (let after = personPrefix; ; ) {
    const page = await scratch.scan(partition, personPrefix, after, scanCount)
    for (const { value } of page) {
      const person = decodePerson(value)
      if (isInSlice(person.key, job)) found.push(...placesOf(person.key, person.parts, task, job))
    }
    const last = page.at(-1)
    if (last === undefined || page.length < scanCount) break
    after = last.key
  }
  return found.sort((left, right) => (left.place < right.place ? -1 : 1))
}

/**
 * They are looked for where they left. More than one part of a key may have, so places of moved
 * parts name the record that sent them: the same wherever the fold began.
 */
function placesOfMoved(record: LogRecord, task: Task, job: FillJob): readonly Placed[] {
  const { fromKey, parts } = partsSentBy(record)
  const { offset = 0, index = 0 } = record.outbox ?? {}
  return placesOf(fromKey, parts, task, job).map(({ place, entry }) => ({
    place: `${place}\0${offset}/${index}`,
    entry,
  }))
}

function placesOf(
  key: string,
  parts: readonly ProfilePart[],
  { hasSession }: Task,
  { ids, properties = [], version }: FillJob,
): readonly Placed[] {
  const wanted = byEvent(properties)
  return parts.flatMap((part) => {
    const states = decodeComputed(part.computed ?? new Uint8Array(0)).flatMap(
      (each): readonly PackedState[] => {
        const isOwn = ids.includes(each.id) && each.sinceVersion === version
        if (!isOwn && !(hasSession && each.id === sessionId)) return []
        return [{ ...each, sinceVersion: version }]
      },
    )
    const values = wanted.size === 0 ? emptyPack : pickProperties(part.activity, wanted)
    if (states.length === 0 && values.length === 0) return []
    return [{ place: `${key}\0${part.key}`, entry: filledEntry(key, part, { states, values }) }]
  })
}
