import assert from 'node:assert/strict'
import { after, before, describe, it, type TestContext } from 'node:test'
import { dynamodbIsMissing, hasDynamodb } from '../../scripts/service-dynamodb.ts'
import { systemClock } from '../lib/clock.ts'
import { type DynamodbOptions, openDynamodbClient } from './dynamodb-client.ts'
import { collectionsOf, decodeChunk, encodeChunk, entryKey, redoKey } from './dynamodb-layout.ts'
import { initDynamodbTables } from './dynamodb-tables.ts'
import {
  type DynamodbWorld,
  deps,
  openStore,
  redoCount,
  serviceError,
  startDynamodbWorld,
  type WireHand,
} from './dynamodb-world.fixture.ts'
import { aCommit, describeStateStore } from './state-store.contract.ts'
import { type Change, type StateStore, valueBytesMax } from './state-store.ts'

const skip = hasDynamodb() ? false : dynamodbIsMissing
let world: DynamodbWorld

describe('state in DynamoDB', { skip }, () => {
  before(async () => {
    world = await startDynamodbWorld()
  })
  after(() => world.stop())

  describeStateStore('dynamodb', async (t) => (await open(t)).store)
  describe('commits of all sizes', describeSizes)
  describe('reads', describeReads)
  describe('a service in trouble', describeTrouble)
  describe('tables', describeTables)
})

interface Opened {
  readonly store: StateStore
  readonly options: DynamodbOptions
  /** Names of the requests since the last look. */
  requests(): readonly string[]
}

async function open(t: TestContext, hand?: WireHand, given = {}): Promise<Opened> {
  const options = await world.makeTables(given)
  let names: string[] = []
  const store = await openStore(t, options, async (request, send) => {
    names.push(request.name)
    return await (hand === undefined ? send() : hand(request, send))
  })
  const requests = (): readonly string[] => {
    const taken = names
    names = []
    return taken
  }
  return { store, options, requests }
}

function describeSizes(): void {
  const kib = 1024
  const cases = [
    { count: 99, bytes: 10, puts: 0, transactions: 1 },
    { count: 99, bytes: 38 * kib, puts: 0, transactions: 1 },
    { count: 99, bytes: 60 * kib, puts: 17, transactions: 1 + 2 },
    { count: 100, bytes: 10, puts: 1, transactions: 1 + 2 },
    { count: 101, bytes: 10, puts: 1, transactions: 1 + 2 },
    { count: 5000, bytes: 100, puts: 2, transactions: 1 + 51 },
  ]
  for (const { count, bytes, puts, transactions } of cases) {
    it(`writes ${count} changes of ${bytes} bytes whole`, async (t) => {
      const { store, options, requests } = await open(t)
      await store.acquire(3, 1, 'n1')
      requests()
      const changes = manyPuts(count, bytes)
      assert.deepEqual(await store.commit([aCommit({ partition: 3, changes })]), ['committed'])
      const sent = requests()
      assert.equal(countOf(sent, 'TransactWriteItems'), transactions)
      assert.equal(countOf(sent, 'PutItem'), puts)
      assert.equal(countOf(sent, 'DeleteItem'), puts)
      assert.equal(sent.length, transactions + 2 * puts)
      const removed = changes.slice(0, count / 2).map(({ key }) => ({ key, value: undefined }))
      const second = { previousOffset: 1, offset: 2, changes: removed }
      await store.commit([aCommit({ partition: 3, ...second })])
      const reader = await openStore(t, options)
      const stored = await reader.scan(3, '', '', count + 1)
      const expected = changes.slice(removed.length)
      assert.deepEqual(
        stored.map(({ key }) => key),
        expected.map(({ key }) => key).sort(),
      )
      assert.ok(stored.every(({ value }) => value.length === bytes))
      assert.equal((await reader.head(3)).offset, 2)
      assert.equal(await redoCount(options, 3), 0)
    })
  }

  it('halves what the service finds too large in a way of its own', async (t) => {
    const hand: WireHand = async ({ name, input }, send) => {
      const { TransactItems } = input as { readonly TransactItems: readonly unknown[] }
      if (name !== 'TransactWriteItems' || TransactItems.length <= 14) return await send()
      throw serviceError('ValidationException')
    }
    const { store } = await open(t, hand)
    await store.acquire(0, 1, 'n1')
    const commit = aCommit({ changes: manyPuts(50, 10) })
    assert.deepEqual(await store.commit([commit]), ['committed'])
    assert.equal((await store.scan(0, '', '', 99)).length, 50)
  })
}

