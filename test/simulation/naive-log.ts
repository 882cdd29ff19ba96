/**
 * The log read by plain rules, with nothing of the fold's code: fold time, the epoch in force,
 * what is new and what is a repeat. Everything is recomputed from the records alone.
 */

import type { LogRecord } from '../../src/log/record.ts'
import { dayMs, secondMs } from './world-definitions.ts'

const aheadMs = 60 * secondMs
const horizonMs = 7 * dayMs

export interface NaiveRecord {
  readonly record: LogRecord
  readonly foldMs: number
  /** In force before this record. */
  readonly epochBefore: number
  readonly isSkipped: boolean
  /** An event whose id was not seen within the horizon, at the identity key where it landed. */
  readonly isNewEvent: boolean
  /** From another partition, and here already. */
  readonly isRepeat: boolean
}

export interface NaivePartition {
  readonly records: readonly NaiveRecord[]
  readonly foldMs: number
  readonly ownerMs: number
  readonly epoch: number
  readonly duplicateCount: number
}

export function readNaively(log: readonly LogRecord[]): NaivePartition {
  const skips = new Set(
    log.flatMap(({ kind, skeleton }) => (kind === 'skip' ? [numberOf(skeleton, 'offset')] : [])),
  )
  const seen = new Map<string, number>()
  const arrived = new Set<string>()
  let [foldMs, ownerMs, epoch, duplicateCount] = [0, 0, 0, 0]
  const records = log.map((record, index): NaiveRecord => {
    const epochBefore = epoch
    const recordEpoch = numberOf(record.skeleton, 'epoch')
    const isOwners = record.kind === 'owner' || record.kind === 'tick'
    const isInForce = record.kind === 'owner' ? recordEpoch > epoch : recordEpoch === epoch
    if (isOwners && isInForce) ownerMs = Math.max(ownerMs, record.recordedAtMs)
    if (!isOwners || isInForce) {
      const isFar = ownerMs > 0 && record.recordedAtMs > ownerMs + aheadMs
      // Only an owner's next word can tell whether it is the record's clock that is wrong.
      const wordMs = isFar ? nextWordMs(log, index + 1, epoch) : 0
      const spokenMs = Math.max(ownerMs, wordMs)
      const boundMs = spokenMs === 0 ? record.recordedAtMs : spokenMs + aheadMs
      foldMs = Math.max(foldMs, Math.min(record.recordedAtMs, boundMs))
    }
    if (record.kind === 'owner' && isInForce) epoch = recordEpoch
    const isSkipped = skips.has(record.offset)
    let isNewEvent = false
    if (record.kind === 'event' && !isSkipped) {
      const id = `${record.key} ${Buffer.from(record.id).toString('hex')}`
      const seenMs = seen.get(id)
      isNewEvent = seenMs === undefined || foldMs - seenMs > horizonMs
      if (isNewEvent) seen.set(id, foldMs)
      else duplicateCount++
    }
    const outboxId = outboxIdOf(record)
    const isRepeat = outboxId !== undefined && arrived.has(outboxId)
    if (outboxId !== undefined) arrived.add(outboxId)
    return { record, foldMs, epochBefore, isSkipped, isNewEvent, isRepeat }
  })
  return { records, foldMs, ownerMs, epoch, duplicateCount }
}

function nextWordMs(log: readonly LogRecord[], from: number, epoch: number): number {
  for (let at = from; at < log.length; at++) {
    const { kind, skeleton, recordedAtMs } = log[at] as LogRecord
    const spoken = numberOf(skeleton, 'epoch')
    if (kind === 'tick' && spoken === epoch) return recordedAtMs
    if (kind === 'owner' && spoken > epoch) return recordedAtMs
  }
  return 0
}

export function outboxIdOf({ outbox }: LogRecord): string | undefined {
  return outbox && `${outbox.source}:${outbox.offset}:${outbox.index}`
}

export function numberOf(skeleton: unknown, name: string): number {
  const value = fieldOf(skeleton, name)
  return typeof value === 'number' ? value : -1
}

export function textOf(skeleton: unknown, name: string): string {
  const value = fieldOf(skeleton, name)
  return typeof value === 'string' ? value : ''
}

function fieldOf(skeleton: unknown, name: string): unknown {
  if (typeof skeleton !== 'object' || skeleton === null) return undefined
  return (skeleton as Record<string, unknown>)[name]
}
