/**
 * Blobs in a DynamoDB table, an item each, named by the hash.
 *
 * An item holds 400 KB, so a blob that is larger when packed is cut into chunks, items of their
 * own. Order of effects: chunks first, then the item that names them; so a blob is there whole or
 * not at all, and what a crash leaves is chunks that the next put of the same bytes writes again.
 */

import { OperatingError } from '../lib/errors.ts'
import { sha256Hex } from '../lib/hash.ts'
import { type BlobStore, checkBlobSizes } from './blob-store.ts'
import {
  blobTableDefault,
  type DynamodbClient,
  type DynamodbDeps,
  type DynamodbOptions,
  openDynamodbClient,
} from './dynamodb-client.ts'
import { bytesOf, type Item, numberOf, textOf } from './dynamodb-layout.ts'
import { forAll } from './dynamodb-redo.ts'
import { checkBlobTable } from './dynamodb-tables.ts'
import { packBlob, unpackBlob } from './pack-blob.ts'

const chunkBytesMax = 380 * 1024

/** Opens the blobs; rejects with STORE_MISCONFIGURED where the table is missing or not ours. */
export async function openDynamodbBlobStore(
  deps: DynamodbDeps,
  options: DynamodbOptions,
): Promise<BlobStore> {
  const client = await openDynamodbClient(deps, options)
  const table = options.blobTable ?? blobTableDefault
  try {
    await checkBlobTable(client, table)
  } catch (error) {
    client.close()
    throw error
  }
  return new DynamodbBlobStore(client, table)
}

class DynamodbBlobStore implements BlobStore {
  readonly #client: DynamodbClient
  readonly #table: string

  constructor(client: DynamodbClient, table: string) {
    this.#client = client
    this.#table = table
  }

  async put(blobs: readonly Uint8Array[]): Promise<readonly string[]> {
    checkBlobSizes(blobs)
    const packed = new Map(blobs.map((bytes) => [sha256Hex(bytes), packBlob(bytes)]))
    await forAll([...packed], ([hash, bytes]) => this.#putOne(hash, bytes))
    return blobs.map((bytes) => sha256Hex(bytes))
  }

  async get(hash: string): Promise<Uint8Array | undefined> {
    const item = await this.#load(hash)
    if (item === undefined) return undefined
    if (item['v'] !== undefined) return unpackBlob(bytesOf(item), hash)
    const names = chunkNames(textOf(item, 'packedHash'), numberOf(item, 'chunkCount'))
    const chunks = await forAll(names, async (name) => {
      const chunk = await this.#load(name)
      if (chunk === undefined) throw new OperatingError('STORE_CORRUPT', `read blob ${hash}`)
      return bytesOf(chunk)
    })
    return unpackBlob(Buffer.concat(chunks), hash)
  }

  async close(): Promise<void> {
    this.#client.close()
  }

  async #putOne(hash: string, packed: Uint8Array): Promise<void> {
    if (packed.length <= chunkBytesMax) return await this.#save(hash, { v: { B: packed } })
    // A large one costs a unit for each KB of it; a look whether it is there costs one in all.
    if ((await this.#load(hash)) !== undefined) return
    const chunkCount = Math.ceil(packed.length / chunkBytesMax)
    const packedHash = sha256Hex(packed)
    await forAll(chunkNames(packedHash, chunkCount), async (name, index) => {
      const from = index * chunkBytesMax
      await this.#save(name, { v: { B: packed.subarray(from, from + chunkBytesMax) } })
    })
    const manifest = { packedHash: { S: packedHash }, chunkCount: { N: String(chunkCount) } }
    await this.#save(hash, manifest)
  }

  async #load(name: string): Promise<Item | undefined> {
    const input = { TableName: this.#table, Key: { p: { S: name } }, ConsistentRead: true }
    return (await this.#client.call('GetItem', input, 'read a blob')).Item
  }

  async #save(name: string, content: Item): Promise<void> {
    const input = { TableName: this.#table, Item: { p: { S: name }, ...content } }
    await this.#client.call('PutItem', input, 'put a blob')
  }
}

/** By the hash of the packed bytes: another version of deflate may pack the same blob otherwise. */
function chunkNames(packedHash: string, count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `${packedHash}/${index}`)
}
