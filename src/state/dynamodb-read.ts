/**
 * Reads a partition so that of each commit all is seen or nothing.
 *
 * `get` reads its keys together with the head in one transaction, 99 at a time; where it takes
 * several, their heads must have the same commit number. A plain batch would cost half and may show
 * one item before and another after the same commit: DynamoDB isolates single reads and
 * transactions, not batches.
 *
 * `scan` has no transaction to use. It reads the head, the keys, and the head again, until nothing
 * was committed in between. What is left: while the service itself writes out a transaction whose
 * head it has already written (milliseconds), a scan by another process may see part of it. An
 * owner's own scans come after the answer to its commits and cannot.
 *
 * Where the head names a redo, its changes are read and laid over the items.
 */

import type { Clock } from '../lib/clock.ts'
import { OperatingError } from '../lib/errors.ts'
import { isInvalid } from './dynamodb-client.ts'
import {
  bytesOf,
  collectionsOf,
  decodeHeadItem,
  entryKey,
  type HeadItem,
  headKey,
  type Redo,
  textOf,
} from './dynamodb-layout.ts'
import { type DynamodbPlace, forAll, loadHeadItem, loadRedo } from './dynamodb-redo.ts'
import { compareKeys, type KeyRange, rangeOf } from './key-order.ts'
import type { Entry } from './state-store.ts'

/** A transaction reads 100 items; one is the head. */
const getCountMax = 99
const roundCountMax = 60
/** A pause before the next round lets a commit end. */
const pauseMs = 3
/** Of a spread scan, each bucket is asked for its share and this much more. */
const shareRatio = 1.3
const shareCountMin = 4

type Value = Uint8Array | undefined
type Overlay = ReadonlyMap<string, Value>

const noOverlay: Overlay = new Map()

interface Snapshot {
  readonly head: HeadItem
  readonly values: ReadonlyMap<string, Value>
}

export class DynamodbReader {
  readonly #place: DynamodbPlace
  readonly #clock: Clock
  /** The pending redo that was read last of each partition; dropped when it is over. */
  readonly #overlays = new Map<number, { readonly id: string; readonly changes: Overlay }>()

  constructor(place: DynamodbPlace, clock: Clock) {
    this.#place = place
    this.#clock = clock
  }

