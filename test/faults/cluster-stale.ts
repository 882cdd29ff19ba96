/**
 * Says, in the name of owners that are gone, what they could have had on its way: a tick that lies
 * far ahead, and claims of messages that are due.
 *
 * The new owner rests meanwhile, so that what it would claim next is not claimed yet: a claim that
 * counted would keep each of these messages from being sent.
 */

import {
  type ClaimSkeleton,
  duePrefix,
  type Message,
  messagePrefix,
} from '../../src/campaign/message.ts'
import { type DataReader, withStores } from '../../src/command/data-reader.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { systemRandom } from '../../src/lib/random.ts'
import { emptyBody, type NewRecord } from '../../src/log/record.ts'
import { controlRecord } from '../../src/process/control-record.ts'
import { decodeJson, readMeta } from '../../src/process/meta.ts'
import type { Head } from '../../src/state/state-store.ts'
import { type Cluster, until } from './cluster-harness.ts'
import type { ClusterProcess } from './cluster-process.ts'

export interface StaleSaid {
  /** Messages that were due and unclaimed when an owner that is gone claimed them. */
  readonly claimed: readonly string[]
  /** Partitions in which one that is gone spoke of the time. */
  readonly ticked: readonly number[]
  /** The time that it spoke of. */
  readonly tickedAtMs: number
}

/** Further than the fold lets one word of an owner be ahead, and than any timer of the shop. */
const aheadMs = 24 * 3_600_000
const claimCountMax = 20
const dueCountMax = 200
const pageCount = 500
/** What was on its way when the new owner was stopped has arrived by then. */
const settleMs = 100
const sayMsMax = 60_000

/** Says so in each partition that `heir` has taken over since `before`. */
export async function sayStale(
  cluster: Cluster,
  before: readonly Head[],
  heir: ClusterProcess,
): Promise<StaleSaid> {
  return await withStores(cluster.stores, async (data) => {
    const claimed: string[] = []
    const ticked: number[] = []
    const tickedAtMs = systemClock.nowMs() + aheadMs
    const say = async (): Promise<boolean> => {
      const records: NewRecord[] = []
      for (const partition of await takenOver(data, before)) {
        const { epoch, nonce } = before[partition] ?? { epoch: 0, nonce: '' }
        if (!ticked.includes(partition)) {
          const skeleton = { epoch, nonce }
          const given = { partition, kind: 'tick', skeleton, recordedAtMs: tickedAtMs } as const
          records.push(controlRecord({ random: systemRandom }, given))
          ticked.push(partition)
        }
        const unclaimed = await findUnclaimed(data, partition)
        records.push(...unclaimed.map((message) => claimRecord(partition, message, epoch)))
        claimed.push(...unclaimed.map(({ messageId }) => messageId))
      }
      await data.log.append(records)
      return ticked.length > 0 && claimed.length > 0
    }
    await until('a due message in a partition that was taken over', rested(heir, say), sayMsMax)
    return { claimed, ticked, tickedAtMs }
  })
}

/** Runs `look` while a process rests, for less than its session. */
function rested(process: ClusterProcess, look: () => Promise<boolean>): () => Promise<boolean> {
  return async () => {
    process.signal('SIGSTOP')
    try {
      await systemClock.sleep(settleMs)
      return await look()
    } finally {
      process.signal('SIGCONT')
    }
  }
}

/** The log has the word of the new owner, and the state has folded it. */
async function takenOver(
  { state, log }: DataReader,
  before: readonly Head[],
): Promise<readonly number[]> {
  const taken: number[] = []
  for (let partition = 0; partition < log.identity.partitionCount; partition++) {
    const epoch = (await readMeta(state, partition))?.epoch ?? 0
    if (epoch > (before[partition]?.epoch ?? 0)) taken.push(partition)
  }
  return taken
}

/** Due messages that nobody has claimed behind what the state has folded. */
async function findUnclaimed(
  { state, log }: DataReader,
  partition: number,
): Promise<readonly Message[]> {
  const { offset } = await state.head(partition)
  const end = await log.end(partition)
  const claimed = new Set<string>()
  for (let at = offset; at < end; ) {
    const page = await log.read(partition, at, pageCount)
    for (const { kind, skeleton } of page) {
      if (kind === 'claim') claimed.add((skeleton as ClaimSkeleton).messageId)
    }
    at = page.at(-1)?.offset ?? end
  }
  const due = await state.scan(partition, duePrefix, '', dueCountMax)
  const keys = due.map(({ key }) => messagePrefix + key.slice(duePrefix.length))
  const found = (await state.get(partition, keys)).flatMap((bytes) =>
    bytes === undefined ? [] : [decodeJson<unknown>(bytes) as Message],
  )
  const isFree = ({ messageId, state: { kind } }: Message): boolean =>
    kind === 'due' && !claimed.has(messageId)
  return found.filter(isFree).slice(0, claimCountMax)
}

function claimRecord(partition: number, message: Message, epoch: number): NewRecord {
  const { messageId, personKey, state } = message
  const skeleton: ClaimSkeleton = { messageId, attempt: state.attempt + 1, epoch }
  return {
    partition,
    key: personKey,
    kind: 'claim',
    id: systemRandom.bytes(16),
    recordedAtMs: systemClock.nowMs(),
    isBackfill: false,
    keyId: 0,
    skeleton,
    body: emptyBody,
  }
}
