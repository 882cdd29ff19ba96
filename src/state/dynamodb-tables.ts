/**
 * The tables: made once, on demand billing, with point-in-time recovery; looked at on each open.
 *
 * Order of effects: make the table, wait until it takes calls, say which layout it has. A table
 * that is there already is only checked, so `initDynamodbTables` can be called again.
 */

import type { KeySchemaElement, TableDescription } from '@aws-sdk/client-dynamodb'
import type { Clock } from '../lib/clock.ts'
import { OperatingError } from '../lib/errors.ts'
import type { Logger } from '../lib/logger.ts'
import {
  billingMode,
  blobTableDefault,
  type DynamodbClient,
  type DynamodbDeps,
  type DynamodbOptions,
  isRefused,
  nameOf,
  openDynamodbClient,
  tableDefault,
} from './dynamodb-client.ts'
import { layoutItemKey, layoutVersion } from './dynamodb-layout.ts'

const pollMs = 250
const readyMsMax = 120_000

/** Attribute names of the state's key, of a blob's key. */
const stateKeyNames = ['p', 'k']
const blobKeyNames = ['p']

/** Makes the tables of both stores where they are missing. */
export async function initDynamodbTables(
  deps: DynamodbDeps,
  options: DynamodbOptions,
): Promise<void> {
  const client = await openDynamodbClient(deps, options)
  try {
    const table = options.table ?? tableDefault
    await makeTable(client, deps, { table, keyNames: stateKeyNames })
    await saveLayout(client, table)
    const blobTable = options.blobTable ?? blobTableDefault
    await makeTable(client, deps, { table: blobTable, keyNames: blobKeyNames })
  } finally {
    client.close()
  }
}

/** Rejects with STORE_MISCONFIGURED where the state's table is missing or not ours. */
export async function checkStateTable(client: DynamodbClient, table: string): Promise<void> {
  await checkKeys(client, { table, keyNames: stateKeyNames })
  const attempted = `read the layout of table ${table}`
  const input = { TableName: table, Key: layoutItemKey(), ConsistentRead: true }
  const { Item: layout } = await client.call('GetItem', input, attempted)
  if (layout?.['version']?.N === String(layoutVersion)) return
  const found = layout?.['version']?.N ?? 'none'
  const says = `${attempted}: version ${layoutVersion} is needed, ${found} found`
  throw new OperatingError('STORE_MISCONFIGURED', says)
}

/** Rejects with STORE_MISCONFIGURED where the table of blobs is missing or not ours. */
export async function checkBlobTable(client: DynamodbClient, table: string): Promise<void> {
  await checkKeys(client, { table, keyNames: blobKeyNames })
}

interface TableForm {
  readonly table: string
  readonly keyNames: readonly string[]
}

async function makeTable(
  client: DynamodbClient,
  deps: { readonly clock: Clock; readonly logger: Logger },
  form: TableForm,
): Promise<void> {
  const { table, keyNames } = form
  const input = {
    TableName: table,
    BillingMode: billingMode,
    KeySchema: keySchemaOf(keyNames),
    AttributeDefinitions: keyNames.map((name) => ({
      AttributeName: name,
      AttributeType: 'S' as const,
    })),
  }
  try {
    await client.call('CreateTable', input, `make table ${table}`)
  } catch (error) {
    if (causeNameOf(error) !== 'ResourceInUseException') throw error
  }
  await untilActive(client, deps.clock, table)
  await checkKeys(client, form)
  const recovery = {
    TableName: table,
    PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
  }
  try {
    await client.call('UpdateContinuousBackups', recovery, `let table ${table} be restored`)
  } catch (error) {
    // Not every server that speaks this protocol has it; the log makes the state again anyway.
    deps.logger.warn({ table, says: causeNameOf(error) }, 'no point-in-time recovery')
  }
}

async function untilActive(client: DynamodbClient, clock: Clock, table: string): Promise<void> {
  const deadlineMs = clock.monotonicMs() + readyMsMax
  for (;;) {
    const description = await describeTable(client, table)
    if (description?.TableStatus === 'ACTIVE') return
    if (clock.monotonicMs() > deadlineMs) {
      throw new OperatingError('STORE_UNREACHABLE', `wait until table ${table} is active`)
    }
    await clock.sleep(pollMs)
  }
}

async function saveLayout(client: DynamodbClient, table: string): Promise<void> {
  const input = {
    TableName: table,
    Item: { ...layoutItemKey(), version: { N: String(layoutVersion) } },
    ConditionExpression: 'attribute_not_exists(p)',
  }
  try {
    await client.call('PutItem', input, `name the layout of table ${table}`)
  } catch (error) {
    if (!isRefused(error)) throw error
  }
}

async function checkKeys(client: DynamodbClient, { table, keyNames }: TableForm): Promise<void> {
  const attempted = `look at table ${table}`
  const description = await describeTable(client, table)
  if (description === undefined) {
    throw new OperatingError('STORE_MISCONFIGURED', `${attempted}: it is missing`)
  }
  const wanted = keySchemaOf(keyNames)
  const isOurs =
    description.KeySchema?.length === wanted.length &&
    wanted.every(({ AttributeName, KeyType }) =>
      description.KeySchema?.some(
        (found) => found.AttributeName === AttributeName && found.KeyType === KeyType,
      ),
    ) &&
    description.AttributeDefinitions?.every(({ AttributeType }) => AttributeType === 'S')
  if (isOurs) return
  throw new OperatingError('STORE_MISCONFIGURED', `${attempted}: it has other keys than ours`)
}

async function describeTable(
  client: DynamodbClient,
  table: string,
): Promise<TableDescription | undefined> {
  try {
    const input = { TableName: table }
    const { Table } = await client.call('DescribeTable', input, `look at table ${table}`)
    return Table
  } catch (error) {
    if (causeNameOf(error) === 'ResourceNotFoundException') return undefined
    throw error
  }
}

function keySchemaOf(keyNames: readonly string[]): KeySchemaElement[] {
  return keyNames.map((name, index) => ({
    AttributeName: name,
    KeyType: index === 0 ? 'HASH' : 'RANGE',
  }))
}

function causeNameOf(error: unknown): string {
  return error instanceof OperatingError ? nameOf(error.cause) : nameOf(error)
}