  async get(partition: number, keys: readonly string[]): Promise<readonly Value[]> {
    if (keys.length === 0) return []
    const distinct = [...new Set(keys)]
    const groups: (readonly string[])[] = []
    for (let at = 0; at < distinct.length; at += getCountMax) {
      groups.push(distinct.slice(at, at + getCountMax))
    }
    return await this.#untilStill(partition, async () => {
      const read = await forAll(groups, (group) => this.#readTogether(partition, group))
      const snapshots = read.flat()
      const commitNumber = snapshots[0]?.head.commitNumber
      if (snapshots.some(({ head }) => head.commitNumber !== commitNumber)) return undefined
      const values = new Map<string, Value>()
      for (const snapshot of snapshots) {
        const overlay = await this.#overlayOf(partition, snapshot.head.redo)
        if (overlay === undefined) return undefined
        for (const [key, value] of snapshot.values) {
          values.set(key, overlay.has(key) ? overlay.get(key)?.slice() : value)
        }
      }
      const given = new Set<string>()
      return keys.map((key) => {
        const value = values.get(key)
        // A key asked for twice gives two buffers: the caller may change one.
        const isFirst = !given.has(key)
        given.add(key)
        return isFirst ? value : value?.slice()
      })
    })
  }

  async scan(
    partition: number,
    prefix: string,
    after: string,
    countMax: number,
  ): Promise<readonly Entry[]> {
    const range = rangeOf(prefix, after)
    if (countMax <= 0 || compareKeys(range.from, range.to) >= 0) return []
    let head = await this.#readHead(partition)
    return await this.#untilStill(partition, async () => {
      const before = head
      const overlay = await this.#overlayOf(partition, before.redo)
      const collections = collectionsOf(partition, prefix)
      const entries = overlay && (await this.#merge({ collections, range, overlay, countMax }))
      // Where it was in vain, this is the head before the next round: the less time a round takes,
      // the likelier it fits between two commits.
      head = await this.#readHead(partition)
      return head.commitNumber === before.commitNumber ? entries : undefined
    })
  }

  /** Repeats what answers undefined while the partition changes under it. */
  async #untilStill<Result>(
    partition: number,
    read: () => Promise<Result | undefined>,
  ): Promise<Result> {
    for (let round = 0; round < roundCountMax; round++) {
      const result = await read()
      if (result !== undefined) return result
      await this.#clock.sleep(pauseMs)
    }
    const says = `read state of partition ${partition}: it changes all the time`
    throw new OperatingError('STORE_UNREACHABLE', says)
  }

  /** Reads keys at one instant; halves, at two, where their values are over 4 MB. */
  async #readTogether(partition: number, keys: readonly string[]): Promise<readonly Snapshot[]> {
    const { client, table } = this.#place
    const wanted = [headKey(partition), ...keys.map((key) => entryKey(partition, key))]
    const input = { TransactItems: wanted.map((Key) => ({ Get: { TableName: table, Key } })) }
    try {
      const attempted = `read state of partition ${partition}`
      const { Responses = [] } = await client.call('TransactGetItems', input, attempted)
      const values = new Map<string, Value>()
      for (const [index, key] of keys.entries()) {
        const item = Responses[index + 1]?.Item
        values.set(key, item === undefined ? undefined : bytesOf(item))
      }
      return [{ head: decodeHeadItem(Responses[0]?.Item), values }]
    } catch (error) {
      if (!isInvalid(error) || keys.length < 2) throw error
      const middle = Math.ceil(keys.length / 2)
      const halves = [keys.slice(0, middle), keys.slice(middle)]
      return (await forAll(halves, (half) => this.#readTogether(partition, half))).flat()
    }
  }

  /** In a transaction, so that one under way is waited for. */
  async #readHead(partition: number): Promise<HeadItem> {
    const [snapshot] = await this.#readTogether(partition, [])
    return snapshot?.head ?? (await loadHeadItem(this.#place, partition))
  }

  /** Returns the changes of the redo that is pending; undefined where it is over meanwhile. */
  async #overlayOf(partition: number, redo: Redo | undefined): Promise<Overlay | undefined> {
    if (redo === undefined) {
      this.#overlays.delete(partition)
      return noOverlay
    }
    const known = this.#overlays.get(partition)
    if (known?.id === redo.id) return known.changes
    const loaded = await loadRedo(this.#place, partition, redo)
    if (loaded === undefined) return undefined
    const changes = new Map(loaded.map(({ key, value }) => [key, value]))
    this.#overlays.set(partition, { id: redo.id, changes })
    return changes
  }

  async #merge(given: Merge): Promise<readonly Entry[]> {
    const { collections, range, overlay, countMax } = given
    const share = Math.ceil((countMax / collections.length) * shareRatio) + shareCountMin
    const countPerPage = collections.length === 1 ? countMax : share
    const cursors: Cursor[] = collections.map((collection) => ({
      collection,
      from: range.from,
      entries: [],
      isAtEnd: false,
    }))
    const laid = [...overlay]
      .filter(([key]) => compareKeys(key, range.from) >= 0 && compareKeys(key, range.to) < 0)
      .sort(([left], [right]) => compareKeys(right, left))
    const entries: Entry[] = []
    while (entries.length < countMax) {
      const empty = cursors.filter((cursor) => cursor.entries.length === 0 && !cursor.isAtEnd)
      await forAll(empty, (cursor) => this.#fill(cursor, range, countPerPage))
      if (empty.some((cursor) => cursor.entries.length === 0 && !cursor.isAtEnd)) continue
      const least = leastOf(cursors)
      const stored = least?.entries.at(-1)
      const [laidKey, laidValue] = laid.at(-1) ?? []
      if (laidKey === undefined && stored === undefined) break
      const order =
        laidKey === undefined ? 1 : stored === undefined ? -1 : compareKeys(laidKey, stored.key)
      if (order <= 0) {
        laid.pop()
        if (laidKey !== undefined && laidValue !== undefined) {
          entries.push({ key: laidKey, value: laidValue.slice() })
        }
      } else if (stored !== undefined) entries.push(stored)
      if (order >= 0) least?.entries.pop()
    }
    return entries
  }

  /** Reads the next page of a collection. */
  async #fill(cursor: Cursor, range: KeyRange, countMax: number): Promise<void> {
    const { client, table } = this.#place
    const input = {
      TableName: table,
      KeyConditionExpression: 'p = :p AND k BETWEEN :from AND :to',
      ExpressionAttributeValues: {
        ':p': { S: cursor.collection },
        ':from': { S: cursor.from },
        ':to': { S: range.to },
      },
      ConsistentRead: true,
      Limit: countMax,
    }
    const page = await client.call('Query', input, `scan ${cursor.collection}`)
    const entries = (page.Items ?? []).map((item) => ({
      key: textOf(item, 'k'),
      value: bytesOf(item),
    }))
    // The bound of BETWEEN is its last key, ours is behind it.
    cursor.entries = entries.filter(({ key }) => key !== range.to).reverse()
    const last = page.LastEvaluatedKey
    if (last === undefined) cursor.isAtEnd = true
    else cursor.from = `${textOf(last, 'k')}\0`
    if (compareKeys(cursor.from, range.to) >= 0) cursor.isAtEnd = true
  }
}

interface Merge {
  readonly collections: readonly string[]
  readonly range: KeyRange
  readonly overlay: Overlay
  readonly countMax: number
}

/** Place in the query of one collection. */
interface Cursor {
  readonly collection: string
  from: string
  /** What was read and not taken, the least key last. */
  entries: Entry[]
  isAtEnd: boolean
}

function leastOf(cursors: readonly Cursor[]): Cursor | undefined {
  let least: Cursor | undefined
  for (const cursor of cursors) {
    const key = cursor.entries.at(-1)?.key
    if (key === undefined) continue
    const leastKey = least?.entries.at(-1)?.key
    if (leastKey === undefined || compareKeys(key, leastKey) < 0) least = cursor
  }
  return least
}
