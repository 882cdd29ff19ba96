import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Logger } from '../lib/logger.ts'
import type { AdaptedRoute, IgnoredOutcome } from './adapter.ts'
import type { Problem } from './collect-answer.ts'
import type { Collector } from './collect-batch.ts'
import type { CollectHttpOptions } from './collect-options.ts'
import type { BodyBudget } from './parse-body.ts'
import type { SourceDirectory } from './source-directory.ts'
import type { SourceRates } from './source-rates.ts'
import type { BasicKeys } from './write-key.ts'

/** Whether events are taken now. Lag answers 429, the rest 503. */
export type Intake =
  | { readonly kind: 'open' }
  | {
      readonly kind: 'closed'
      readonly reason: 'lag' | 'clock' | 'stopping' | 'disk'
      readonly retryAfterSeconds: number
    }

export interface CollectHttpDeps {
  readonly collector: Collector
  readonly sources: SourceDirectory
  /** Formats other than Segment's. */
  readonly adapted: readonly AdaptedRoute[]
  readonly intake: () => Intake
  readonly rates: SourceRates
  readonly isTrustedProxy: (address: string | undefined) => boolean
  readonly logger: Logger
  readonly metrics: {
    /** Counts an answer other than 200, by status and code. */
    refused(status: number, code: string): void
    /** Counts what was answered 200 and is neither accepted nor rejected. */
    ignored(outcome: IgnoredOutcome, count: number): void
  }
}

/** One request with all that answers it. */
export interface Exchange {
  readonly deps: CollectHttpDeps
  readonly options: CollectHttpOptions
  readonly budget: BodyBudget
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly query: string
  readonly basicKeys: BasicKeys
  readonly refuse: (problem: Problem) => void
}
