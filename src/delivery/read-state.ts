/**
 * Reads of the committed state, for delivery and the API. None of them writes, and none sees an
 * open commit.
 */

import { type Message, messagePrefix, partitionOfMessage } from '../campaign/message.ts'
import type { Item } from '../catalog/item.ts'
import { partitionOf } from '../log/record.ts'
import {
  type ComputedInForce,
  computedKey,
  decodeInForce,
} from '../profile/computed/computed-trait.ts'
import {
  decodePerson,
  type Person,
  type PersonTraits,
  partCountMax,
  personPrefix,
  traitPrefix,
} from '../profile/person.ts'
import type { StateReader } from '../state/state-store.ts'
import { type Suppression, suppressionPrefix } from './suppression.ts'

export interface StatePlace {
  readonly state: StateReader
  readonly workspace: string
  readonly partitionCount: number
}

export interface FoundPerson {
  readonly partition: number
  readonly person: Person
  readonly traits: PersonTraits
  /** Computed traits, and whose word counts, where the person is. */
  readonly inForce: ComputedInForce
}

/** Pointers followed to the one who leads: they only go down, over keys of one person. */
const hopCountMax = partCountMax

/**
 * Returns the person of an identity key, following a device to its user; undefined where nothing is
 * known.
 */
export async function findPerson(place: StatePlace, key: string): Promise<FoundPerson | undefined> {
  let current = key
  for (let hop = 0; hop <= hopCountMax; hop++) {
    const partition = partitionOf(place.workspace, current, place.partitionCount)
    const keys = [personPrefix + current, traitPrefix + current, computedKey]
    const [personBytes, traitBytes, computedBytes] = await place.state.get(partition, keys)
    if (personBytes === undefined) return undefined
    const person = decodePerson(personBytes)
    if (person.pointer === undefined) {
      const traits = traitBytes === undefined ? {} : parseJson<PersonTraits>(traitBytes)
      return { partition, person, traits, inForce: decodeInForce(computedBytes) }
    }
    current = person.pointer
  }
  return undefined
}

export async function findMessage(
  place: StatePlace,
  messageId: string,
): Promise<Message | undefined> {
  const partition = partitionOfMessage(messageId)
  if (partition === undefined || partition >= place.partitionCount) return undefined
  const [bytes] = await place.state.get(partition, [messagePrefix + messageId])
  return bytes === undefined ? undefined : parseJson<Message>(bytes)
}

export async function findSuppression(
  place: StatePlace,
  addressKey: string,
): Promise<Suppression | undefined> {
  const partition = partitionOf(place.workspace, addressKey, place.partitionCount)
  const [bytes] = await place.state.get(partition, [suppressionPrefix + addressKey])
  return bytes === undefined ? undefined : parseJson<Suppression>(bytes)
}

/** Returns the known ones of `itemIds`, by id; none that the shop has taken away. */
export async function findItems(
  place: StatePlace,
  itemIds: readonly string[],
): Promise<ReadonlyMap<string, Item>> {
  const found = new Map<string, Item>()
  await Promise.all(
    [...new Set(itemIds)].map(async (itemId) => {
      const key = `item:${itemId}`
      const partition = partitionOf(place.workspace, key, place.partitionCount)
      const [bytes] = await place.state.get(partition, [`item/${itemId}`])
      const item = bytes === undefined ? undefined : parseJson<Item>(bytes)
      if (item !== undefined && item.isRemoved !== true) found.set(itemId, item)
    }),
  )
  return found
}

function parseJson<Value>(bytes: Uint8Array): Value {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return JSON.parse(buffer.toString()) as Value
}
