/**
 * Makes the streams of a log and the table beside them, and trims a log.
 *
 * Order of effects: the table, then each stream, its retention, and last its partition count in the
 * table: a stream without one is not opened. What is there already is checked, so that `init` can
 * be repeated. A stream keeps records for 365 days at most; servers that allow less are asked for
 * less. So a base must be newer than that.
 */

import type { KeySchemaElement } from '@aws-sdk/client-dynamodb'
import { OperatingError } from '../lib/errors.ts'
import { type KinesisClient, openKinesisClient, requestBounds } from './kinesis-client.ts'
import { nameOf, toOperatingError } from './kinesis-error.ts'
import {
  type KinesisLogDeps,
  type KinesisStreamOptions,
  kinesisDefaults,
} from './kinesis-options.ts'
import { checkShards, describeStream, KinesisStream, listShards } from './kinesis-stream.ts'
import { expiryAttribute, KinesisTable, tableKeyNames } from './kinesis-table.ts'

export interface KinesisShape {
  readonly partitionCount: number
  /** Divides the partitions evenly. */
  readonly shardCount: number
}

/** Longest first: 365 days, then what older servers know. */
const retentionHours = [8_760, 168]
const lookMs = 200
const readyMsMax = 120_000

/** Makes the stream of each of these logs, and their table. */
export async function initKinesisStreams(
  deps: KinesisLogDeps,
  options: Omit<KinesisStreamOptions, 'stream'> & { readonly streams: readonly string[] },
  shape: KinesisShape,
): Promise<void> {
  const { partitionCount, shardCount } = shape
  if (partitionCount % shardCount !== 0) {
    const says = `${shardCount} shards do not hold ${partitionCount} partitions evenly`
    throw new OperatingError('STORE_MISCONFIGURED', `make streams: ${says}`)
  }
  await makeTable(deps, options)
  for (const stream of options.streams) {
    const client = await openKinesisClient(deps, { ...options, stream })
    try {
      await makeStream(deps, client, { stream, shape, table: options.table })
    } finally {
      client.close()
    }
  }
}

/** Takes a partition's records up to and with `through` out of the log, for all who read it. */
export async function trimKinesisLog(
  deps: KinesisLogDeps,
  options: KinesisStreamOptions,
  place: { readonly partition: number; readonly through: number },
): Promise<void> {
  const stream = await KinesisStream.open(deps, options)
  try {
    await stream.table.saveTrimmed(place.partition, place.through)
  } finally {
    stream.close()
  }
}

async function makeStream(
  deps: KinesisLogDeps,
  client: KinesisClient,
  given: { readonly stream: string; readonly shape: KinesisShape; readonly table: string },
): Promise<void> {
  const { stream, shape } = given
  const { partitionCount, shardCount } = shape
  const input = { StreamName: stream, ShardCount: shardCount }
  try {
    await client.send('CreateStream', input)
  } catch (error) {
    if (nameOf(error) !== 'ResourceInUseException') {
      throw toOperatingError(error, `make stream ${stream}`)
    }
  }
  const deadlineMs = deps.clock.monotonicMs() + readyMsMax
  for (;;) {
    const { isActive } = await describeStream(client, stream)
    if (isActive) break
    if (deps.clock.monotonicMs() > deadlineMs) {
      throw new OperatingError('STORE_UNREACHABLE', `wait until stream ${stream} is active`)
    }
    await deps.clock.sleep(lookMs)
  }
  await keepLong(deps, client, stream)
  checkShards(stream, await listShards(client, stream), partitionCount)
  const { incarnation } = await describeStream(client, stream)
  const table = new KinesisTable(client, given.table, incarnation)
  const known = await table.savePartitionCount(partitionCount)
  if (known !== partitionCount) {
    const says = `use stream ${stream}: it has ${known} partitions, not ${partitionCount}`
    throw new OperatingError('STORE_MISCONFIGURED', says)
  }
}

/** Lets the stream keep records as long as the service allows. */
async function keepLong(
  deps: KinesisLogDeps,
  client: KinesisClient,
  stream: string,
): Promise<void> {
  const { retentionMs } = await describeStream(client, stream)
  for (const hours of retentionHours) {
    if (retentionMs >= hours * 3_600_000) return
    try {
      const input = { StreamName: stream, RetentionPeriodHours: hours }
      await client.send('IncreaseStreamRetentionPeriod', input)
      return
    } catch (error) {
      deps.logger.warn({ stream, hours, says: nameOf(error) }, 'retention refused')
    }
  }
}

async function makeTable(
  deps: KinesisLogDeps,
  options: Omit<KinesisStreamOptions, 'stream'>,
): Promise<void> {
  const { table, region, tableEndpoint } = options
  const library = await import('@aws-sdk/client-dynamodb')
  const client = new library.DynamoDBClient({
    region,
    ...(tableEndpoint === undefined ? {} : { endpoint: tableEndpoint }),
    requestHandler: requestBounds(options.requestMsMax ?? kinesisDefaults.requestMsMax),
  })
  const keySchema: KeySchemaElement[] = tableKeyNames.map((name, index) => ({
    AttributeName: name,
    KeyType: index === 0 ? 'HASH' : 'RANGE',
  }))
  const attempted = `make table ${table}`
  try {
    await client
      .send(
        new library.CreateTableCommand({
          TableName: table,
          BillingMode: 'PAY_PER_REQUEST',
          KeySchema: keySchema,
          AttributeDefinitions: tableKeyNames.map((name) => {
            return { AttributeName: name, AttributeType: 'S' }
          }),
        }),
      )
      .catch((error: unknown) => {
        if (nameOf(error) !== 'ResourceInUseException') throw error
      })
    const limits = { client, maxWaitTime: readyMsMax / 1000, minDelay: 1, maxDelay: 2 }
    await library.waitUntilTableExists(limits, { TableName: table })
    const forget = { AttributeName: expiryAttribute, Enabled: true }
    const request = { TableName: table, TimeToLiveSpecification: forget }
    await client.send(new library.UpdateTimeToLiveCommand(request)).catch((error: unknown) => {
      // It is so already; or the server does not forget, and old places stay.
      deps.logger.info({ table, says: nameOf(error) }, 'expiry of old places not set')
    })
  } catch (error) {
    throw toOperatingError(error, attempted)
  } finally {
    client.destroy()
  }
}
