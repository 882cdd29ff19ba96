/**
 * What is kept of an attempt, so that a message can be explained and rendered again, byte for byte.
 *
 * One blob per attempt; the rendered bytes and the template are blobs of their own, named by hash.
 * The keys that sign links are never part of it.
 */

import type { TriggerRef } from '../profile/person.ts'
import type { AdvisedItem } from '../recommend/advisor.ts'
import type { RenderInput } from '../template/template.ts'

export const evidenceFormat = 1

export interface Evidence {
  readonly format: typeof evidenceFormat
  readonly messageId: string
  readonly attempt: number
  /** The render input without its template. */
  readonly input: Omit<RenderInput, 'template'>
  readonly templateHash: string
  /** SHA-256 of the whole message, and the blob that holds it. */
  readonly rawHash: string
  readonly subject: string
  /** Destinations of the click links, by index. */
  readonly links: readonly string[]
  readonly decision: Decision
}

/** An item that was recommended, why, and the version of it that was shown. */
export interface RecommendedEvidence extends Pick<AdvisedItem, 'itemId' | 'score' | 'reason'> {
  /** Absent in evidence of before there were any. */
  readonly weights?: AdvisedItem['weights']
  /** Absent: `recommendations`. */
  readonly slot?: string
  readonly itemUpdatedAtMs?: number
  readonly itemVersion?: number
}

/** Why this message, with this content. */
export interface Decision {
  readonly campaign: string
  readonly step: number
  readonly trigger: TriggerRef
  readonly definitionsHash: string
  readonly profileKey: string
  readonly profileVersion: number
  /** Greatest age that the shown data may have had, and the bound it was held to. */
  readonly profileAgeMs: number
  readonly freshWithinMs: number
  readonly segments: readonly string[]
  readonly recommendations: readonly RecommendedEvidence[]
  /** Version of the recommendation index. */
  readonly learnedCount: number
  readonly renderedAtMs: number
}

export function encodeEvidence(evidence: Evidence): Uint8Array {
  return Buffer.from(JSON.stringify(evidence))
}

export function decodeEvidence(bytes: Uint8Array): Evidence {
  return JSON.parse(Buffer.from(bytes).toString()) as Evidence
}
