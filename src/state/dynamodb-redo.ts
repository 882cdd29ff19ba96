/**
 * What a commit that is too large for one transaction needs: its changes as chunks beside the
 * state, put there before the head names them, applied after.
 *
 * Every transaction that applies changes checks that the head still has the owner, the commit
 * number and the redo it was begun under. So one that was sent long ago, by an owner that paused
 * since, or twice, changes nothing once anybody went on. Transactions of one redo run one after the
 * other: all check the same head item, and DynamoDB lets one transaction at a time look at an item.
 *
 * Chunks are deleted by whoever applied them, and where no head names them by the next owner. An
 * owner deletes only what was written under its own epoch or a lower one: a newer owner's chunks
 * are not its own to judge.
 */

import type { TransactWriteItem } from '@aws-sdk/client-dynamodb'
import { OperatingError } from '../lib/errors.ts'
import type { Logger } from '../lib/logger.ts'
import type { Random } from '../lib/random.ts'
import { cancellationReasons, type DynamodbClient, isInvalid, nameOf } from './dynamodb-client.ts'
import {
  bytesOf,
  decodeChunk,
  decodeHeadItem,
  encodeChunk,
  entryKey,
  type HeadItem,
  headKey,
  type Item,
  isOfRedo,
  noHeadItem,
  numberOf,
  type Redo,
  redoCollections,
  redoKey,
  runsOf,
  textOf,
} from './dynamodb-layout.ts'
import type { Change } from './state-store.ts'

/** A transaction holds 100 items and 4 MB; one item is the head. */
export const transactionChangeCountMax = 99
export const transactionBytesMax = 3_900_000
/** An item holds 400 KB, its names and numbers included. */
const chunkBytesMax = 380 * 1024
const tokenBytes = 16

export interface DynamodbPlace {
  readonly client: DynamodbClient
  readonly table: string
  readonly random: Random
  readonly logger: Logger
}

/** What a transaction does with the head, and on what condition. */
export interface HeadOperation {
  readonly condition: string
  /** Undefined only checks. */
  readonly update: string | undefined
  readonly values: Item
}

/** Returns an id that no other redo and no other request has. */
export function uniqueId(random: Random): string {
  return Buffer.from(random.bytes(tokenBytes)).toString('hex')
}

/**
 * Writes changes in one transaction with the head. Returns undefined, or the head where it refuses.
 */
export async function transact(
  { client, table, random }: DynamodbPlace,
  partition: number,
  write: { readonly head: HeadOperation; readonly changes: readonly Change[] },
): Promise<HeadItem | undefined> {
  const { condition, update, values } = write.head
  const onHead = {
    TableName: table,
    Key: headKey(partition),
    ConditionExpression: condition,
    ExpressionAttributeValues: values,
    ReturnValuesOnConditionCheckFailure: 'ALL_OLD' as const,
  }
  const head: TransactWriteItem =
    update === undefined
      ? { ConditionCheck: onHead }
      : { Update: { ...onHead, UpdateExpression: update } }
  const others = write.changes.map(({ key, value }): TransactWriteItem => {
    const itemKey = entryKey(partition, key)
    if (value === undefined) return { Delete: { TableName: table, Key: itemKey } }
    return { Put: { TableName: table, Item: { ...itemKey, v: { B: value } } } }
  })
  const input = { TransactItems: [head, ...others], ClientRequestToken: uniqueId(random) }
  try {
    await client.call('TransactWriteItems', input, `write state of partition ${partition}`)
    return undefined
  } catch (error) {
    const [reason] = cancellationReasons(error) ?? []
    if (reason?.Code !== 'ConditionalCheckFailed') throw error
    return decodeHeadItem(reason.Item as Item | undefined)
  }
}

/** Puts changes beside the state, where no reader looks yet. */
export async function writeRedo(
  { client, table, random }: DynamodbPlace,
  partition: number,
  given: { readonly epoch: number; readonly changes: readonly Change[] },
): Promise<Redo> {
  const id = uniqueId(random)
  const chunks = [...runsOf(given.changes, Number.POSITIVE_INFINITY, chunkBytesMax)]
  await forAll(chunks, async (changes, index) => {
    const key = redoKey(partition, id, index)
    const content = { epoch: { N: String(given.epoch) }, v: { B: encodeChunk(changes) } }
    const input = { TableName: table, Item: { ...key, ...content } }
    await client.call('PutItem', input, `write a redo of partition ${partition}`)
  })
  return { id, chunkCount: chunks.length }
}

