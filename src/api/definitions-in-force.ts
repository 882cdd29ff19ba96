/** The definitions that a partition folds by now, compiled once and kept. */

import type { StatePlace } from '../delivery/read-state.ts'
import { type CompiledDefinitions, noDefinitions } from '../process/definitions.ts'
import { readDefinitions } from '../process/definitions-cache.ts'
import { decodeJson, metaKey, type PartitionMeta } from '../process/meta.ts'
import type { BlobStore } from '../state/blob-store.ts'

/** Partitions change over one after the other, so two may be in force at a time. */
const keptCountMax = 4

export interface DefinitionsInForce {
  of(partition: number): Promise<CompiledDefinitions>
}

export function createDefinitionsInForce(
  place: StatePlace,
  blobs: Pick<BlobStore, 'get'>,
): DefinitionsInForce {
  const kept = new Map<string, CompiledDefinitions>()
  return {
    async of(partition) {
      const hash = (await readMeta(place, partition))?.definitionsHash ?? ''
      const known = kept.get(hash)
      if (known !== undefined) return known
      const definitions = hash === '' ? noDefinitions() : await readDefinitions(blobs, hash)
      kept.set(hash, definitions)
      if (kept.size > keptCountMax) kept.delete(kept.keys().next().value ?? '')
      return definitions
    },
  }
}

/** Returns what a partition knows of itself; undefined before its first commit. */
export async function readMeta(
  place: StatePlace,
  partition: number,
): Promise<PartitionMeta | undefined> {
  const [bytes] = await place.state.get(partition, [metaKey])
  return bytes === undefined ? undefined : decodeJson<PartitionMeta>(bytes)
}
