/**
 * Calls to Kinesis and to the table beside it: each bounded in time, and tried again within a bound
 * where that can help. The client's own retries are off, so that there is one place that waits.
 */

import { type Backoff, backoffMs } from '../lib/backoff.ts'
import { isRefused, toOperatingError } from './kinesis-error.ts'
import {
  type KinesisLogDeps,
  type KinesisStreamOptions,
  kinesisDefaults,
  randomOf,
} from './kinesis-options.ts'
import {
  type KinesisOperation,
  type KinesisSend,
  type Operations,
  streamNames,
} from './kinesis-send.ts'

export interface KinesisClient {
  readonly send: KinesisSend
  /** Sends until it is answered, for at most `readMsMax`; fails with an error of ours. */
  readonly call: <Name extends KinesisOperation>(
    name: Name,
    input: Operations[Name][0],
    attempted: string,
  ) => Promise<Operations[Name][1]>
  close(): void
}

const connectMsMax = 2_000
const requestsAtOnceMax = 128
export const backoff: Backoff = { delayMs: 50, delayMsMax: 1_000 }

/** The library asks for credentials under these bounds too, which no signal ends. */
export function requestBounds(requestMsMax: number) {
  const connectionTimeout = connectMsMax
  return { connectionTimeout, requestTimeout: requestMsMax, throwOnRequestTimeout: true } as const
}

/** Loads the client libraries and makes clients; they connect with their first calls. */
export async function openKinesisClient(
  deps: KinesisLogDeps,
  options: KinesisStreamOptions,
): Promise<KinesisClient> {
  const [kinesis, dynamodb] = await Promise.all([
    import('@aws-sdk/client-kinesis'),
    import('@aws-sdk/client-dynamodb'),
  ])
  const requestMsMax = options.requestMsMax ?? kinesisDefaults.requestMsMax
  const agent = { maxSockets: requestsAtOnceMax, keepAlive: true }
  const requestHandler = { ...requestBounds(requestMsMax), httpAgent: agent, httpsAgent: agent }
  const endpointOf = (endpoint: string | undefined) => (endpoint === undefined ? {} : { endpoint })
  const table = new dynamodb.DynamoDBClient({
    region: options.region,
    ...endpointOf(options.tableEndpoint),
    maxAttempts: 1,
    requestHandler,
  })
  const stream = new kinesis.KinesisClient({
    region: options.region,
    ...endpointOf(options.endpoint),
    maxAttempts: 1,
    // Of HTTP/1.1, as the table's: this client would speak HTTP/2, which stand-ins do not know.
    requestHandler: table.config.requestHandler,
  })
  const library = { ...kinesis, ...dynamodb } as Record<string, unknown>
  const plainSend: KinesisSend = async (name, input) => {
    // Each class takes the input and gives the output that `Operations` names beside it.
    const CommandClass = library[`${name}Command`] as new (input: unknown) => never
    const settings = { abortSignal: AbortSignal.timeout(requestMsMax) }
    const command = new CommandClass(input)
    return name in streamNames
      ? await stream.send(command, settings)
      : await table.send(command, settings)
  }
  const send = deps.wrapSend === undefined ? plainSend : deps.wrapSend(plainSend)
  return {
    send,
    call: (name, input, attempted) => retrying(deps, options, attempted, () => send(name, input)),
    close() {
      stream.destroy()
      table.destroy()
    },
  }
}

/** Runs `act` until it succeeds or fails for good. A refused condition is thrown as it is. */
export async function retrying<Result>(
  deps: KinesisLogDeps,
  options: { readonly readMsMax?: number },
  attempted: string,
  act: () => Promise<Result>,
): Promise<Result> {
  const { clock } = deps
  const deadlineMs = clock.monotonicMs() + (options.readMsMax ?? kinesisDefaults.readMsMax)
  for (let failedCount = 1; ; failedCount++) {
    try {
      return await act()
    } catch (error) {
      if (isRefused(error)) throw error
      const ours = toOperatingError(error, attempted)
      const waitMs = backoffMs(randomOf(deps), backoff, failedCount)
      if (!ours.retryable || clock.monotonicMs() + waitMs >= deadlineMs) throw ours
      await clock.sleep(waitMs)
    }
  }
}
