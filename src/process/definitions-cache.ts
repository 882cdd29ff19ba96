/** Compiled definitions by their hash, read from the side store when they are not at hand. */

import type { PreparedTemplate } from '../delivery/deliver-message.ts'
import { OperatingError } from '../lib/errors.ts'
import type { BlobStore } from '../state/blob-store.ts'
import {
  type CompiledDefinitions,
  compileDefinitions,
  type DefinitionsDocument,
} from './definitions.ts'
import { decodeJson } from './meta.ts'

export interface DefinitionsCache {
  definitionsOf(hash: string): Promise<CompiledDefinitions>
  templateOf(hash: string, name: string): Promise<PreparedTemplate | undefined>
}

const cacheCountMax = 16

/** Keeps the newest definitions compiled; older ones are read again from the side store. */
export function createDefinitionsCache(blobs: Pick<BlobStore, 'get' | 'put'>): DefinitionsCache {
  const compiled = new Map<string, Promise<CompiledDefinitions>>()
  const prepared = new Map<string, Promise<PreparedTemplate | undefined>>()
  const definitionsOf = (hash: string): Promise<CompiledDefinitions> =>
    remember(compiled, hash, () => readDefinitions(blobs, hash))
  return {
    definitionsOf,
    templateOf: (hash, name) =>
      remember(prepared, `${hash}/${name}`, async () => {
        const definitions = await definitionsOf(hash)
        const template = definitions.templates.get(name)
        if (template === undefined) return undefined
        const [templateHash = ''] = await blobs.put([Buffer.from(JSON.stringify(template))])
        return { template, templateHash, shop: { ...definitions.shop } }
      }),
  }
}

/** Reads and compiles; rejects with BLOB_MISSING or DEFINITIONS_INVALID. */
export async function readDefinitions(
  blobs: Pick<BlobStore, 'get'>,
  hash: string,
): Promise<CompiledDefinitions> {
  const bytes = await blobs.get(hash)
  if (bytes === undefined) throw new OperatingError('BLOB_MISSING', `read definitions ${hash}`)
  const answer = compileDefinitions(decodeJson<DefinitionsDocument>(bytes), hash)
  if (answer.kind === 'compiled') return answer.definitions
  const says = answer.faults.map(({ file, path, says }) => `${file} ${path} ${says}`).join('; ')
  throw new OperatingError('DEFINITIONS_INVALID', `compile definitions ${hash}: ${says}`)
}

function remember<Value>(
  cache: Map<string, Promise<Value>>,
  key: string,
  make: () => Promise<Value>,
): Promise<Value> {
  const known = cache.get(key)
  if (known !== undefined) return known
  const made = make()
  cache.set(key, made)
  made.catch(() => cache.delete(key))
  if (cache.size > cacheCountMax) cache.delete(cache.keys().next().value ?? '')
  return made
}
