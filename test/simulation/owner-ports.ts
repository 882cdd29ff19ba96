/** The ports of an owner, each effect seen by the observer and open to faults. */

import type { HandOver, Mailer } from '../../src/delivery/mailer.ts'
import { OperatingError } from '../../src/lib/errors.ts'
import { type EventLog, glanceCountMax } from '../../src/log/event-log.ts'
import type { NewRecord } from '../../src/log/record.ts'
import type { BlobStore } from '../../src/state/blob-store.ts'
import type { CommitAnswer, PartitionCommit, StateStore } from '../../src/state/state-store.ts'
import { type DrawnWorld, type Feature, sharedFeature } from './drawn-world.ts'
import type { EffectName, FaultPlan } from './fault-plan.ts'
import type { Mailbox } from './mailbox.ts'
import type { Observer } from './observer.ts'
import type { OwnerProcess } from './owner-process.ts'
import type { StateLosses } from './state-losses.ts'
import type { Timeline } from './virtual-clock.ts'
import { minuteMs } from './world-definitions.ts'

const askMsMax = 2 * minuteMs
/** As a stream whose records are counted as they are read. */
const untold = 0
const lateShare = 1 / 4
const lateCommitShare = 1 / 100
/** A request may be on its way for so long after its sender gave up. */
const lateCommitMsMax = 2 * minuteMs

const connectionWaitShare = 1 / 10
const connectionMsMax = 30_000

export interface PortDeps {
  readonly process: OwnerProcess
  readonly observer: Observer
  readonly plan: FaultPlan
  readonly timeline: Timeline
  readonly drawn: DrawnWorld
  readonly losses: StateLosses
}

export function wrapLog(
  { process, observer, timeline, drawn, losses }: PortDeps,
  log: EventLog,
): EventLog {
  const { name } = process
  const has = (feature: Feature): boolean => drawn.features.has(feature)
  const isAskedRarely = has('a log that is asked now and then')
  const isShared = has(sharedFeature)
  const tellsOffsets = !has('a log that tells no offsets')
  const isLate = (): boolean =>
    has('a log that shows records late') && process.random.unit() < lateShare
  return {
    ...log,
    append: (records) =>
      process.effect(appendName(records), async () => {
        const places = await log.append(records)
        observer.appended(name, records, places)
        return tellsOffsets ? places : places.map((place) => ({ ...place, offset: untold }))
      }),
    read: (partition, after, countMax) =>
      process.effect('read-log', async () => {
        const page = await log.read(partition, after, countMax)
        // Some of it has not been brought yet, or all.
        return countMax > glanceCountMax && isLate()
          ? page.slice(0, Math.floor(process.random.unit() * page.length))
          : page
      }),
    async wait(partitions, after, signal) {
      const waiting = log.wait(partitions, after, signal)
      await (isShared ? Promise.race([waiting, losses.nextLook(signal)]) : waiting)
      // What comes before it is asked again is read together.
      if (isAskedRarely) await timeline.sleep(askMsMax * process.random.unit(), signal)
      await process.awake()
    },
    async end(partition) {
      await process.awake()
      return await log.end(partition)
    },
  }
}

function appendName(records: readonly NewRecord[]): EffectName {
  const [first] = records
  if (first?.outbox !== undefined) return 'append-outbox'
  const { kind } = first ?? {}
  if (kind === 'owner' || kind === 'tick' || kind === 'result') return `append-${kind}`
  return 'append-claim'
}

interface Sent {
  readonly commit: PartitionCommit
  readonly lossCount: number
}

export interface StateDisk {
  isFull: boolean
}

