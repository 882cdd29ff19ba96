/**
 * What the fold made: I4 (the same from the log alone), I5 (each event once), I6 (old owners
 * without effect), rest.
 */

import type { LogRecord } from '../../src/log/record.ts'
import { createDefinitionsCache } from '../../src/process/definitions-cache.ts'
import type { PartitionMeta } from '../../src/process/meta.ts'
import { PartitionFold } from '../../src/process/partition-fold.ts'
import { decodeInForce } from '../../src/profile/computed/computed-trait.ts'
import {
  decodePerson,
  type Person,
  type PersonTraits,
  traitPrefix,
} from '../../src/profile/person.ts'
import { viewPerson } from '../../src/profile/view-person.ts'
import { evaluateRule } from '../../src/segment/evaluate.ts'
import { Facts } from '../../src/segment/facts.ts'
import { hashPartition } from '../../src/state/dump.ts'
import { createMemoryStateStore } from '../../src/state/memory-state-store.ts'
import { type NaivePartition, numberOf, outboxIdOf, textOf } from './naive-log.ts'
import type { Scene } from './simulate.ts'
import { partitionCount, workspace } from './world-definitions.ts'

const reopenShare = 0.1
const largePieceShare = 2 / 3

/** Names that outcomes of messages add to totals. */
const outcomeNames = new Set([
  'Email Opened',
  'Email Link Clicked',
  'Email Bounced',
  'Email Marked as Spam',
  'Unsubscribed',
])

export async function checkState(
  scene: Scene,
  partitions: readonly NaivePartition[],
): Promise<void> {
  for (const [partition, naive] of partitions.entries()) {
    await checkRest(scene, partition)
    await checkRebuild(scene, partition)
    await checkMeta(scene, partition, naive)
  }
  const outstanding = scene.observer.unsentOutbox()
  if (outstanding.length > 0) {
    scene.observer.violate('liveness', `outbox entries never left: ${outstanding.slice(0, 3)}`)
  }
  await checkTotals(scene, partitions)
  await checkMemberships(scene)
  checkGrants(scene, partitions)
}

async function checkRest({ store, log, observer }: Scene, partition: number): Promise<void> {
  const { offset } = await store.head(partition)
  const end = await log.end(partition)
  if (offset !== end) {
    observer.violate('liveness', `partition ${partition} stands at ${offset} of ${end}`)
  }
  for (const family of ['due/', 'granted/', 'outbox/']) {
    const left = await store.scan(partition, family, '', 3)
    if (left.length > 0) {
      const keys = left.map(({ key }) => key).join(', ')
      observer.violate('liveness', `partition ${partition} still has ${keys}`)
    }
  }
}

/** Folds the log again from nothing, in pieces of any size. */
async function checkRebuild(scene: Scene, partition: number): Promise<void> {
  const { observer, store, random } = scene
  const expected = await hashPartition(store, partition)
  const isLarge = random.unit() < largePieceShare
  const countMax = isLarge ? 1000 : 1 + Math.floor(60 * random.unit())
  const shouldPause = (): boolean => !isLarge && random.unit() < 0.1
  const rebuilt = await rebuild(scene, partition, countMax, shouldPause)
  if (rebuilt !== expected) {
    const says = `folds to another state (pieces of ${countMax})`
    observer.violate('I4', `partition ${partition} ${says}`)
  }
}

async function rebuild(
  { log, blobs, random }: Scene,
  partition: number,
  countMax: number,
  shouldPause: () => boolean,
): Promise<string> {
  const state = createMemoryStateStore()
  const owner = { epoch: 1, nonce: 'rebuild' }
  await state.acquire(partition, owner.epoch, owner.nonce)
  const { definitionsOf, listOf } = createDefinitionsCache(blobs)
  const fold = new PartitionFold(
    { log, state, definitionsOf, listOf },
    { workspace, partitionCount, partition },
  )
  await fold.open(await state.head(partition))
  let records: readonly LogRecord[] = []
  let foldedTo = 0
  while (fold.cursor < (await log.end(partition)) && fold.stopped === undefined) {
    // Not where the last piece ended: all of it is folded, or a failure took the fold back.
    const isNext = records.length > 0 && fold.cursor === foldedTo
    if (!isNext) records = await log.read(partition, fold.cursor, countMax)
    const count = await fold.fold(records, shouldPause)
    // Nobody appends any more: the owner's word that it waits for will not come.
    if (count === 0 && fold.isAwaitingWord) break
    foldedTo = records[count - 1]?.offset ?? foldedTo
    records = records.slice(count)
    const { commit } = fold.takeCommit(owner, log.identity.incarnation)
    await state.commit([commit])
    fold.committed(commit)
    // What the fold kept in memory is forgotten now and then, as by a crash.
    if (random.unit() < reopenShare) await fold.open(await state.head(partition))
  }
  return await hashPartition(state, partition)
}

