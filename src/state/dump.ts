/**
 * The canonical dump of a partition: all keys and values in order, each with its length before it.
 * Two states that came from the same records have the same hash. The family `outbox/` is left out,
 * since what was forwarded already depends on when one looks; so is the head, which is the store's.
 */

import { createHash } from 'node:crypto'
import type { StateReader } from './state-store.ts'

const outboxPrefix = 'outbox/'
const batchCount = 500

/** Returns the SHA-256 of the dump, in hex. The partition must not change meanwhile. */
export async function hashPartition(state: StateReader, partition: number): Promise<string> {
  const hash = createHash('sha256')
  for (let after = ''; ; ) {
    const entries = await state.scan(partition, '', after, batchCount)
    for (const { key, value } of entries) {
      if (key.startsWith(outboxPrefix)) continue
      const lengths = Buffer.alloc(8)
      lengths.writeUInt32BE(Buffer.byteLength(key), 0)
      lengths.writeUInt32BE(value.length, 4)
      hash.update(lengths).update(key).update(value)
    }
    const last = entries.at(-1)
    if (last === undefined) return hash.digest('hex')
    after = last.key
  }
}
