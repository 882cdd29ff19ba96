/**
 * Errors of Kafka and of its client library, as ours; the only place that knows their names.
 *
 * What a human must mend (sign-in, rights, sizes, a topic that is not there) is
 * STORE_MISCONFIGURED. A place that the log does not have is LOG_OFFSET_LOST. All else is the
 * network or a cluster that is busy with itself, and may succeed later: STORE_UNREACHABLE.
 */

import { protocolErrorsCodesById } from '@platformatic/kafka'
import { type ErrorCode, OperatingError } from '../lib/errors.ts'

const misconfigured = new Set([
  ...['TOPIC_AUTHORIZATION_FAILED', 'GROUP_AUTHORIZATION_FAILED', 'CLUSTER_AUTHORIZATION_FAILED'],
  ...['SASL_AUTHENTICATION_FAILED', 'UNSUPPORTED_SASL_MECHANISM', 'ILLEGAL_SASL_STATE'],
  ...['SECURITY_DISABLED', 'UNKNOWN_TOPIC_OR_PARTITION', 'INVALID_TOPIC_EXCEPTION'],
  ...['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE', 'INVALID_RECORD', 'INVALID_TIMESTAMP'],
  ...['UNSUPPORTED_VERSION', 'UNSUPPORTED_COMPRESSION_TYPE', 'UNSUPPORTED_FOR_MESSAGE_FORMAT'],
  ...['INVALID_REQUIRED_ACKS', 'POLICY_VIOLATION', 'INVALID_CONFIG', 'INVALID_PARTITIONS'],
  ...['INVALID_REPLICATION_FACTOR', 'INVALID_GROUP_ID', 'INVALID_SESSION_TIMEOUT'],
  ...['INCONSISTENT_GROUP_PROTOCOL', 'GROUP_MAX_SIZE_REACHED', 'TOPIC_ALREADY_EXISTS'],
])
/** Codes of node:tls for a certificate that cannot be trusted. */
const certificatePattern = /^(CERT_|DEPTH_ZERO_|SELF_SIGNED|UNABLE_TO_|ERR_TLS_CERT|ERR_SSL_)/
const libraryMisconfigured = new Set([
  ...['PLT_KFK_AUTHENTICATION', 'PLT_KFK_USER', 'PLT_KFK_UNSUPPORTED_API'],
])
/** A broker that goes away in the middle of a handshake looks like one without TLS. */
const networkPattern = /^(ECONN|ENOTFOUND|EAI_|EHOST|ENET|EPIPE|ETIMEDOUT)/

/** Returns the name of an error that a broker answered with; `NONE` for 0. */
export function kafkaErrorName(code: number): string {
  return protocolErrorsCodesById[code] ?? `UNKNOWN_${code}`
}

/** Returns the error for a name that a broker answered with. */
export function errorOfName(name: string, attempted: string, cause?: unknown): OperatingError {
  return new OperatingError(codeOfName(name), `${attempted}: ${name}`, cause)
}

/** Returns what was thrown as an `OperatingError`; one that is ours already stays as it is. */
export function toOperatingError(error: unknown, attempted: string): OperatingError {
  if (error instanceof OperatingError) return error
  const causes = causesOf(error)
  const names = causes.flatMap(({ apiId }) => (typeof apiId === 'string' ? [apiId] : []))
  const name = names.find((each) => codeOfName(each) !== 'STORE_UNREACHABLE') ?? names[0]
  if (name !== undefined) return errorOfName(name, attempted, error)
  const setting = causes.find(
    ({ code }) =>
      typeof code === 'string' && (libraryMisconfigured.has(code) || certificatePattern.test(code)),
  )
  const isNetwork = causes.some(({ code }) => networkPattern.test(String(code)))
  if (setting !== undefined && !isNetwork) {
    return new OperatingError('STORE_MISCONFIGURED', `${attempted}: ${setting.message}`, error)
  }
  const says = causes.at(-1)?.message
  return new OperatingError(
    'STORE_UNREACHABLE',
    says === undefined ? attempted : `${attempted}: ${says}`,
    error,
  )
}

interface Cause {
  readonly message: string
  readonly code?: unknown
  readonly apiId?: unknown
}

function codeOfName(name: string): ErrorCode {
  if (name === 'OFFSET_OUT_OF_RANGE') return 'LOG_OFFSET_LOST'
  return misconfigured.has(name) ? 'STORE_MISCONFIGURED' : 'STORE_UNREACHABLE'
}

/** Returns an error and all that it was made of, outermost first. */
function causesOf(error: unknown, depth = 0): readonly Cause[] {
  if (!(error instanceof Error) || depth > 5) return []
  const parts = error instanceof AggregateError ? error.errors : []
  const inner = [...parts, error.cause].flatMap((each) => causesOf(each, depth + 1))
  return [error as Cause, ...inner]
}
