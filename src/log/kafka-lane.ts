/** What waits to be appended to one partition, and who waits for it. */

import { OperatingError } from '../lib/errors.ts'
import type { Place } from './event-log.ts'
import { recordOverheadBytesMax } from './kafka-options.ts'

export interface AppendCall {
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

export interface AppendLane {
  readonly partition: number
  waiting: AppendItem[]
  /** What was sent, or will be sent again, before anything that waits. */
  batch: { readonly items: readonly AppendItem[]; bytes: Buffer } | undefined
  isFlying: boolean
  /** After a failure, not sent before. */
  notBeforeMs: number
  pauseMs: number
  producerId: bigint
  epoch: number
  sequence: number
}

export const pauseMsMin = 50

export function createLane(partition: number, producerId: bigint): AppendLane {
  return {
    partition,
    waiting: [],
    batch: undefined,
    isFlying: false,
    notBeforeMs: 0,
    pauseMs: pauseMsMin,
    producerId,
    epoch: 0,
    sequence: 0,
  }
}

/** Returns the most that a record adds to its value in a batch. */
export function recordOverheadOf(item: AppendItem | undefined): number {
  return Math.min(recordOverheadBytesMax, (item?.key.length ?? 0) * 3 + 32)
}

export function leaderless({ partition }: AppendLane): OperatingError {
  return new OperatingError(
    'STORE_UNREACHABLE',
    `append to partition ${partition}: nobody leads it`,
  )
}
