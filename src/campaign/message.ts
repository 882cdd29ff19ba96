/**
 * A message's life, as the fold keeps it.
 *
 *   due --claim--> granted --result--> accepted | failed | deferred | unknown
 *    |                |                                     |
 *    | claim          | a newer owner, no result            | retry is due
 *    v                v                                     v
 *   refused         unknown --late result--> as reported    due
 *
 * Invariants: a message is granted only while due; each grant has a new attempt; a result counts
 * only for the attempt it names; what is accepted, failed or refused never changes again.
 */

import type { TriggerRef } from '../profile/person.ts'

export const refusalReasons = ['exit', 'consent', 'expired', 'suppressed', 'no-address'] as const
export type RefusalReason = (typeof refusalReasons)[number]

export type MessageState =
  | { readonly kind: 'due'; readonly attempt: number }
  | {
      readonly kind: 'granted'
      readonly attempt: number
      readonly epoch: number
      readonly atMs: number
    }
  | {
      readonly kind: 'deferred'
      readonly attempt: number
      readonly retryAtMs: number
      readonly says: string
    }
  | {
      readonly kind: 'accepted'
      readonly attempt: number
      readonly atMs: number
      readonly says: string
    }
  | {
      readonly kind: 'failed'
      readonly attempt: number
      readonly atMs: number
      readonly says: string
    }
  | {
      readonly kind: 'unknown'
      readonly attempt: number
      readonly atMs: number
      readonly says: string
    }
  | {
      readonly kind: 'refused'
      readonly attempt: number
      readonly atMs: number
      readonly reason: RefusalReason
    }

export type MessageStateKind = MessageState['kind']

export const resultKinds = ['accepted', 'deferred', 'failed', 'unknown', 'refused'] as const
export type ResultKind = (typeof resultKinds)[number]

export const outcomeKinds = ['opened', 'clicked', 'unsubscribed', 'bounced', 'complained'] as const
export type OutcomeKind = (typeof outcomeKinds)[number]

export interface Message {
  readonly messageId: string
  readonly personKey: string
  readonly campaign: string
  readonly enrollmentId: string
  readonly step: number
  readonly template: string
  readonly topic: string
  readonly trigger: TriggerRef
  readonly dueAtMs: number
  readonly notAfterMs: number
  readonly freshWithinMs: number
  readonly recommendationCount: number
  readonly definitionsHash: string
  state: MessageState
  /** Hash of the evidence of the newest attempt that was rendered. */
  evidenceHash?: string
  /** First time of each outcome. */
  outcomes: Partial<Record<OutcomeKind, number>>
}

/** What a `claim` record asks; its skeleton. */
export interface ClaimSkeleton {
  readonly messageId: string
  readonly attempt: number
  readonly epoch: number
}

/** What a `result` record reports; its skeleton. */
export interface ResultSkeleton {
  readonly messageId: string
  readonly attempt: number
  readonly result: ResultKind
  readonly says: string
  readonly evidenceHash?: string
  readonly reason?: RefusalReason
  /** When the suppression of the address was last read before the hand-over. */
  readonly checkedAtMs?: number
}

export interface OutcomeSkeleton {
  readonly messageId: string
  readonly outcome: OutcomeKind
  readonly atMs: number
  readonly link?: number
}

export const attemptCountMax = 8
const retryMsMin = 60_000
const retryMsMax = 4 * 3_600_000

/** Returns how long to wait before attempt `attempt + 1`: 1 m, 2 m, 4 m ... 4 h. */
export function retryWaitMs(attempt: number): number {
  return Math.min(retryMsMax, retryMsMin * 2 ** (attempt - 1))
}

type Input = 'claim' | 'result' | 'owner-change' | 'retry-due'

/** Whether an input has an effect in a state; complete by type. */
export const messageInputs: Readonly<Record<MessageStateKind, Readonly<Record<Input, boolean>>>> = {
  due: { claim: true, result: false, 'owner-change': false, 'retry-due': false },
  granted: { claim: false, result: true, 'owner-change': true, 'retry-due': false },
  deferred: { claim: false, result: false, 'owner-change': false, 'retry-due': true },
  unknown: { claim: false, result: true, 'owner-change': false, 'retry-due': false },
  accepted: { claim: false, result: false, 'owner-change': false, 'retry-due': false },
  failed: { claim: false, result: false, 'owner-change': false, 'retry-due': false },
  refused: { claim: false, result: false, 'owner-change': false, 'retry-due': false },
}

/** Returns the state after a result, or the same state where the result is not for it. */
export function applyResult(
  state: MessageState,
  result: ResultSkeleton,
  nowMs: number,
): MessageState {
  if (!messageInputs[state.kind].result || state.attempt !== result.attempt) return state
  const { attempt, says } = result
  switch (result.result) {
    case 'accepted':
    case 'failed':
    case 'unknown':
      return { kind: result.result, attempt, atMs: nowMs, says }
    case 'refused':
      return { kind: 'refused', attempt, atMs: nowMs, reason: result.reason ?? 'suppressed' }
    case 'deferred':
      return attempt >= attemptCountMax
        ? { kind: 'failed', attempt, atMs: nowMs, says }
        : { kind: 'deferred', attempt, retryAtMs: nowMs + retryWaitMs(attempt), says }
  }
}

export const messagePrefix = 'message/'
/** Index of messages that delivery should claim. */
export const duePrefix = 'due/'
/** Index of messages granted without a result yet. */
export const grantedPrefix = 'granted/'

/** Returns the partition that a message id names; undefined where it is not one of ours. */
export function partitionOfMessage(messageId: string): number | undefined {
  const match = /^([0-9a-z]{2,4})-[A-Za-z0-9_-]{22}$/.exec(messageId)
  return match?.[1] === undefined ? undefined : Number.parseInt(match[1], 36)
}
