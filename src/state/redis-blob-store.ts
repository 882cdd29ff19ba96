/**
 * Blobs in Redis or a Redis Cluster: a string each, named by its hash, never changed.
 *
 * A blob is as durable as the server's append-only file: only `appendfsync always` syncs it before
 * `put` resolves. With `everysec` a power cut may take the blobs of the last second, which the log
 * may name already, and nothing makes them again. The opening warns of that, and `replicaCountMin`
 * lets `put` wait for replicas. Where it must not happen keep the blobs in another store.
 *
 * The first byte tells how the rest is kept: as it came, or as raw deflate at level 1, where that
 * is smaller by a tenth. What is read is hashed again, so that a changed byte is noticed.
 */

import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { assert } from '../lib/assert.ts'
import { OperatingError } from '../lib/errors.ts'
import { sha256Hex } from '../lib/hash.ts'
import { type BlobStore, blobBytesMax } from './blob-store.ts'
import { parseKeyPrefix } from './redis-client.ts'
import {
  openRedisLink,
  type RedisLink,
  type RedisLinkDeps,
  type RedisLinkOptions,
  textOf,
} from './redis-link.ts'

export interface RedisBlobStoreOptions extends RedisLinkOptions {
  /** Begins every key; letters, digits, `-`, `_` and `.`. */
  readonly keyPrefix?: string
  /** Replicas, of every master, that must have a blob before `put` resolves. */
  readonly replicaCountMin?: number
  readonly replicaMsMax?: number
}

const replicaMsMaxDefault = 1000
/** A smaller blob gains nothing. */
const deflateBytesMin = 512
const deflateRatioMax = 0.9
const plainMark = Buffer.from([0])
const deflatedMark = Buffer.from([1])

/** Connects, checks the server's settings, and warns where a blob would not be durable at once. */
export async function openRedisBlobStore(
  deps: RedisLinkDeps,
  options: RedisBlobStoreOptions,
): Promise<BlobStore> {
  const keyPrefix = parseKeyPrefix(options.keyPrefix)
  const link = await openRedisLink(deps, options)
  const settings = await link
    .callMasters('ask how Redis syncs', 'config', ['get', 'appendfsync'])
    .catch(() => [])
  const isSynced = (setting: unknown): boolean =>
    Array.isArray(setting) && textOf(setting[1]) === 'always'
  if (settings.length === 0 || !settings.every(isSynced)) {
    deps.logger.warn({}, 'redis may lose the newest blobs, unless it has appendfsync always')
  }
  return new RedisBlobStore(link, { ...options, keyPrefix })
}

class RedisBlobStore implements BlobStore {
  readonly #link: RedisLink
  readonly #options: RedisBlobStoreOptions

  constructor(link: RedisLink, options: RedisBlobStoreOptions) {
    this.#link = link
    this.#options = options
  }

  async put(blobs: readonly Uint8Array[]): Promise<readonly string[]> {
    for (const bytes of blobs) {
      assert(bytes.length <= blobBytesMax, 'a blob is at most blobBytesMax')
    }
    const named = blobs.map((bytes) => ({ hash: sha256Hex(bytes), packed: packBlob(bytes) }))
    await Promise.all(
      named.map(({ hash, packed }) =>
        this.#link.call('put a blob', 'set', [this.#keyOf(hash), packed, 'NX']),
      ),
    )
    if (named.length > 0) {
      const { replicaCountMin = 0, replicaMsMax = replicaMsMaxDefault } = this.#options
      await this.#link.waitForReplicas(replicaCountMin, replicaMsMax)
    }
    return named.map(({ hash }) => hash)
  }

  async get(hash: string): Promise<Uint8Array | undefined> {
    const packed = await this.#link.call('read a blob', 'get', [this.#keyOf(hash)])
    if (!Buffer.isBuffer(packed)) return undefined
    const bytes = unpackBlob(packed)
    if (bytes !== undefined && sha256Hex(bytes) === hash) return bytes
    throw new OperatingError('STORE_CORRUPT', `read blob ${hash}`)
  }

  async close(): Promise<void> {
    await this.#link.close()
  }

  #keyOf(hash: string): string {
    return `${this.#options.keyPrefix}:blob:${hash}`
  }
}

function packBlob(bytes: Uint8Array): Uint8Array {
  if (bytes.length >= deflateBytesMin) {
    const deflated = deflateRawSync(bytes, { level: 1 })
    if (deflated.length < bytes.length * deflateRatioMax) {
      return Buffer.concat([deflatedMark, deflated])
    }
  }
  return Buffer.concat([plainMark, bytes])
}

/** Returns undefined for bytes that `packBlob` does not make. */
function unpackBlob(packed: Buffer): Uint8Array | undefined {
  const mark = packed[0]
  const rest = packed.subarray(1)
  if (mark === plainMark[0]) return new Uint8Array(rest)
  if (mark !== deflatedMark[0]) return undefined
  try {
    return new Uint8Array(inflateRawSync(rest, { maxOutputLength: blobBytesMax }))
  } catch {
    return undefined
  }
}
