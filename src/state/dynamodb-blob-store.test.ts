import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, it, type TestContext } from 'node:test'
import { dynamodbIsMissing, hasDynamodb } from '../../scripts/service-dynamodb.ts'
import { sha256Hex } from '../lib/hash.ts'
import { describeBlobStore } from './blob-store.contract.ts'
import { type BlobStore, blobBytesMax } from './blob-store.ts'
import { openDynamodbBlobStore } from './dynamodb-blob-store.ts'
import { type DynamodbOptions, openDynamodbClient } from './dynamodb-client.ts'
import {
  type DynamodbWorld,
  deps,
  startDynamodbWorld,
  type WireHand,
  wrapSend,
} from './dynamodb-world.fixture.ts'

let world: DynamodbWorld

describe('blobs in DynamoDB', { skip: hasDynamodb() ? false : dynamodbIsMissing }, () => {
  before(async () => {
    world = await startDynamodbWorld()
  })
  after(() => world.stop())

  describeBlobStore('dynamodb', async (t) => (await open(t)).store)

  it('keeps the largest blob that does not shrink, in chunks', async (t) => {
    const { store } = await open(t)
    const bytes = randomBytes(blobBytesMax)
    const [hash = ''] = await store.put([bytes])
    assert.ok(bytes.equals((await store.get(hash)) ?? new Uint8Array()))
  })

  it('keeps nothing of a blob without its last item, until it is put again', async (t) => {
    let isCut = true
    const bytes = randomBytes(2_000_000)
    const { store } = await open(t, async ({ input }, send) => {
      const { Item } = input as { readonly Item?: Record<string, unknown> }
      if (isCut && Item !== undefined && 'chunkCount' in Item) throw new Error('power is off')
      return await send()
    })
    await assert.rejects(store.put([bytes]))
    assert.equal(await store.get(sha256Hex(bytes)), undefined)
    isCut = false
    const [hash = ''] = await store.put([bytes])
    assert.ok(bytes.equals((await store.get(hash)) ?? new Uint8Array()))
  })

  it('writes a large blob once, and shrinks what can be shrunk into one item', async (t) => {
    const sent: string[] = []
    const { store } = await open(t, async ({ name }, send) => {
      sent.push(name)
      return await send()
    })
    const bytes = randomBytes(800_000)
    await store.put([bytes])
    sent.length = 0
    await store.put([bytes])
    assert.deepEqual(sent, ['GetItem'])
    sent.length = 0
    await store.put([
      Buffer.from('<td style="padding: 0">Ada, your cart waits</td>'.repeat(20_000)),
    ])
    assert.deepEqual(sent, ['PutItem'])
  })

  it('refuses to read a blob whose bytes were changed or lost', async (t) => {
    const { store, options } = await open(t)
    const bytes = randomBytes(800_000)
    const [small = '', large = ''] = await store.put([new Uint8Array([1, 2, 3]), bytes])
    const client = await openDynamodbClient(deps, options)
    const TableName = options.blobTable
    const changed = { p: { S: small }, v: { B: new Uint8Array([0, 1, 2, 4]) } }
    await client.call('PutItem', { TableName, Item: changed }, 'change a blob')
    await assert.rejects(store.get(small), { code: 'STORE_CORRUPT' })
    const manifest = await client.call('GetItem', { TableName, Key: { p: { S: large } } }, 'look')
    const chunk = { p: { S: `${manifest.Item?.['packedHash']?.S}/1` } }
    await client.call('DeleteItem', { TableName, Key: chunk }, 'lose a chunk')
    await assert.rejects(store.get(large), { code: 'STORE_CORRUPT' })
    client.close()
  })
})

async function open(
  t: TestContext,
  hand?: WireHand,
): Promise<{ readonly store: BlobStore; readonly options: DynamodbOptions }> {
  const options = await world.makeTables()
  const given = hand === undefined ? deps : { ...deps, wrapSend: wrapSend(hand) }
  const store = await openDynamodbBlobStore(given, options)
  t.after(() => store.close())
  return { store, options }
}
