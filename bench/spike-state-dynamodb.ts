/**
 * Counts the requests and the units that commits and reads of the state cost on DynamoDB: for the
 * measured batch of 400 events over 64 partitions (6 people of 2 KB, 6 small keys, 12 KB each), for
 * larger batches of one partition, and for commits that need a redo. Starts a DynamoDB Local of its
 * own and ends it.
 *
 * Units are counted from the requests by the rules of the price list, since the server here charges
 * a transaction like single writes: each started KB written is 1 unit, each started 4 KB read is 1,
 * twice that in a transaction. Times are of this server on this machine, not of the service.
 *
 *   node bench/spike-state-dynamodb.ts
 */

import { systemClock } from '../src/lib/clock.ts'
import { openStore, startDynamodbWorld } from '../src/state/dynamodb-world.fixture.ts'
import type { Change, PartitionCommit } from '../src/state/state-store.ts'

type Attribute = { readonly S?: string; readonly N?: string; readonly B?: Uint8Array }
type Item = Readonly<Record<string, Attribute>>
type Write = { readonly Item?: Item; readonly UpdateExpression?: string }
type TransactItem = Readonly<Record<string, Write>>

const partitionCount = 64
const personBytes = 1900
const smallBytes = 60
const kib = 1024
const dollarsPerMillionWrites = 0.625
const dollarsPerMillionReads = 0.125

/** Units of what was put, by its key: deleting it costs the same. */
const putUnits = new Map<string, number>()

interface Count {
  requestCount: number
  writeUnits: number
  readUnits: number
}

const world = await startDynamodbWorld()
const clean: (() => unknown)[] = []
try {
  const options = await world.makeTables()
  const count: Count = { requestCount: 0, writeUnits: 0, readUnits: 0 }
  const store = await openStore({ after: (end) => clean.push(end as never) }, options, countOnWire)
  const offsets = new Map<number, number>()
  for (let partition = 0; partition < partitionCount; partition++) {
    await store.acquire(partition, 1, 'n1')
  }

  async function countOnWire(
    { name, input }: { readonly name: string; readonly input: unknown },
    send: () => Promise<unknown>,
  ): Promise<unknown> {
    const answer = await send()
    count.requestCount++
    const { writeUnits, readUnits } = unitsOf(name, input, answer)
    count.writeUnits += writeUnits
    count.readUnits += readUnits
    return answer
  }

  function commitOf(partition: number, changes: readonly Change[]): PartitionCommit {
    const previousOffset = offsets.get(partition) ?? 0
    const offset = previousOffset + 1
    offsets.set(partition, offset)
    const head = { partition, epoch: 1, nonce: 'n1', previousOffset, offset }
    return { ...head, lastRecordId: 'ab'.repeat(12), incarnation: 'cd'.repeat(16), changes }
  }

  async function measure(says: string, eventCount: number, work: () => Promise<unknown>) {
    Object.assign(count, { requestCount: 0, writeUnits: 0, readUnits: 0 })
    const startMs = systemClock.monotonicMs()
    await work()
    const ms = Math.round(systemClock.monotonicMs() - startMs)
    const { requestCount, writeUnits, readUnits } = count
    const dollars =
      (writeUnits * dollarsPerMillionWrites + readUnits * dollarsPerMillionReads) / eventCount
    const perEvent = { writes: writeUnits / eventCount, reads: readUnits / eventCount }
    const figures = {
      requestCount,
      writeUnits,
      readUnits,
      ms,
      perEvent,
      dollarsPerMillion: dollars,
    }
    console.log(JSON.stringify({ says, eventCount, ...figures }))
  }

  const batch = (people: number, partition: number): readonly Change[] => [
    ...Array.from({ length: people }, (_, n) =>
      change(`person/user:${partition}-${n}`, personBytes),
    ),
    ...Array.from({ length: people }, (_, n) => change(`feed/${partition}-${n}`, smallBytes)),
  ]
  const partitions = Array.from({ length: partitionCount }, (_, partition) => partition)
  for (const name of ['first', 'again']) {
    await measure(`commit of 400 events over 64 partitions, ${name}`, 400, () =>
      store.commit(partitions.map((partition) => commitOf(partition, batch(6, partition)))),
    )
  }
  await measure('read of the people of 400 events', 400, () =>
    Promise.all(
      partitions.map((partition) =>
        store.get(
          partition,
          batch(6, partition).flatMap(({ key }) => (key.startsWith('person/') ? [key] : [])),
        ),
      ),
    ),
  )
  await measure('commit of 49 events of one partition', 49, () =>
    store.commit([commitOf(0, batch(49, 0))]),
  )
  for (const [changeCount, bytes] of [
    [100, 1000],
    [1000, 1000],
    [5000, 1000],
    [20_000, 1000],
  ] as const) {
    const changes = Array.from({ length: changeCount }, (_, n) => change(`person/${n}`, bytes))
    await measure(`commit of ${changeCount} changes of ${bytes} bytes`, changeCount, () =>
      store.commit([commitOf(1, changes)]),
    )
  }
} finally {
  for (const end of clean) await end()
  await world.stop()
}

function change(key: string, bytes: number): Change {
  return { key, value: new Uint8Array(bytes).fill(1) }
}

function unitsOf(
  name: string,
  input: unknown,
  answer: unknown,
): { readonly writeUnits: number; readonly readUnits: number } {
  const given = input as {
    readonly TransactItems?: readonly TransactItem[]
    readonly Item?: Item
    readonly Key?: Item
  }
  switch (name) {
    case 'TransactWriteItems': {
      const items = given.TransactItems ?? []
      // The head and a check of it are below 1 KB.
      const units = items.map((item) => writeUnits(item['Put']?.Item))
      return { writeUnits: 2 * sum(units), readUnits: 0 }
    }
    case 'TransactGetItems': {
      const { Responses = [] } = answer as { readonly Responses?: readonly { Item?: Item }[] }
      return { writeUnits: 0, readUnits: 2 * sum(Responses.map(({ Item }) => readUnits(Item))) }
    }
    case 'PutItem': {
      const units = writeUnits(given.Item)
      putUnits.set(nameOf(given.Item), units)
      return { writeUnits: units, readUnits: 0 }
    }
    case 'DeleteItem':
      return { writeUnits: putUnits.get(nameOf(given.Key)) ?? 1, readUnits: 0 }
    default:
      return { writeUnits: name === 'UpdateItem' ? 1 : 0, readUnits: name === 'GetItem' ? 1 : 0 }
  }
}

function nameOf(item: Item | undefined): string {
  return `${item?.['p']?.S} ${item?.['k']?.S}`
}

function writeUnits(item: Item | undefined): number {
  return Math.max(1, Math.ceil(itemBytes(item) / kib))
}

function readUnits(item: Item | undefined): number {
  return Math.max(1, Math.ceil(itemBytes(item) / (4 * kib)))
}

function itemBytes(item: Item | undefined): number {
  return sum(
    Object.entries(item ?? {}).map(
      ([name, { S, N, B }]) => name.length + Buffer.byteLength(S ?? N ?? '') + (B?.length ?? 0),
    ),
  )
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0)
}
