/**
 * The table beside a stream: how many partitions it has, the noted places of each, the leases.
 *
 * All keys begin with the incarnation of the stream, so that nothing of a stream that was deleted
 * is taken for one that was made anew under its name. Noted places are never wrong, only old: the
 * table forgets them by itself after the stream has.
 */

import type { AttributeValue } from '@aws-sdk/client-dynamodb'
import type { KinesisClient } from './kinesis-client.ts'
import type { CountPlace } from './kinesis-count.ts'
import { isRefused } from './kinesis-error.ts'

type Item = Record<string, AttributeValue>

/** Names of the table's keys. */
export const tableKeyNames = ['k', 'n'] as const
export const expiryAttribute = 'expires'
const offsetDigits = 16
const day = 86_400_000

export interface Lease {
  readonly shardId: string
  /** Empty where nobody has it. */
  readonly owner: string
  /** Moves with every renewal: who watches it needs no clock of the owner. */
  readonly counter: number
  /** Who asks the owner for it; empty where nobody does. */
  readonly wantedBy: string
}

export class KinesisTable {
  readonly #client: KinesisClient
  readonly #table: string
  readonly #incarnation: string

  constructor(client: KinesisClient, table: string, incarnation: string) {
    this.#client = client
    this.#table = table
    this.#incarnation = incarnation
  }

  async loadPartitionCount(): Promise<number | undefined> {
    const item = await this.#get('stream', 'stream')
    return item === undefined ? undefined : numberOf(item, 'partitions')
  }

