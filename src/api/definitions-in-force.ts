/** The definitions that a partition folds by now, compiled once and kept. */

import type { StatePlace } from '../delivery/read-state.ts'
import { type CompiledDefinitions, noDefinitions } from '../process/definitions.ts'
import { readDefinitions, remember } from '../process/definitions-cache.ts'
import { decodeMeta, metaKey, type PartitionMeta, readMeta } from '../process/meta.ts'
import type { BlobStore } from '../state/blob-store.ts'

/** Partitions change over one after the other, so two may be in force at a time. */
const keptCountMax = 4

export interface DefinitionsInForce {
  of(partition: number): Promise<CompiledDefinitions>
  /** Those of what was read already, so that the two are of one moment. */
  named(meta: PartitionMeta | undefined): Promise<CompiledDefinitions>
}

export function createDefinitionsInForce(
  place: StatePlace,
  blobs: Pick<BlobStore, 'get'>,
): DefinitionsInForce {
  const kept = new Map<string, Promise<CompiledDefinitions>>()
  /** By partition: what was read last, and the hash in it. It is read for every answer. */
  const hashes = new Map<number, { readonly bytes: Uint8Array; readonly hash: string }>()
  const hashOf = async (partition: number): Promise<string> => {
    const [bytes] = await place.state.get(partition, [metaKey])
    if (bytes === undefined) return ''
    const known = hashes.get(partition)
    if (known !== undefined && Buffer.compare(known.bytes, bytes) === 0) return known.hash
    const hash = decodeMeta(bytes).definitionsHash
    hashes.set(partition, { bytes, hash })
    return hash
  }
  const compiled = async (hash: string): Promise<CompiledDefinitions> => {
    if (hash === '') return noDefinitions()
    return await remember(kept, hash, keptCountMax, () => readDefinitions(blobs, hash))
  }
  return {
    of: async (partition) => await compiled(await hashOf(partition)),
    named: async (meta) => await compiled(meta?.definitionsHash ?? ''),
  }
}

/** Returns what each partition knows of itself. */
export async function readMetas(
  place: StatePlace,
): Promise<readonly (PartitionMeta | undefined)[]> {
  const { state, partitionCount } = place
  const partitions = Array.from({ length: partitionCount }, (_, partition) => partition)
  return await Promise.all(partitions.map((partition) => readMeta(state, partition)))
}