export function wrapState(
  { process, observer, timeline, drawn, losses }: PortDeps,
  store: StateStore,
  disk: StateDisk,
): StateStore {
  const { name } = process
  const isSometimesLate = drawn.features.has('a state that takes commits late')
  /** How often the store had lost some when it was last heard of. */
  const known = new Map<number, number>()
  const commitOne = async (sent: Sent): Promise<CommitAnswer> => {
    const { commit, lossCount } = sent
    const now = losses.counts[commit.partition]
    known.set(commit.partition, now ?? 0)
    const [answer = 'moved'] = lossCount === now ? await store.commit([commit]) : []
    observer.committed(name, commit, answer)
    return answer
  }
  const commit = (sent: readonly Sent[]): Promise<readonly CommitAnswer[]> =>
    Promise.all(sent.map(commitOne))
  return {
    async head(partition) {
      await process.awake()
      return await store.head(partition)
    },
    get: (partition, keys) => process.effect('read-state', () => store.get(partition, keys)),
    scan: (partition, prefix, after, countMax) =>
      process.effect('read-state', () => store.scan(partition, prefix, after, countMax)),
    acquire: (partition, epoch, nonce) =>
      process.effect('acquire', async () => {
        const answer = await store.acquire(partition, epoch, nonce)
        known.set(partition, losses.counts[partition] ?? 0)
        observer.acquired(name, partition, epoch, answer)
        return answer
      }),
    async release(partition, epoch, nonce) {
      await process.awake()
      await store.release(partition, epoch, nonce)
    },
    commit: (commits) =>
      process.effect('commit', async () => {
        if (disk.isFull) throw new OperatingError('DISK_FULL', 'commit')
        const sent = commits.map((each) => ({
          commit: each,
          lossCount: known.get(each.partition) ?? 0,
        }))
        if (isSometimesLate && process.random.unit() < lateCommitShare) {
          // Nobody waits for it any more, and whoever sent it may be dead when it arrives.
          void timeline.sleep(lateCommitMsMax * process.random.unit()).then(() => commit(sent))
          throw new OperatingError('STORE_UNREACHABLE', 'commit')
        }
        return await commit(sent)
      }),
    close: async () => {},
  }
}

/** Tells the observer who is about to be shown, from wherever it is read. */
export function watchShown({ process, observer }: PortDeps, store: StateStore): StateStore {
  return {
    head: (partition) => store.head(partition),
    scan: (partition, prefix, after, countMax) => store.scan(partition, prefix, after, countMax),
    acquire: (partition, epoch, nonce) => store.acquire(partition, epoch, nonce),
    release: (partition, epoch, nonce) => store.release(partition, epoch, nonce),
    commit: (commits) => store.commit(commits),
    close: async () => {},
    get(partition, keys) {
      const [first = '', second = ''] = keys
      const isShown =
        keys.length === 3 && first.startsWith('person/') && second.startsWith('trait/')
      if (isShown) observer.readToShow(process.name, partition, first.slice('person/'.length))
      return store.get(partition, keys)
    },
  }
}

export function wrapBlobs({ process, observer }: PortDeps, blobs: BlobStore): BlobStore {
  return {
    put: (given) =>
      process.effect('put-blob', async () => {
        for (const bytes of given) {
          const head = Buffer.from(bytes.subarray(0, 100)).toString('latin1')
          const messageId = /^\{"format":1,"messageId":"([^"]+)"/.exec(head)?.[1]
          if (messageId === undefined) continue
          observer.evidenceStored(process.name, messageId, Math.abs(process.clock.jumpedMs))
        }
        return await blobs.put(given)
      }),
    async get(hash) {
      await process.awake()
      return await blobs.get(hash)
    },
    close: async () => {},
  }
}

export function wrapMailer(
  { process, observer, plan, timeline }: PortDeps,
  mailbox: Mailbox,
): Mailer {
  return {
    async handOver(request, signal): Promise<HandOver> {
      // Others have all connections to the provider.
      const isWaiting = process.random.unit() < connectionWaitShare
      if (isWaiting) await timeline.sleep(connectionMsMax * process.random.unit(), signal)
      await process.awake()
      if (signal.aborted) return { kind: 'deferred', response: 'no connection in time' }
      if (!(await request.mayBegin())) return { kind: 'refused', response: 'it may not begin' }
      const jumpedMs = Math.abs(process.clock.jumpedMs)
      const seen = observer.handOverBegins(process.name, request, jumpedMs)
      return await process.effect('hand-over', async () => {
        const answer = await mailbox.take(request, signal, plan)
        seen.outcome = answer.isTaken && answer.kind === 'unknown' ? 'unknown, taken' : answer.kind
        observer.note(process.name, `handed over ${request.messageId}: ${seen.outcome}`)
        return { kind: answer.kind, response: answer.response }
      })
    },
    close: async () => {},
  }
}
