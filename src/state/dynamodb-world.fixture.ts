/** DynamoDB Local with fresh tables for each test, and hands on the wire of each store. */

import type { TestContext } from 'node:test'
import type { Service } from '../../scripts/service.ts'
import { startDynamodb } from '../../scripts/service-dynamodb.ts'
import { systemClock } from '../lib/clock.ts'
import { silentLogger } from '../lib/logger.ts'
import {
  type DynamodbOptions,
  type DynamodbSend,
  type OperationName,
  openDynamodbClient,
} from './dynamodb-client.ts'
import { openDynamodbStateStore } from './dynamodb-state-store.ts'
import { initDynamodbTables } from './dynamodb-tables.ts'
import type { StateStore } from './state-store.ts'

export interface WireRequest {
  readonly name: OperationName
  readonly input: unknown
  /** From 1, in the order of one store's requests. */
  readonly index: number
}

/** Stands between a store and the server; `send` sends the request as it is, or `input` instead. */
export type WireHand = (
  request: WireRequest,
  send: (input?: unknown) => Promise<unknown>,
) => Promise<unknown>

export const deps = { clock: systemClock, logger: silentLogger }

export interface DynamodbWorld {
  readonly service: Service
  /** Makes tables of their own for one test. */
  makeTables(given?: Partial<DynamodbOptions>): Promise<DynamodbOptions>
  stop(): Promise<void>
}

export async function startDynamodbWorld(isOnDisk = false): Promise<DynamodbWorld> {
  const service = await startDynamodb({ isOnDisk })
  let tableCount = 0
  return {
    service,
    async makeTables(given = {}) {
      tableCount++
      const options = {
        region: 'local',
        endpoint: `http://${service.addresses[0]}`,
        table: `state-${tableCount}`,
        blobTable: `blob-${tableCount}`,
        ...given,
      }
      await initDynamodbTables(deps, options)
      return options
    },
    stop: () => service.stop(),
  }
}

export function wrapSend(hand: WireHand): (send: DynamodbSend) => DynamodbSend {
  let index = 0
  return (send) => async (name, input, signal) => {
    index++
    const answer = await hand({ name, input, index }, (other = input) =>
      send(name, other as typeof input, signal),
    )
    // A hand answers what the server would, or throws.
    return answer as Awaited<ReturnType<typeof send<typeof name>>>
  }
}

/** Opens a store; its first request is that of the opening. */
export async function openStore(
  t: Pick<TestContext, 'after'>,
  options: DynamodbOptions,
  hand?: WireHand,
): Promise<StateStore> {
  const given = hand === undefined ? deps : { ...deps, wrapSend: wrapSend(hand) }
  const store = await openDynamodbStateStore(given, options)
  t.after(() => store.close())
  return store
}

/** An error as the client throws it for an answer of the service. */
export function serviceError(name: string, fields: Record<string, unknown> = {}): Error {
  const $metadata = { httpStatusCode: 400 }
  return Object.assign(new Error('asked for'), { name, $metadata, ...fields })
}

/** Counts the redo chunks of a partition. */
export async function redoCount(options: DynamodbOptions, partition: number): Promise<number> {
  const client = await openDynamodbClient(deps, options)
  let count = 0
  for (let bucket = 0; bucket < 16; bucket++) {
    const input = {
      TableName: options.table,
      KeyConditionExpression: 'p = :p',
      ExpressionAttributeValues: { ':p': { S: `${partition}/redo/${bucket.toString(16)}` } },
    }
    count += (await client.call('Query', input, 'count redo chunks')).Count ?? 0
  }
  client.close()
  return count
}