  /** Notes the partition count, for ever; answers the one that holds. */
  async savePartitionCount(partitionCount: number): Promise<number> {
    const item = { ...this.#key('stream', 'stream'), partitions: { N: `${partitionCount}` } }
    await this.#put(item, { ConditionExpression: 'attribute_not_exists(k)' })
    return (await this.loadPartitionCount()) ?? partitionCount
  }

  /** Returns the noted place nearest to an offset, at or before it. */
  async loadPlace(partition: number, offset: number): Promise<CountPlace | undefined> {
    const [item] = await this.#queryPlaces(partition, {
      from: 0,
      to: Math.min(offset, Number.MAX_SAFE_INTEGER),
      isForward: false,
      sinceMs: 0,
    })
    return item === undefined ? undefined : placeOf(item)
  }

  /** Returns the oldest place that was noted after `sinceMs`. */
  async loadOldestPlace(partition: number, sinceMs: number): Promise<CountPlace | undefined> {
    const to = Number.MAX_SAFE_INTEGER
    const [item] = await this.#queryPlaces(partition, { from: 0, to, isForward: true, sinceMs })
    return item === undefined ? undefined : placeOf(item)
  }

  /** Notes a place. One that is noted already, and newer, stays. */
  async savePlace(partition: number, place: CountPlace, retentionMs: number): Promise<void> {
    const expires = Math.ceil((place.asOfMs + retentionMs + day) / 1000)
    const item = {
      ...this.#key(`${partition}`, paddedOffset(place.offset)),
      shard: { S: place.shardId },
      sequence: { S: place.sequence },
      asOf: { N: `${Math.floor(place.asOfMs)}` },
      writers: { B: place.writers },
      [expiryAttribute]: { N: `${expires}` },
    }
    await this.#put(item, {
      ConditionExpression: 'attribute_not_exists(k) OR asOf < :asOf',
      ExpressionAttributeValues: { ':asOf': item.asOf },
    })
  }

  /** Returns the offset through which a partition was trimmed, 0 for none. */
  async loadTrimmed(partition: number): Promise<number> {
    const item = await this.#get(`${partition}`, 'trim')
    return item === undefined ? 0 : numberOf(item, 'through')
  }

  async saveTrimmed(partition: number, through: number): Promise<void> {
    await this.#put(
      { ...this.#key(`${partition}`, 'trim'), through: { N: `${through}` } },
      {
        ConditionExpression: 'attribute_not_exists(k) OR through < :through',
        ExpressionAttributeValues: { ':through': { N: `${through}` } },
      },
    )
  }

  async loadLeases(): Promise<readonly Lease[]> {
    const input = {
      TableName: this.#table,
      KeyConditionExpression: 'k = :k',
      ExpressionAttributeValues: { ':k': { S: this.#name('lease') } },
      ConsistentRead: true,
    }
    const { Items } = await this.#client.call('Query', input, 'read the leases')
    return (Items ?? []).map(leaseOf)
  }

  /** Makes a lease unless it is there; answers whether it did. */
  async createLease(shardId: string, owner: string): Promise<boolean> {
    const item = {
      ...this.#key('lease', shardId),
      owner: { S: owner },
      counter: { N: '1' },
      wantedBy: { S: '' },
    }
    return await this.#put(item, { ConditionExpression: 'attribute_not_exists(k)' })
  }

  /** Moves a lease's counter, and what else is given, unless it moved meanwhile. */
  async updateLease(
    lease: Lease,
    change: { readonly owner?: string; readonly wantedBy?: string },
  ): Promise<Lease | undefined> {
    // Who only asks for a lease leaves its counter alone: it tells that the owner lives.
    const isAsk = change.owner === undefined && change.wantedBy !== undefined
    const next = { ...lease, ...change, counter: lease.counter + (isAsk ? 0 : 1) }
    const input = {
      TableName: this.#table,
      Key: this.#key('lease', lease.shardId),
      UpdateExpression: 'SET #owner = :owner, #counter = :counter, wantedBy = :wantedBy',
      ConditionExpression: '#owner = :was AND #counter = :counted',
      ExpressionAttributeNames: { '#owner': 'owner', '#counter': 'counter' },
      ExpressionAttributeValues: {
        ':owner': { S: next.owner },
        ':counter': { N: `${next.counter}` },
        ':wantedBy': { S: next.wantedBy },
        ':was': { S: lease.owner },
        ':counted': { N: `${lease.counter}` },
      },
    }
    try {
      await this.#client.call('UpdateItem', input, `renew the lease of ${lease.shardId}`)
      return next
    } catch (error) {
      if (isRefused(error)) return undefined
      throw error
    }
  }

  async deleteLease(shardId: string): Promise<void> {
    const input = { TableName: this.#table, Key: this.#key('lease', shardId) }
    await this.#client.call('DeleteItem', input, `delete the lease of ${shardId}`)
  }

  async #queryPlaces(
    partition: number,
    wish: {
      readonly from: number
      readonly to: number
      readonly isForward: boolean
      readonly sinceMs: number
    },
  ): Promise<readonly Item[]> {
    const base = {
      TableName: this.#table,
      KeyConditionExpression: 'k = :k AND n BETWEEN :from AND :to',
      FilterExpression: 'asOf > :since',
      ExpressionAttributeValues: {
        ':k': { S: this.#name(`${partition}`) },
        ':from': { S: paddedOffset(wish.from) },
        ':to': { S: paddedOffset(wish.to) },
        ':since': { N: `${Math.floor(wish.sinceMs)}` },
      },
      ScanIndexForward: wish.isForward,
      ConsistentRead: true,
      // What is filtered out counts too: old ones are few, the table forgets them.
      Limit: wish.sinceMs > 0 ? 25 : 1,
    }
    const attempted = `read the places of partition ${partition}`
    let start: Item | undefined
    for (;;) {
      const input = start === undefined ? base : { ...base, ExclusiveStartKey: start }
      const { Items = [], LastEvaluatedKey } = await this.#client.call('Query', input, attempted)
      if (Items.length > 0 || LastEvaluatedKey === undefined) return Items
      start = LastEvaluatedKey
    }
  }

  async #get(part: string, sort: string): Promise<Item | undefined> {
    const input = { TableName: this.#table, Key: this.#key(part, sort), ConsistentRead: true }
    const { Item } = await this.#client.call('GetItem', input, `read ${part} of ${this.#table}`)
    return Item
  }

  /** Answers false where the condition was refused. */
  async #put(
    item: Item,
    condition: {
      readonly ConditionExpression: string
      readonly ExpressionAttributeValues?: Item
    },
  ): Promise<boolean> {
    const input = { TableName: this.#table, Item: item, ...condition }
    try {
      await this.#client.call('PutItem', input, `write ${item['n']?.S} to ${this.#table}`)
      return true
    } catch (error) {
      if (isRefused(error)) return false
      throw error
    }
  }

  #name(part: string): string {
    return `${this.#incarnation}/${part}`
  }

  #key(part: string, sort: string): { readonly k: { S: string }; readonly n: { S: string } } {
    return { k: { S: this.#name(part) }, n: { S: sort } }
  }
}

function paddedOffset(offset: number): string {
  return String(offset).padStart(offsetDigits, '0')
}

function numberOf(item: Item, name: string): number {
  return Number(item[name]?.N)
}

function placeOf(item: Item): CountPlace {
  return {
    shardId: item['shard']?.S ?? '',
    sequence: item['sequence']?.S ?? '',
    offset: Number(item['n']?.S),
    asOfMs: numberOf(item, 'asOf'),
    writers: item['writers']?.B ?? new Uint8Array(0),
  }
}

function leaseOf(item: Item): Lease {
  return {
    shardId: item['n']?.S ?? '',
    owner: item['owner']?.S ?? '',
    counter: numberOf(item, 'counter'),
    wantedBy: item['wantedBy']?.S ?? '',
  }
}
