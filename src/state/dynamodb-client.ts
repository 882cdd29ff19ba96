/**
 * Calls to DynamoDB: bounded in number and in time, tried again where that can help, and failing
 * with errors of ours.
 *
 * A call that was throttled, met another transaction, got no answer in time or an answer of 5xx is
 * sent again, the same bytes with the same request token, after a growing delay. When `retryMsMax`
 * is over it rejects with STORE_UNREACHABLE; whether its last attempts were or will yet be taken is
 * unclear then, so a call that writes must carry a condition that fails once the world has moved
 * on. A refused condition and a size that the service does not take are thrown as they are: the
 * caller expects them. The client's own retries are off, so that there is one place that waits.
 */

import type {
  BatchGetItemCommandInput,
  BatchGetItemCommandOutput,
  BillingMode,
  CreateTableCommandInput,
  CreateTableCommandOutput,
  DeleteItemCommandInput,
  DeleteItemCommandOutput,
  DescribeTableCommandInput,
  DescribeTableCommandOutput,
  GetItemCommandInput,
  GetItemCommandOutput,
  PutItemCommandInput,
  PutItemCommandOutput,
  QueryCommandInput,
  QueryCommandOutput,
  TransactGetItemsCommandInput,
  TransactGetItemsCommandOutput,
  TransactWriteItemsCommandInput,
  TransactWriteItemsCommandOutput,
  UpdateContinuousBackupsCommandInput,
  UpdateContinuousBackupsCommandOutput,
  UpdateItemCommandInput,
  UpdateItemCommandOutput,
} from '@aws-sdk/client-dynamodb'
import { type Backoff, backoffMs } from '../lib/backoff.ts'
import type { Clock } from '../lib/clock.ts'
import { OperatingError } from '../lib/errors.ts'
import type { Logger } from '../lib/logger.ts'
import { type Random, systemRandom } from '../lib/random.ts'

export interface DynamodbDeps {
  readonly clock: Clock
  readonly logger: Logger
  readonly random?: Random
  /** Stands between us and the client; for tests of faults. */
  readonly wrapSend?: (send: DynamodbSend) => DynamodbSend
}

export interface DynamodbOptions {
  readonly region: string
  /** Where it is not the region's own. */
  readonly endpoint?: string
  readonly table?: string
  readonly blobTable?: string
  /** Requests under way at once; further ones wait. */
  readonly requestCountMax?: number
  /** For one attempt. */
  readonly requestMsMax?: number
  /** For all attempts of a request and the waits between them. */
  readonly retryMsMax?: number
}

export const billingMode: BillingMode = 'PAY_PER_REQUEST'
export const tableDefault = 'attune-state'
export const blobTableDefault = 'attune-blob'
const requestCountMaxDefault = 64
const requestMsMaxDefault = 5000
const retryMsMaxDefault = 15_000
const connectMsMax = 2000
const backoff: Backoff = { delayMs: 20, delayMsMax: 1000 }
/** Failures in a row that an operator should hear of, and how often. */
const warnFailedCount = 4
const warnEveryMs = 10_000

interface Operations {
  readonly CreateTable: [CreateTableCommandInput, CreateTableCommandOutput]
  readonly DescribeTable: [DescribeTableCommandInput, DescribeTableCommandOutput]
  readonly UpdateContinuousBackups: [
    UpdateContinuousBackupsCommandInput,
    UpdateContinuousBackupsCommandOutput,
  ]
  readonly BatchGetItem: [BatchGetItemCommandInput, BatchGetItemCommandOutput]
  readonly GetItem: [GetItemCommandInput, GetItemCommandOutput]
  readonly Query: [QueryCommandInput, QueryCommandOutput]
  readonly PutItem: [PutItemCommandInput, PutItemCommandOutput]
  readonly UpdateItem: [UpdateItemCommandInput, UpdateItemCommandOutput]
  readonly DeleteItem: [DeleteItemCommandInput, DeleteItemCommandOutput]
  readonly TransactGetItems: [TransactGetItemsCommandInput, TransactGetItemsCommandOutput]
  readonly TransactWriteItems: [TransactWriteItemsCommandInput, TransactWriteItemsCommandOutput]
}

export type OperationName = keyof Operations

/** Sends one request once. */
export type DynamodbSend = <Name extends OperationName>(
  name: Name,
  input: Operations[Name][0],
  signal: AbortSignal,
) => Promise<Operations[Name][1]>

export interface DynamodbClient {
  /** `attempted` is for messages: what is tried, on what. */
  call<Name extends OperationName>(
    name: Name,
    input: Operations[Name][0],
    attempted: string,
  ): Promise<Operations[Name][1]>
  close(): void
}

/** Loads the client library and makes a client; it connects with its first call. */
export async function openDynamodbClient(
  deps: DynamodbDeps,
  options: DynamodbOptions,
): Promise<DynamodbClient> {
  const library = await import('@aws-sdk/client-dynamodb')
  const requestCountMax = options.requestCountMax ?? requestCountMaxDefault
  const requestMsMax = options.requestMsMax ?? requestMsMaxDefault
  const agent = { maxSockets: requestCountMax, keepAlive: true }
  const client = new library.DynamoDBClient({
    region: options.region,
    ...(options.endpoint === undefined ? {} : { endpoint: options.endpoint }),
    maxAttempts: 1,
    requestHandler: {
      ...{ connectionTimeout: connectMsMax, httpAgent: agent, httpsAgent: agent },
      // The library asks for credentials by it too, and no signal ends that.
      ...{ requestTimeout: requestMsMax, throwOnRequestTimeout: true },
    },
  })
  const plainSend: DynamodbSend = async (name, input, signal) => {
    // Each class takes the input and gives the output that `Operations` names beside it.
    const CommandClass = library[`${name}Command`] as unknown as new (input: unknown) => never
    return await client.send(new CommandClass(input), { abortSignal: signal })
  }
  return createDynamodbClient(deps, options, {
    send: deps.wrapSend === undefined ? plainSend : deps.wrapSend(plainSend),
    slots: new Slots(requestCountMax),
    close: () => client.destroy(),
  })
}