/** Returns the changes of a redo; undefined where chunks are gone, so the redo is over. */
export async function loadRedo(
  { client, table }: DynamodbPlace,
  partition: number,
  redo: Redo,
): Promise<readonly Change[] | undefined> {
  const indexes = Array.from({ length: redo.chunkCount }, (_, index) => index)
  const chunks = await forAll(indexes, async (index) => {
    const input = {
      TableName: table,
      Key: redoKey(partition, redo.id, index),
      ConsistentRead: true,
    }
    const answer = await client.call('GetItem', input, `read a redo of partition ${partition}`)
    return answer.Item === undefined ? undefined : decodeChunk(bytesOf(answer.Item))
  })
  if (chunks.some((chunk) => chunk === undefined)) return undefined
  return chunks.flatMap((chunk) => chunk ?? [])
}

/**
 * Applies the redo that `found` names and takes it out of the head. Applying it twice, or what was
 * applied in part, is the same, since changes are whole values.
 *
 * Returns the head without the redo, or as it is where somebody else has changed it.
 */
export async function applyRedo(
  place: DynamodbPlace,
  partition: number,
  found: HeadItem,
  changes: readonly Change[] | undefined,
): Promise<HeadItem> {
  const { redo } = found
  if (redo === undefined) return found
  const loaded = changes ?? (await loadRedo(place, partition, redo))
  // Nobody but the owner deletes them, and the owner is us: or a newer one, whom the head tells of.
  if (loaded === undefined) return await lostRedo(place, partition, redo)
  const runs = [...runsOf(loaded, transactionChangeCountMax, transactionBytesMax)]
  const check = headOf(found, redo, undefined)
  const finish = headOf(found, redo, 'REMOVE redoId, redoCount')
  for (const [index, run] of runs.entries()) {
    const head = index === runs.length - 1 ? finish : check
    const refused = await applyRun(place, partition, { check, head, changes: run })
    if (refused === undefined) continue
    const isOver = refused.commitNumber === found.commitNumber && refused.redo === undefined
    if (!isOver) return refused
  }
  await deleteRedo(place, partition, redo)
  return { ...found, redo: undefined }
}

async function lostRedo(place: DynamodbPlace, partition: number, redo: Redo): Promise<HeadItem> {
  const now = await loadHeadItem(place, partition)
  if (now.redo?.id !== redo.id) return now
  throw new OperatingError('STORE_CORRUPT', `read redo ${redo.id} of partition ${partition}`)
}

export async function loadHeadItem(
  { client, table }: Pick<DynamodbPlace, 'client' | 'table'>,
  partition: number,
): Promise<HeadItem> {
  const input = { TableName: table, Key: headKey(partition), ConsistentRead: true }
  const answer = await client.call('GetItem', input, `read the head of partition ${partition}`)
  return decodeHeadItem(answer.Item)
}

/** Most that one BatchGetItem reads. */
export const headCountMax = 100

/**
 * Reads the heads of some partitions, each as it is at an instant of its own. Whoever looks at all
 * of them often sends one request, not one for each.
 */
export async function loadHeadItems(
  place: Pick<DynamodbPlace, 'client' | 'table'>,
  partitions: readonly number[],
): Promise<readonly HeadItem[]> {
  const { client, table } = place
  const distinct = [...new Set(partitions)]
  const [first] = distinct
  if (first !== undefined && distinct.length === 1) {
    const head = await loadHeadItem(place, first)
    return partitions.map(() => head)
  }
  const input = {
    RequestItems: { [table]: { Keys: distinct.map(headKey), ConsistentRead: true } },
  }
  const attempted = `read the heads of ${distinct.length} partitions`
  const { Responses, UnprocessedKeys } = await client.call('BatchGetItem', input, attempted)
  const left = new Set((UnprocessedKeys?.[table]?.Keys ?? []).map(nameOfKey))
  const items = new Map((Responses?.[table] ?? []).map((item) => [nameOfKey(item), item]))
  const found = new Map<number, HeadItem>()
  for (const partition of distinct) {
    const name = nameOfKey(headKey(partition))
    // What a busy table left out is read alone, with the waits of every other call.
    const item = left.has(name) ? loadHeadItem(place, partition) : decodeHeadItem(items.get(name))
    found.set(partition, await item)
  }
  return partitions.map((partition) => found.get(partition) ?? noHeadItem)
}

