/** A stand-in of Kinesis and one of DynamoDB, a fresh stream for each test, hands on the wire. */

import type { TestContext } from 'node:test'
import type { Service } from '../../scripts/service.ts'
import { hasDynamodb, startDynamodb } from '../../scripts/service-dynamodb.ts'
import { hasKinesis, type KinesisService, startKinesis } from '../../scripts/service-kinesis.ts'
import { systemClock } from '../lib/clock.ts'
import { silentLogger } from '../lib/logger.ts'
import { type KinesisEventLog, openKinesisEventLog } from './kinesis-event-log.ts'
import { initKinesisStreams } from './kinesis-init.ts'
import type { KinesisEventLogOptions, KinesisLogDeps } from './kinesis-options.ts'
import type { KinesisOperation, KinesisSend } from './kinesis-send.ts'

export const deps: KinesisLogDeps = { clock: systemClock, logger: silentLogger }

/** Stands between a log and the servers; `send` sends the request as it is, or `input` instead. */
export type WireHand = (
  request: { readonly name: KinesisOperation; readonly input: unknown },
  send: (input?: unknown) => Promise<unknown>,
) => Promise<unknown>

export interface KinesisWorld {
  readonly kinesis: KinesisService
  readonly dynamodb: Service
  /** Makes a stream of its own for one test. */
  makeStream(given?: {
    readonly partitionCount?: number
    readonly shardCount?: number
  }): Promise<KinesisEventLogOptions>
  stop(): Promise<void>
}

export const isWorldMissing = (): boolean => !hasKinesis() || !hasDynamodb()

export async function startKinesisWorld(): Promise<KinesisWorld> {
  const [kinesis, dynamodb] = await Promise.all([startKinesis(), startDynamodb()])
  let streamCount = 0
  return {
    kinesis,
    dynamodb,
    async makeStream({ partitionCount = 4, shardCount = 2 } = {}) {
      streamCount++
      const options = {
        region: 'local',
        endpoint: `http://${kinesis.addresses[0]}`,
        tableEndpoint: `http://${dynamodb.addresses[0]}`,
        stream: `log-${streamCount}`,
        table: 'attune-kinesis',
        // The stand-in does not count how often it is asked.
        pollMs: 10,
      }
      const shape = { partitionCount, shardCount }
      await initKinesisStreams(deps, { ...options, streams: [options.stream] }, shape)
      return options
    },
    async stop() {
      await Promise.all([kinesis.stop(), dynamodb.stop()])
    },
  }
}

export async function openLog(
  t: Pick<TestContext, 'after'>,
  options: KinesisEventLogOptions,
  given: Partial<KinesisLogDeps> & { readonly hand?: WireHand } = {},
): Promise<KinesisEventLog> {
  const { hand, ...other } = given
  const wrapped = hand === undefined ? {} : { wrapSend: wrapSend(hand) }
  const log = await openKinesisEventLog({ ...deps, ...other, ...wrapped }, options)
  t.after(() => log.close())
  return log
}

function wrapSend(hand: WireHand): (send: KinesisSend) => KinesisSend {
  return (send) => async (name, input) => {
    const answer = await hand({ name, input }, (other = input) => send(name, other as typeof input))
    // A hand answers what the server would, or throws.
    return answer as Awaited<ReturnType<typeof send<typeof name>>>
  }
}

/** An error as the client throws it for an answer of the service. */
export function serviceError(name: string): Error {
  return Object.assign(new Error('asked for'), { name, $metadata: { httpStatusCode: 400 } })
}
