/**
 * Blobs in Redis or a Redis Cluster: a string each, named by its hash, never changed.
 *
 * A blob is as durable as the server's append-only file: only `appendfsync always` syncs it before
 * `put` resolves. With `everysec` a power cut may take the blobs of the last second, which the log
 * may name already, and nothing makes them again. The opening warns of that, and `replicaCountMin`
 * lets `put` wait for replicas. Where it must not happen keep the blobs in another store.
 */

import { sha256Hex } from '../lib/hash.ts'
import { type BlobStore, checkBlobSizes } from './blob-store.ts'
import { packBlob, unpackBlob } from './pack-blob.ts'
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
}

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
    checkBlobSizes(blobs)
    const named = blobs.map((bytes) => ({ hash: sha256Hex(bytes), packed: packBlob(bytes) }))
    await Promise.all(
      named.map(({ hash, packed }) =>
        this.#link.call('put a blob', 'set', [this.#keyOf(hash), packed, 'NX'], 'replicated'),
      ),
    )
    return named.map(({ hash }) => hash)
  }

  async get(hash: string): Promise<Uint8Array | undefined> {
    const packed = await this.#link.call('read a blob', 'get', [this.#keyOf(hash)])
    if (!Buffer.isBuffer(packed)) return undefined
    return unpackBlob(packed, hash)
  }

  async close(): Promise<void> {
    await this.#link.close()
  }

  #keyOf(hash: string): string {
    return `${this.#options.keyPrefix}:blob:${hash}`
  }
}