function describeReads(): void {
  it('reads more than 99 keys, and more than 4 MB, as of one commit', async (t) => {
    const { store } = await open(t)
    await store.acquire(0, 1, 'n1')
    const large = Array.from({ length: 20 }, (_, n) => put(`large/${n}`, valueBytesMax))
    const small = manyPuts(180, 10)
    await store.commit([aCommit({ changes: [...large, ...small] })])
    const keys = [...large, ...small].map(({ key }) => key)
    const values = await store.get(0, [...keys, 'never', keys[0] ?? ''])
    assert.deepEqual(
      values.map((value) => value?.length),
      [...large.map(() => valueBytesMax), ...small.map(() => 10), undefined, valueBytesMax],
    )
    values.at(-1)?.fill(7)
    assert.equal(values[0]?.[0], 1)
    assert.equal((await store.scan(0, 'large/', '', 99)).length, 20)
  })

  it('scans across pages, buckets and families in one order', async (t) => {
    const { store, requests } = await open(t)
    await store.acquire(0, 1, 'n1')
    const families = ['person', 'timer', 'outbox', 'feed', 'due', 'granted', 'timerless']
    const keys = families.flatMap((family) =>
      Array.from({ length: 40 }, (_, n) => `${family}/${String(n).padStart(3, '0')}`),
    )
    await store.commit([aCommit({ changes: keys.map((key) => ({ key, value: byte })) })])
    for (const prefix of ['', 't', 'timer', 'timer/', 'timer/03', 'outbox/', 'person/', 'x']) {
      const found: string[] = []
      for (let after = ''; ; ) {
        const page = await store.scan(0, prefix, after, 17)
        found.push(...page.map(({ key }) => key))
        after = page.at(-1)?.key ?? ''
        if (page.length === 0) break
      }
      assert.deepEqual(found, keys.filter((key) => key.startsWith(prefix)).sort(), prefix)
    }
    requests()
    await store.scan(0, 'timer/', '', 50)
    assert.deepEqual(requests(), ['TransactGetItems', 'Query', 'TransactGetItems'])
  })

  it('shows a reader each commit whole, never half and never an older one', async (t) => {
    const { store, options } = await open(t)
    const reader = await openStore(t, options)
    await store.acquire(0, 1, 'n1')
    // A small one, then a large one, by turns; each writes its number to its keys.
    const rest = Array.from({ length: 30 }, (_, n) => `person/rest-${n}`)
    const people = Array.from({ length: 45 }, (_, n) => `person/${n}`)
    const common = [...people, ...Array.from({ length: 45 }, (_, n) => `feed/${n}`)]
    const commitsPerRead = 6
    let isWriting = true
    let isReading = true
    const write = async (): Promise<void> => {
      for (let offset = 1; offset <= 24; offset++) {
        const keys = offset % 2 === 0 ? [...common, ...rest] : common
        const changes = keys.map((key) => ({ key, value: Buffer.from([offset]) }))
        await store.commit([aCommit({ previousOffset: offset - 1, offset, changes })])
        // A fold has work to do too; a scan needs such a gap, now and then one as long as itself.
        await systemClock.sleep((offset % 4) * 30)
        while (isReading && readCount < Math.floor(offset / commitsPerRead))
          await systemClock.sleep(5)
      }
      isWriting = false
    }
    const isCommon = new Set(common)
    let readCount = 0
    let newest = 0
    const read = async (): Promise<void> => {
      while (isWriting) {
        const values = await reader.get(0, common)
        const entries = await reader.scan(0, '', '', 199)
        const scanned = entries.filter(({ key }) => isCommon.has(key)).map(({ value }) => value[0])
        const seen = new Set(values.map((value) => value?.[0] ?? 0))
        assert.equal(seen.size, 1, `half of a commit: ${[...seen].join(', ')}`)
        assert.ok(new Set(scanned).size <= 1, `half of a commit: ${scanned.join(', ')}`)
        const [first = 0] = seen
        const [second = first] = scanned
        assert.ok(first >= newest && second >= first, `${newest}, ${first}, ${second}`)
        newest = second
        readCount++
      }
    }
    const reading = read().finally(() => {
      isReading = false
    })
    await Promise.all([write(), reading])
    assert.ok(readCount > 3, `only ${readCount} reads`)
  })
}

