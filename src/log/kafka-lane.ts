/** What waits to be appended to one partition of Kafka, and as whom it is sent. */

import { OperatingError } from '../lib/errors.ts'
import { type AppendItem, type AppendLane, createLane } from './append-queue.ts'
import { recordOverheadBytesMax } from './kafka-options.ts'

export interface KafkaLane extends AppendLane {
  pauseMs: number
  producerId: bigint
  epoch: number
  sequence: number
}

export const pauseMsMin = 50

export function createKafkaLane(partition: number, producerId: bigint): KafkaLane {
  return { ...createLane(partition), pauseMs: pauseMsMin, producerId, epoch: 0, sequence: 0 }
}

/** Returns the most that a record takes in a batch. */
export function bytesInBatch({ key, value }: AppendItem): number {
  return value.length + Math.min(recordOverheadBytesMax, key.length * 3 + 32)
}

export function leaderless({ partition }: KafkaLane): OperatingError {
  return new OperatingError(
    'STORE_UNREACHABLE',
    `append to partition ${partition}: nobody leads it`,
  )
}
