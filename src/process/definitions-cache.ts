/** Compiled definitions by their hash, read from the side store when they are not at hand. */

import type { Message } from '../campaign/message.ts'
import type { PreparedTemplate } from '../delivery/deliver-message.ts'
import { OperatingError } from '../lib/errors.ts'
import type { BlobStore } from '../state/blob-store.ts'
import {
  type CompiledDefinitions,
  compileDefinitions,
  type DefinitionsDocument,
} from './definitions.ts'
import { decodeKeyList, type KeyList } from './key-list.ts'
import { decodeJson } from './meta.ts'

export interface DefinitionsCache {
  definitionsOf(hash: string): Promise<CompiledDefinitions>
  templateOf(message: MessageOrigin): Promise<PreparedTemplate | undefined>
  listOf(hash: string): Promise<KeyList>
}

/** Where in the definitions a message comes from. */
export type MessageOrigin = Pick<Message, 'definitionsHash' | 'campaign' | 'step' | 'template'>

const cacheCountMax = 16
const preparedCountMax = 256
/** Lists kept though nobody holds them; each has up to 1.2 MB. */
const listCacheCountMax = 4

/** Keeps the newest definitions compiled; older ones are read again from the side store. */
export function createDefinitionsCache(blobs: Pick<BlobStore, 'get' | 'put'>): DefinitionsCache {
  const compiled = new Map<string, Promise<CompiledDefinitions>>()
  const lists = new Map<string, Promise<KeyList>>()
  // Each partition holds the lists that its rules name: all of them hold the same.
  const held = new Map<string, WeakRef<KeyList>>()
  const prepared = new Map<string, Promise<PreparedTemplate | undefined>>()
  const definitionsOf = (hash: string): Promise<CompiledDefinitions> =>
    remember(compiled, hash, cacheCountMax, () => readDefinitions(blobs, hash))
  return {
    definitionsOf,
    listOf: async (hash) =>
      held.get(hash)?.deref() ??
      (await remember(lists, hash, listCacheCountMax, () => readHeld(blobs, hash, held))),
    templateOf({ definitionsHash, campaign, step, template: name }) {
      const key = `${definitionsHash}/${name}/${campaign}/${step}`
      return remember(prepared, key, preparedCountMax, async () => {
        const definitions = await definitionsOf(definitionsHash)
        const template = definitions.templates.get(name)
        if (template === undefined) return undefined
        const [templateHash = ''] = await blobs.put([Buffer.from(JSON.stringify(template))])
        const shop = { ...definitions.shop }
        return { template, templateHash, shop, ...slotsOf(definitions, { campaign, step }) }
      })
    },
  }
}

/** Returns the rules of what a step recommends. */
function slotsOf(
  { campaigns, recommenders }: CompiledDefinitions,
  origin: Pick<MessageOrigin, 'campaign' | 'step'>,
): Pick<PreparedTemplate, 'recommendationRules' | 'slots'> {
  const step = campaigns.get(origin.campaign)?.steps[origin.step]
  if (step?.kind !== 'send') return {}
  const { recommender = '', slots = [] } = step
  const recommendationRules = recommenders.get(recommender)
  return {
    ...(recommendationRules === undefined ? {} : { recommendationRules }),
    slots: slots.map((slot) => {
      const rules = recommenders.get(slot.recommender)
      return { name: slot.name, countMax: slot.count, ...(rules === undefined ? {} : { rules }) }
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

/** Reads a list of people; rejects with BLOB_MISSING. */
export async function readList(blobs: Pick<BlobStore, 'get'>, hash: string): Promise<KeyList> {
  const bytes = await blobs.get(hash)
  if (bytes === undefined) throw new OperatingError('BLOB_MISSING', `read list ${hash}`)
  return decodeKeyList(bytes)
}

async function readHeld(
  blobs: Pick<BlobStore, 'get'>,
  hash: string,
  held: Map<string, WeakRef<KeyList>>,
): Promise<KeyList> {
  const list = await readList(blobs, hash)
  for (const [known, reference] of held) if (reference.deref() === undefined) held.delete(known)
  held.set(hash, new WeakRef(list))
  return list
}

/** Returns what `make` made for a key, the newest `countMax` of which are kept. */
export function remember<Value>(
  cache: Map<string, Promise<Value>>,
  key: string,
  countMax: number,
  make: () => Promise<Value>,
): Promise<Value> {
  const known = cache.get(key)
  if (known !== undefined) return known
  const made = make()
  cache.set(key, made)
  made.catch(() => cache.delete(key))
  if (cache.size > countMax) cache.delete(cache.keys().next().value ?? '')
  return made
}