/** The collection alone: each holds one head at most. */
function nameOfKey(item: Item): string {
  return textOf(item, 'p')
}

interface RedoRun {
  readonly check: HeadOperation
  /** For the last transaction of the run. */
  readonly head: HeadOperation
  readonly changes: readonly Change[]
}

/** Halves a run that the service finds too large by a count other than ours. */
async function applyRun(
  place: DynamodbPlace,
  partition: number,
  { check, head, changes }: RedoRun,
): Promise<HeadItem | undefined> {
  try {
    return await transact(place, partition, { head, changes })
  } catch (error) {
    if (!isInvalid(error) || changes.length === 1) throw error
    const middle = Math.ceil(changes.length / 2)
    const first = { check, head: check, changes: changes.slice(0, middle) }
    const refused = await applyRun(place, partition, first)
    if (refused !== undefined) return refused
    return await applyRun(place, partition, { check, head, changes: changes.slice(middle) })
  }
}

function headOf(found: HeadItem, redo: Redo, update: string | undefined): HeadOperation {
  return {
    condition: `${ownedAtNumber} AND redoId = :redoId`,
    update,
    values: { ...ownedAtNumberValues(found), ':redoId': { S: redo.id } },
  }
}

/** The head has this owner, and nobody has committed or acquired since it was read. */
export const ownedAtNumber = 'epoch = :epoch AND nonce = :nonce AND commitNumber = :commitNumber'

export function ownedAtNumberValues({ head, commitNumber }: HeadItem): Item {
  return {
    ':epoch': { N: String(head.epoch) },
    ':nonce': { S: head.nonce },
    ':commitNumber': { N: String(commitNumber) },
  }
}

/** Deletes the chunks of a redo that no head will ever name again. What stays does no harm. */
export async function deleteRedo(
  place: DynamodbPlace,
  partition: number,
  redo: Redo,
): Promise<void> {
  const keys = Array.from({ length: redo.chunkCount }, (_, index) =>
    redoKey(partition, redo.id, index),
  )
  await deleteKeys(place, partition, keys)
}

/** Deletes chunks that an owner left before their redo was named by the head. */
export async function deleteLeftChunks(
  place: DynamodbPlace,
  partition: number,
  { head, redo }: HeadItem,
): Promise<void> {
  const found = await forAll(redoCollections(partition), async (collection) => {
    const keys: Item[] = []
    for (let start: Item | undefined; ; ) {
      const page = await place.client.call(
        'Query',
        {
          TableName: place.table,
          KeyConditionExpression: 'p = :p',
          ExpressionAttributeValues: { ':p': { S: collection } },
          ProjectionExpression: 'p, k, epoch',
          ConsistentRead: true,
          ...(start === undefined ? {} : { ExclusiveStartKey: start }),
        },
        `look for redo chunks of partition ${partition}`,
      )
      for (const { p, k, ...rest } of page.Items ?? []) {
        if (p === undefined || k === undefined || isOfRedo(textOf({ k }, 'k'), redo)) continue
        if (numberOf(rest, 'epoch') <= head.epoch) keys.push({ p, k })
      }
      start = page.LastEvaluatedKey
      if (start === undefined) return keys
    }
  })
  await deleteKeys(place, partition, found.flat())
}

async function deleteKeys(
  { client, table, logger }: DynamodbPlace,
  partition: number,
  keys: readonly Item[],
): Promise<void> {
  try {
    await forAll(keys, async (Key) => {
      const input = { TableName: table, Key }
      await client.call('DeleteItem', input, `delete a redo chunk of partition ${partition}`)
    })
  } catch (error) {
    // The state is whole without it, and the next owner deletes what stays.
    logger.warn({ partition, says: nameOf(error) }, 'redo chunks left')
  }
}

/** Runs calls side by side, waits for all of them, then throws the first failure. */
export async function forAll<Given, Result>(
  given: readonly Given[],
  work: (each: Given, index: number) => Promise<Result>,
): Promise<Result[]> {
  const settled = await Promise.allSettled(given.map((each, index) => work(each, index)))
  return settled.map((one) => {
    if (one.status === 'rejected') throw one.reason
    return one.value
  })
}