interface Wire {
  readonly send: DynamodbSend
  readonly slots: Slots
  close(): void
}

function createDynamodbClient(
  deps: DynamodbDeps,
  options: DynamodbOptions,
  wire: Wire,
): DynamodbClient {
  const { clock, logger, random = systemRandom } = deps
  const requestMsMax = options.requestMsMax ?? requestMsMaxDefault
  const retryMsMax = options.retryMsMax ?? retryMsMaxDefault
  let warnedAtMs = Number.NEGATIVE_INFINITY
  const warn = (attempted: string, failedCount: number, error: unknown): void => {
    const nowMs = clock.monotonicMs()
    if (failedCount < warnFailedCount || nowMs < warnedAtMs + warnEveryMs) return
    warnedAtMs = nowMs
    logger.warn({ attempted, failedCount, says: nameOf(error) }, 'store slow')
  }
  return {
    async call(name, input, attempted) {
      const deadlineMs = clock.monotonicMs() + retryMsMax
      for (let failedCount = 1; ; failedCount++) {
        const failure = await wire.slots.hold(async () => {
          try {
            return { answer: await wire.send(name, input, AbortSignal.timeout(requestMsMax)) }
          } catch (error) {
            return { error }
          }
        })
        if ('answer' in failure) return failure.answer
        const { error } = failure
        if (isExpected(error)) throw error
        if (!isTransient(error)) throw refusalOf(error, attempted)
        const waitMs = backoffMs(random, backoff, failedCount)
        if (clock.monotonicMs() + waitMs >= deadlineMs) {
          throw new OperatingError('STORE_UNREACHABLE', attempted, error)
        }
        warn(attempted, failedCount, error)
        await clock.sleep(waitMs)
      }
    },
    close: () => wire.close(),
  }
}

/** Lets so many callers in at once, the others in the order in which they came. */
class Slots {
  #freeCount: number
  readonly #waiting: (() => void)[] = []

  constructor(count: number) {
    this.#freeCount = count
  }

  async hold<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#freeCount > 0) this.#freeCount--
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      return await work()
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#freeCount++
      else next()
    }
  }
}

const throttles = new Set([
  ...['ProvisionedThroughputExceededException', 'ThrottlingException', 'RequestLimitExceeded'],
  ...['TransactionConflictException', 'TransactionInProgressException', 'InternalServerError'],
  ...['ServiceUnavailable', 'LimitExceededException'],
])
const finalReasons = new Set(['ConditionalCheckFailed', 'ValidationError'])
/** Below: an answer of which we understood nothing. Above: the service's own trouble. */
const statusClientError = 400
const statusServerError = 500

interface Reason {
  readonly Code?: string | undefined
  readonly Item?: Record<string, unknown> | undefined
}

/** Returns why a transaction was cancelled, by item; undefined for any other error. */
export function cancellationReasons(error: unknown): readonly Reason[] | undefined {
  if (nameOf(error) !== 'TransactionCanceledException') return undefined
  return (error as { readonly CancellationReasons?: readonly Reason[] }).CancellationReasons ?? []
}

/** Tells whether a condition of a single write was refused. */
export function isRefused(error: unknown): boolean {
  return nameOf(error) === 'ConditionalCheckFailedException'
}

/** Tells whether the service found the call too large, or wrong in another way. */
export function isInvalid(error: unknown): boolean {
  if (nameOf(error) === 'ValidationException') return true
  const reasons = cancellationReasons(error) ?? []
  return reasons.some(({ Code }) => Code === 'ValidationError')
}

function isExpected(error: unknown): boolean {
  if (isRefused(error) || isInvalid(error)) return true
  const reasons = cancellationReasons(error) ?? []
  return reasons.some(({ Code = '' }) => finalReasons.has(Code))
}

/** An answer of the service has a status; without one it was never heard of, or cut. */
function isTransient(error: unknown): boolean {
  if (throttles.has(nameOf(error)) || cancellationReasons(error) !== undefined) return true
  const name = nameOf(error)
  if (name === 'CredentialsProviderError') return false
  if (name === 'TimeoutError' || name === 'AbortError') return true
  const metadata = (error as { readonly $metadata?: { readonly httpStatusCode?: number } })
    .$metadata
  const status = metadata?.httpStatusCode
  if (status !== undefined) return status < statusClientError || status >= statusServerError
  return typeof (error as { readonly code?: unknown }).code === 'string'
}

/** What the service says no to whatever we do: a missing table, keys that are not its own. */
function refusalOf(error: unknown, attempted: string): unknown {
  const hasStatus = error instanceof Error && '$metadata' in error
  if (!hasStatus && nameOf(error) !== 'CredentialsProviderError') return error
  return new OperatingError('STORE_MISCONFIGURED', `${attempted}: ${nameOf(error)}`, error)
}

export function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : ''
}