function describeTrouble(): void {
  const reasons = (...codes: readonly string[]): Record<string, unknown> => ({
    CancellationReasons: codes.map((Code) => ({ Code })),
  })
  const throttles = [
    serviceError('ProvisionedThroughputExceededException'),
    serviceError('ThrottlingException'),
    serviceError('TransactionInProgressException'),
    serviceError('TransactionCanceledException', reasons('TransactionConflict', 'None')),
    serviceError('TransactionCanceledException', reasons('None', 'ThrottlingError')),
    serviceError('InternalServerError', { $metadata: { httpStatusCode: 500 } }),
    Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }),
    Object.assign(new Error('too late'), { name: 'TimeoutError' }),
  ]

  it('goes on after a burst of throttling, with the same request', async (t) => {
    let left = 0
    const tokens = new Set<unknown>()
    const { store } = await open(t, async ({ input }, send) => {
      tokens.add((input as { readonly ClientRequestToken?: string }).ClientRequestToken)
      if (left === 0) return await send()
      left--
      throw throttles[left % throttles.length]
    })
    await store.acquire(0, 1, 'n1')
    for (const [index] of throttles.entries()) {
      left = index + 1
      tokens.clear()
      const step = { previousOffset: index, offset: index + 1, changes: manyPuts(3, index) }
      assert.deepEqual(await store.commit([aCommit(step)]), ['committed'])
      assert.equal(tokens.size, 1)
    }
    left = 5
    assert.equal((await store.get(0, ['person/000001']))[0]?.length, throttles.length - 1)
    left = 5
    assert.equal((await store.scan(0, '', '', 9)).length, 3)
  })

  it('rejects with STORE_UNREACHABLE where it does not end, and takes a repeat', async (t) => {
    let isThrottled = false
    const hand: WireHand = async (_, send) => {
      if (isThrottled) throw throttles[1]
      return await send()
    }
    const { store } = await open(t, hand, { retryMsMax: 200 })
    await store.acquire(0, 1, 'n1')
    isThrottled = true
    const commit = aCommit({ changes: manyPuts(200, 10) })
    await assert.rejects(store.commit([commit]), { code: 'STORE_UNREACHABLE', retryable: true })
    await assert.rejects(store.get(0, ['a']), { code: 'STORE_UNREACHABLE' })
    await assert.rejects(store.acquire(0, 1, 'n1'), { code: 'STORE_UNREACHABLE' })
    isThrottled = false
    assert.deepEqual(await store.commit([commit]), ['committed'])
  })

  it('rejects with STORE_UNREACHABLE where nobody listens, or nobody answers', async (t) => {
    const limits = { requestMsMax: 1000, retryMsMax: 1500 }
    const { store: patient, options } = await open(t)
    await patient.acquire(0, 1, 'n1')
    const store = await openStore(t, { ...options, ...limits })
    const [node] = world.service.nodes
    await node?.pause()
    try {
      await assert.rejects(store.head(0), { code: 'STORE_UNREACHABLE' })
    } finally {
      node?.signal('SIGCONT')
    }
    assert.equal((await patient.head(0)).epoch, 1)
    const nowhere = { region: 'local', endpoint: 'http://127.0.0.1:9', ...limits }
    await assert.rejects(openStore(t, nowhere), { code: 'STORE_UNREACHABLE' })
  })
}

function describeTables(): void {
  it('are made once, and again without harm', async (t) => {
    const { store, options } = await open(t)
    await store.acquire(0, 1, 'n1')
    await initDynamodbTables(deps, options)
    assert.equal((await store.head(0)).epoch, 1)
  })

  it('are refused where they are missing, or not ours', async (t) => {
    const options = await world.makeTables()
    const refused = { code: 'STORE_MISCONFIGURED' }
    await assert.rejects(openStore(t, { ...options, table: 'nowhere' }), refused)
    const { table = '', blobTable = '' } = options
    await assert.rejects(openStore(t, { ...options, table: blobTable }), refused)
    await assert.rejects(initDynamodbTables(deps, { ...options, table: blobTable }), refused)
    const client = await openDynamodbClient(deps, options)
    const key = { p: { S: 'attune' }, k: { S: 'layout' } }
    const other = { TableName: table, Item: { ...key, version: { N: '99' } } }
    await client.call('PutItem', other, 'play another version')
    await assert.rejects(openStore(t, options), refused)
    client.close()
  })
}

describe('the layout in DynamoDB', () => {
  it('keeps each key where it always was', () => {
    const places = ['person/ada', 'trait/ada', 'message/1', 'feed', 'a', '\u{10FFFF}'].map(
      (key) => entryKey(7, key)['p']?.S,
    )
    assert.deepEqual(places, ['7/e', '7/6', '7/d', '7/0', '7/2', '7/a'])
    assert.equal(entryKey(7, 'timer/1')['p']?.S, '7/timer')
    assert.equal(collectionsOf(7, '').length, 21)
    assert.equal(collectionsOf(7, 'person/').length, 16)
    assert.deepEqual(collectionsOf(7, 'due/0'), ['7/due'])
    assert.deepEqual(redoKey(7, 'id', 17), { p: { S: '7/redo/1' }, k: { S: 'id/000017' } })
  })

  it('packs changes and gives them back, and refuses a chunk that is cut', () => {
    const changes: readonly Change[] = [
      { key: 'a\0\u{1F600}', value: new Uint8Array([1, 2, 3]) },
      { key: 'gone', value: undefined },
      { key: 'empty', value: new Uint8Array() },
    ]
    const chunk = encodeChunk(changes)
    assert.deepEqual(decodeChunk(chunk), changes)
    assert.throws(() => decodeChunk(chunk.subarray(0, -1)), { code: 'STORE_CORRUPT' })
    assert.throws(() => decodeChunk(chunk.subarray(0, 9)), { code: 'STORE_CORRUPT' })
  })
})

const byte = new Uint8Array([1])

function put(key: string, bytes: number): Change {
  return { key, value: new Uint8Array(bytes).fill(1) }
}

function manyPuts(count: number, bytes: number): readonly Change[] {
  return Array.from({ length: count }, (_, n) => put(`person/${String(n).padStart(6, '0')}`, bytes))
}

function countOf(names: readonly string[], name: string): number {
  return names.filter((each) => each === name).length
}
