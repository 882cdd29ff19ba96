/** What the API needs from outside; `command/` connects it. */

import type { WorkList } from '../collect/work-list.ts'
import type { StatePlace } from '../delivery/read-state.ts'
import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import type { Metrics } from '../lib/metrics.ts'
import type { Random } from '../lib/random.ts'
import type { EventLog, Place } from '../log/event-log.ts'
import type { Freshness } from '../process/freshness.ts'
import type { Advice, AdviceRequest, IndexState } from '../recommend/advisor.ts'
import type { BlobStore } from '../state/blob-store.ts'
import type { ChangeBoard } from '../state/change-board.ts'
import type { SigningKeys } from '../template/links.ts'
import type { RenderAnswer, RenderInput } from '../template/template.ts'
import type { ApiKeys } from './api-keys.ts'

export interface ApiDeps {
  readonly place: StatePlace
  readonly blobs: Pick<BlobStore, 'get' | 'put'>
  readonly log: EventLog
  readonly rejected: EventLog
  /** What is open in it. */
  readonly workList: WorkList
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly metrics: Metrics
  readonly freshness: Pick<Freshness, 'confirmedAtMs'>
  /** Of the keys of people and items; absent where other processes write the state too. */
  readonly changes?: Omit<ChangeBoard, 'noteChange'>
  readonly apiKeys: ApiKeys
  readonly signingKeys: SigningKeys
  readonly addressSecret: Uint8Array
  /** Absent where the server was started without it: what needs it answers 409 and says so. */
  readonly publicUrl?: string
  readonly from?: string
  advise(request: AdviceRequest): Promise<Advice>
  /** Answers nothing while the index fills, or where there is none. */
  indexState(): Promise<IndexState | undefined>
  /** Renders on another thread, within a time limit. */
  render(input: RenderInput): Promise<RenderAnswer>
  /** Resolves once the state holds the record at each place; answers false after `msMax`. */
  waitCommitted(places: readonly Place[], msMax: number): Promise<boolean>
  health(): Promise<Health>
}

export interface Health {
  /** Reasons not to take traffic; empty = ready. */
  readonly unready: readonly string[]
  readonly partitions: { readonly owned: number; readonly stopped: readonly StoppedPartition[] }
  /** Records appended and not yet folded, over all partitions. */
  readonly lagCount: number
  /** The same over the partitions that this process owns. */
  readonly ownedLagCount: number
  readonly messagesWaiting: number
}

export interface StoppedPartition {
  readonly partition: number
  readonly offset: number
  readonly says: string
}
