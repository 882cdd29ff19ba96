/**
 * What a partition knows of itself, in one entry that every commit writes.
 *
 * All of it follows from the log, so it is part of the canonical dump; who may commit is the
 * store's head instead.
 */

import type { Json } from '../lib/json.ts'
import type { StateReader } from '../state/state-store.ts'

export const metaKey = 'part/meta'
/**
 * Fold time runs at most this far ahead of the owner's last word, so one wrong clock cannot fire
 * every timer.
 */
export const aheadMsMax = 60_000

/** How far the evaluation of a partition is; part of its meta. */
export interface Evaluation {
  /** Offset of the record that began it; a `continue` of another one has no effect. */
  readonly number: number
  /** In topological order; dependents of what changed among them. */
  readonly pending: readonly string[]
  /** Key of the last person evaluated; '' before the first. */
  after: string
  doneCount: number
  readonly startedAtMs: number
}

/** A list of people in force; its keys lie in the side store. */
export interface ListInForce {
  readonly hash: string
  readonly keyCount: number
  /** Fold time at which it came into force here. */
  readonly atMs: number
}

export interface PartitionMeta {
  /** Version of the fold's rules, and the offset behind which it counts. */
  rules: [version: number, from: number]
  /** Fold time: only grows. */
  foldMs: number
  /** Time of the newest owner or tick record of the owner in force; 0 before the first. */
  ownerMs: number
  epoch: number
  nonce: string
  /** How long versions of people are kept, by the owner's word; absent or 0 for not at all. */
  historyMs?: number
  /** Definitions in force: hash of their blob; '' before the first. */
  definitionsHash: string
  definitionsVersion: number
  /** Place in the outbox of the record being folded: [offset, next index]. */
  sending: [offset: number, nextIndex: number]
  /** Last outbox id sent, by target. */
  sent: Record<string, [offset: number, index: number]>
  /** Last outbox id received, by source. */
  received: Record<string, [offset: number, index: number]>
  feedNext: number
  /** Number of the next entry of `fired/`; absent before the first. */
  firedNext?: number
  counts: {
    applied: number
    duplicates: number
    skipped: number
    horizonCut: number
    people: number
    mergesRefused: number
    /** Traits that had no room. */
    traitsDropped: number
    feedDropped: number
  }
  /** By kind; absent before the first. See `finding.ts`. */
  findings?: Record<string, number>
  /** Present while new rules have not reached everybody. See `evaluate-people.ts`. */
  evaluation?: Evaluation
  /** Segments that see a computed trait whose past is not in yet; absent where there are none. */
  waiting?: readonly string[]
  /** Number of the next entry of `in-force/`; absent before the first. */
  inForceNext?: number
  /** People by segment; absent before the first. */
  members?: Record<string, number>
  /** By name; absent before the first. */
  lists?: Record<string, ListInForce>
  /** By campaign, then by what happened. */
  campaigns: Record<string, Record<string, number>>
}

export function createMeta(rulesVersion: number): PartitionMeta {
  return {
    rules: [rulesVersion, 0],
    foldMs: 0,
    ownerMs: 0,
    epoch: 0,
    nonce: '',
    definitionsHash: '',
    definitionsVersion: 0,
    sending: [0, 0],
    sent: {},
    received: {},
    feedNext: 1,
    counts: {
      applied: 0,
      duplicates: 0,
      skipped: 0,
      horizonCut: 0,
      people: 0,
      mergesRefused: 0,
      traitsDropped: 0,
      feedDropped: 0,
    },
    campaigns: {},
  }
}

/** Returns what a partition's own entry says. A state from before rules had versions is of 0. */
export function decodeMeta(bytes: Uint8Array): PartitionMeta {
  return { rules: [0, 0], ...decodeJson<Omit<PartitionMeta, 'rules'>>(bytes) }
}

/** Returns what a partition knows of itself; undefined before its first commit. */
export async function readMeta(
  state: StateReader,
  partition: number,
): Promise<PartitionMeta | undefined> {
  const [bytes] = await state.get(partition, [metaKey])
  return bytes === undefined ? undefined : decodeMeta(bytes)
}

/** Adds one to a campaign's counter. */
export function countCampaign(meta: PartitionMeta, campaign: string, what: string): void {
  const counts = meta.campaigns[campaign] ?? {}
  meta.campaigns[campaign] = counts
  counts[what] = (counts[what] ?? 0) + 1
}

/** JSON values as state bytes. */
export function encodeJson(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value))
}

export function decodeJson<Value = Json>(bytes: Uint8Array): Value {
  return JSON.parse(
    Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString(),
  ) as Value
}