async function checkMeta(scene: Scene, partition: number, naive: NaivePartition): Promise<void> {
  const { store, observer } = scene
  const meta = await loadMeta(scene, partition)
  const made = [meta.foldMs, meta.ownerMs, meta.epoch]
  const expected = [naive.foldMs, naive.ownerMs, naive.epoch]
  if (made.join() !== expected.join()) {
    observer.violate('I6', `time and epoch of partition ${partition}: ${made}, not ${expected}`)
  }
  const applied = naive.records.filter(({ isNewEvent }) => isNewEvent).length
  const skipped = naive.records.filter(({ isSkipped }) => isSkipped).length
  const { counts } = meta
  if (counts.applied !== applied || counts.duplicates !== naive.duplicateCount) {
    const says = `${counts.applied} applied, ${counts.duplicates} duplicates`
    observer.violate('I2', `${says}; the log has ${applied} and ${naive.duplicateCount}`)
  }
  if (counts.skipped !== skipped) observer.violate('I12', `${counts.skipped} of ${skipped} skipped`)
  const { epoch } = await store.head(partition)
  if (epoch < meta.epoch) observer.violate('I6', `partition ${partition} is held by an old epoch`)
  const sent = new Set(naive.records.map(({ record }) => outboxIdOf(record)))
  if (sent.size === 0) observer.violate('liveness', `partition ${partition} has no records`)
}

async function loadMeta({ store }: Scene, partition: number): Promise<PartitionMeta> {
  const [bytes] = await store.get(partition, ['part/meta'])
  return JSON.parse(Buffer.from(bytes ?? '{}').toString()) as PartitionMeta
}

export async function loadPeople({ store }: Scene): Promise<readonly Person[]> {
  const people: Person[] = []
  for (let partition = 0; partition < partitionCount; partition++) {
    const entries = await store.scan(partition, 'person/', '', 10_000)
    people.push(...entries.map(({ value }) => decodePerson(value)))
  }
  return people
}

/**
 * Counts each new event of the log once, by the key at which it landed, and compares with the parts
 * of all profiles: whoever has a part, and however often it went from one to another.
 */
async function checkTotals(scene: Scene, partitions: readonly NaivePartition[]): Promise<void> {
  const expected = new Map<string, number>()
  for (const { records } of partitions) {
    for (const { record, isNewEvent } of records) {
      if (isNewEvent) add(expected, record.key, textOf(record.skeleton, 'name'), 1)
    }
  }
  const made = new Map<string, number>()
  for (const { key, pointer, parts } of await loadPeople(scene)) {
    if (pointer !== undefined && parts.length > 0) {
      scene.observer.violate('I5', `${key} has joined ${pointer} and kept parts`)
    }
    for (const part of parts) {
      for (const [name, [count]] of Object.entries(part.totals)) add(made, part.key, name, count)
    }
  }
  for (const place of new Set([...expected.keys(), ...made.keys()])) {
    const [key = '', name = ''] = place.split('|')
    if (outcomeNames.has(name)) continue
    const [count, wanted] = [made.get(place) ?? 0, expected.get(place) ?? 0]
    if (count !== wanted) scene.observer.violate('I5', `${key} has ${count} of ${wanted} ${name}`)
  }
}

/**
 * New rules have reached everybody, whatever crashed on the way, and everybody is in the segments
 * whose rules hold. The engine judges; `test/segments` compares it with a naive reading.
 */
async function checkMemberships(scene: Scene): Promise<void> {
  const { observer, store, blobs } = scene
  const { definitionsOf } = createDefinitionsCache(blobs)
  for (let partition = 0; partition < partitionCount; partition++) {
    const { definitionsHash, evaluation, foldMs, members = {} } = await loadMeta(scene, partition)
    if (evaluation !== undefined) {
      const { after, pending } = evaluation
      observer.violate('segments', `${pending} of partition ${partition} stand behind ${after}`)
    }
    const { plan } = await definitionsOf(definitionsHash)
    const [computed] = await store.get(partition, ['part/computed'])
    const inForce = decodeInForce(computed)
    const counts = new Map<string, number>()
    for (const { value } of await store.scan(partition, 'person/', '', 10_000)) {
      const person = decodePerson(value)
      const [bytes] = await store.get(partition, [traitPrefix + person.key])
      const traits = JSON.parse(Buffer.from(bytes ?? '{}').toString()) as PersonTraits
      const facts = new Facts(viewPerson(person, traits, inForce))
      for (const { name, rule } of plan.segments) {
        const isIn = Object.hasOwn(person.memberships, name)
        if (isIn) counts.set(name, (counts.get(name) ?? 0) + 1)
        const { isMember } = evaluateRule(rule, facts, foldMs)
        const isHere = person.pointer === undefined && person.version > 0
        if (isIn === (isHere && isMember)) continue
        observer.violate('segments', `${person.key} is ${isIn ? '' : 'not '}in ${name}`)
      }
    }
    for (const name of new Set([...counts.keys(), ...Object.keys(members)])) {
      if (counts.get(name) === members[name]) continue
      observer.violate('segments', `partition ${partition} counts ${members[name]} in ${name}`)
    }
  }
}

function add(sums: Map<string, number>, key: string, name: string, count: number): void {
  const place = `${key}|${name}`
  sums.set(place, (sums.get(place) ?? 0) + count)
}

/** Each grant answers a claim that was made under the epoch in force at its place in the log. */
function checkGrants({ observer }: Scene, partitions: readonly NaivePartition[]): void {
  const claimed = new Set<string>()
  for (const { records } of partitions) {
    for (const { record, epochBefore } of records) {
      if (record.kind !== 'claim' || numberOf(record.skeleton, 'epoch') !== epochBefore) continue
      const attempt = numberOf(record.skeleton, 'attempt')
      claimed.add(`${textOf(record.skeleton, 'messageId')}|${attempt}|${epochBefore}`)
    }
  }
  for (const [grant, epoch] of observer.grants) {
    if (!claimed.has(`${grant}|${epoch}`)) {
      observer.violate('I6', `${grant} was granted without a claim of epoch ${epoch}`)
    }
  }
}
