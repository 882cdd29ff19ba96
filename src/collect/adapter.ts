/**
 * What a format other than Segment's says of itself, so that `take-adapted.ts` can take it: its
 * paths, who sends, what proves it, and what its items mean.
 *
 * `adapt` is pure and never throws for bad input. Its events pass the same collector as all others:
 * limits, plan, durable append. What is rejected is kept as the producer sent it, with the name of
 * the format.
 *
 * Order of one request: sender by the head, origin and rate, intake open, body within its limit,
 * `verify`, inflate, JSON, sender by the body, `adapt`, append, `remember`, answer.
 */

import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import type { AdaptedItem } from './adapted-item.ts'
import type { Problem } from './collect-answer.ts'
import type { TakenAnswer } from './collect-batch.ts'
import type { RequestReason } from './reject-reason.ts'
import type { CollectSource, SourceDirectory } from './source-directory.ts'

/** A request before its body is read. */
export interface AskHead {
  readonly method: string
  /** What stands in the places of the path, decoded: `source` of `/v1/hooks/:source`. */
  readonly parameters: Readonly<Record<string, string>>
  readonly query: URLSearchParams
  readonly headers: IncomingHttpHeaders
  /** Of the headers, as Segment's clients give it. */
  readonly writeKey?: string
}

export interface AskBytes extends AskHead {
  /** The body as sent, compressed bytes included; the text behind `?` of a GET. */
  readonly bytes: Uint8Array
}

export interface Ask extends AskBytes {
  /** The body read as JSON; undefined where the route does not read it so. */
  readonly body: unknown
}

/** `in-body` where the body names the sender; a problem is answered at once, and nothing kept. */
export type Sender = CollectSource | Problem | 'in-body'

/** What becomes of what is neither accepted nor rejected: a repeat, or dropped on purpose. */
export const ignoredOutcomes = ['duplicate', 'dropped'] as const
export type IgnoredOutcome = (typeof ignoredOutcomes)[number]

export type Verdict =
  | { readonly kind: 'go' }
  /** Nothing to take, and nothing wrong: answered as a request without events, and counted. */
  | { readonly kind: 'done'; readonly outcome: IgnoredOutcome }
  /** Answered, and nothing kept: strangers fill no disk. */
  | { readonly kind: 'refused'; readonly problem: Problem }
  /** Kept whole in the `rejected` log. */
  | { readonly kind: 'rejected'; readonly reason: RequestReason; readonly says: string }

export type Adapted =
  | {
      readonly kind: 'events'
      readonly items: readonly AdaptedItem[]
      /** When the request left, by the producer's clock, in any form that events take. */
      readonly sentAt?: unknown
      readonly isBackfill?: boolean
      /** Items that the source's definition, or the format, has no use for. */
      readonly droppedCount?: number
    }
  /** Kept whole in the `rejected` log. */
  | {
      readonly kind: 'refused'
      readonly reason: RequestReason
      readonly says: string
      readonly count?: number
    }

export interface AdaptedRoute {
  /** Written beside what is rejected, so that it can be read again. */
  readonly format: string
  /** Exact, or with `:name` for one part. */
  readonly paths: readonly string[]
  /** HEAD goes wherever GET does, and takes nothing. */
  readonly method: 'GET' | 'POST'
  /** Which limit the body has. */
  readonly size: 'single' | 'batch'
  findSource(head: AskHead, sources: SourceDirectory): Sender
  /** Where `findSource` may answer `in-body`. */
  sourceOfBody?(ask: Ask, sources: SourceDirectory): CollectSource | undefined
  /** Checks what the bytes prove, before anything reads them. Absent: nothing to check. */
  verify?(ask: AskBytes, found: CollectSource): Promise<Verdict>
  /** Tells whether the body is JSON. Absent: it is. */
  hasJson?(ask: AskBytes): boolean
  adapt(ask: Ask, found: CollectSource): Adapted
  /** Called when all is durable. */
  remember?(ask: Ask, found: CollectSource): void
  /** `head` includes that of a HEAD, which is answered as if nothing had been sent. */
  answer(response: ServerResponse, taken: TakenAnswer, head: AskHead): void
  /** Absent: as RFC 9457 says. */
  refuse?(response: ServerResponse, problem: Problem): void
  /** Answers OPTIONS. Absent: as a CORS preflight. */
  answerOptions?(response: ServerResponse, head: AskHead): void
}
