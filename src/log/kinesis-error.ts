/**
 * Errors of Kinesis, of the table beside it and of their client library, as ours.
 *
 * What a human must mend (rights, credentials, a stream that is not there) is STORE_MISCONFIGURED.
 * All else is the network or a service that is busy, and may succeed later: STORE_UNREACHABLE.
 */

import { OperatingError } from '../lib/errors.ts'

const throttles = new Set([
  ...['ProvisionedThroughputExceededException', 'ThrottlingException', 'RequestLimitExceeded'],
  ...['LimitExceededException', 'KMSThrottlingException', 'InternalFailure'],
  ...['InternalFailureException', 'InternalServerError', 'ServiceUnavailable'],
  ...['ResourceInUseException', 'TransactionConflictException'],
])
/** Below: an answer of which we understood nothing. Above: the service's own trouble. */
const statusClientError = 400
const statusServerError = 500

export function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : ''
}

/** Tells whether a condition of a write to the table was refused. */
export function isRefused(error: unknown): boolean {
  return nameOf(error) === 'ConditionalCheckFailedException'
}

/** Returns what was thrown as an `OperatingError`; one that is ours already stays as it is. */
export function toOperatingError(error: unknown, attempted: string): OperatingError {
  if (error instanceof OperatingError) return error
  const code = isTransient(error) ? 'STORE_UNREACHABLE' : 'STORE_MISCONFIGURED'
  const says = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  return new OperatingError(code, `${attempted}: ${says}`, error)
}

/** An answer of the service has a status; without one it was never heard of, or cut. */
function isTransient(error: unknown): boolean {
  const name = nameOf(error)
  if (throttles.has(name) || name === 'TimeoutError' || name === 'AbortError') return true
  const { $metadata, code } = error as {
    readonly $metadata?: { readonly httpStatusCode?: number }
    readonly code?: unknown
  }
  const status = $metadata?.httpStatusCode
  if (status !== undefined) return status < statusClientError || status >= statusServerError
  return typeof code === 'string' && code !== 'ERR_ASSERTION'
}
