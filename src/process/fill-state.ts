/**
 * What a partition knows of filling the past of new computed traits, and of properties of events
 * that rules name, as part of its state.
 *
 * A job is one change of definitions that brought some. Its life in a partition: `reading`, while
 * the owner appends what it found in the log; then it is reported to the control partition, with
 * how many records of it went to and came from each other partition. When all have reported, and
 * every record sent has been received, nothing is on its way any more: the control partition tells
 * all that they are ready. A later receipt is reported again, so no count is ever missed.
 */

import type { NamedProperty } from '../profile/computed/computed-trait.ts'

export const fillKey = 'part/fill'

export interface FillJob {
  /** Version of the definitions that brought them. */
  readonly version: number
  /** Offset of its record: what lies before it is the past. */
  readonly untilOffset: number
  /** Ids of traits still in force. */
  ids: string[]
  /** Those still in force; absent where the change brought none. */
  properties?: readonly NamedProperty[]
  /** People are read in so many slices by a hash of their keys, one pass over the log for each. */
  sliceCount: number
  /** The slice that is being filled, and the last place of it that is in. */
  slice: number
  after: string
  isRead: boolean
  /** No event is missing from here on; absent while all of the past was read. */
  fromMs?: number
}

/** Records of one job between partitions. */
export interface FillTraffic {
  /** By target. */
  sent: Record<string, number>
  /** By source. */
  received: Record<string, number>
}

/** What a partition says of a job. */
export interface FillReport extends FillTraffic {
  /** As of the job. */
  readonly fromMs?: number
}

export interface FillState {
  jobs: FillJob[]
  /** By version; there may be traffic before the version is in force here. */
  traffic: Record<string, FillTraffic>
  /** In the control partition: by version, the newest report of each partition. */
  reports: Record<string, Record<string, FillReport>>
}

/** The control partition collects the reports. */
export const controlPartition = 0

export function createFillState(): FillState {
  return { jobs: [], traffic: {}, reports: {} }
}

export function trafficOf(state: FillState, version: number): FillTraffic {
  const traffic = state.traffic[version] ?? { sent: {}, received: {} }
  state.traffic[version] = traffic
  return traffic
}

/** Returns the later of two instants from which on nothing is missing; undefined for no bound. */
export function laterOf(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || other === undefined ? (one ?? other) : Math.max(one, other)
}

/**
 * Tells whether all partitions have reported, and each record that one has sent is among those its
 * target has received. No report can hide a record on its way: it was sent after a receipt that its
 * sender has not reported, and so on back to one that was sent before a first report.
 */
export function isSettled(
  reports: Readonly<Record<string, FillTraffic>>,
  partitionCount: number,
): boolean {
  if (Object.keys(reports).length < partitionCount) return false
  return Object.entries(reports).every(([source, { sent }]) =>
    Object.entries(sent).every(
      ([target, count]) => (reports[target]?.received[source] ?? 0) === count,
    ),
  )
}
