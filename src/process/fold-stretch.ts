/**
 * Folds the steps between two checkpoints of a person again, with the fold's own code, in a view
 * that is thrown away. Reads the log, and of the state only what is named here.
 *
 * Computed traits are not counted again, since what was filled in is of no step. So nothing can be
 * told of versions in which a segment saw one; nothing else depends on them.
 *
 * A claim or a result reaches the person by one thing alone, its open message, so no message has to
 * be known for it.
 */

import { messagePrefix, type OutcomeSkeleton } from '../campaign/message.ts'
import { assert } from '../lib/assert.ts'
import { OperatingError } from '../lib/errors.ts'
import type { EventLog } from '../log/event-log.ts'
import type { LogRecord } from '../log/record.ts'
import { emptyPack } from '../profile/activity-pack.ts'
import {
  type ComputedInForce,
  type NamedProperty,
  nothingComputed,
} from '../profile/computed/computed-trait.ts'
import type { Person, PersonTraits } from '../profile/person.ts'
import type { PlacedStep } from '../profile/step-pack.ts'
import type { StateReader } from '../state/state-store.ts'
import { planComputed } from './computed-stage.ts'
import { type CompiledDefinitions, noDefinitions } from './definitions.ts'
import { evaluateOne } from './evaluate-people.ts'
import { createFillState } from './fill-state.ts'
import { type FoldSources, fireTimer, foldRecord, readLists } from './fold.ts'
import { takeValuesOf } from './fold-filled.ts'
import { closeMessage } from './fold-message.ts'
import { foldRulesVersion } from './fold-rules.ts'
import type { Aside } from './history.ts'
import type { InForce, InForceReader } from './in-force.ts'
import { createMeta, decodeJson } from './meta.ts'
import { PartitionView } from './partition-view.ts'
import { seesComputed } from './plan-segments.ts'
import {
  definitionsKey,
  type FoldScope,
  keysOfPerson,
  messageCodec,
  personCodec,
  readPerson,
  readTraits,
} from './scope.ts'

export interface RefoldDeps extends FoldSources {
  readonly log: EventLog
  readonly state: StateReader
}

export interface RefoldPlace {
  readonly workspace: string
  readonly partitionCount: number
  readonly partition: number
  readonly personKey: string
}

/** What made a version. */
export interface Cause {
  /** Kind of the record; `timer` where time alone did. */
  readonly kind: string
  /** Of an event its name, of a timer what it was set for. */
  readonly name?: string
  /** Of the record, and of the one before which the timer fired. */
  readonly offset: number
}

export interface PastVersion {
  readonly version: number
  readonly atMs: number
  readonly cause: Cause
  readonly person: Person
  readonly traits: PersonTraits
  /** Whose word counted then; without computed traits, which are not known of the past. */
  readonly inForce: ComputedInForce
  /** Computed traits were in force, and are left out. */
  readonly lacksComputed: boolean
}

/** Steps from one checkpoint to the next, or to now. */
export interface Stretch {
  /** Version before the first step. */
  readonly start: number
  readonly end: number
  readonly before: Aside | undefined
  readonly steps: readonly PlacedStep[]
}

/**
 * Folds the steps of a stretch up to a version; answers with all of them, or those before the first
 * in which a segment saw a computed trait.
 */
export async function foldStretch(
  deps: RefoldDeps & { readonly inForce: InForceReader },
  place: RefoldPlace,
  stretch: Stretch,
  last: number,
): Promise<readonly PastVersion[]> {
  const { personKey, partition } = place
  const reader = new StretchReader(deps.state, place, stretch.before)
  const scope = createScope(place, new PartitionView(reader, partition))
  const versions: PastVersion[] = []
  let cause: Cause | undefined
  let definitionsVersion = -1
  let inForce: InForce | undefined
  for (const [index, step] of stretch.steps.slice(0, last - stretch.start).entries()) {
    const found = await deps.inForce.at(step.offset)
    assert(found !== undefined, 'what was in force at the first step of a stretch is known')
    const isSame = found === inForce && step.definitionsVersion === definitionsVersion
    inForce = found
    if (step.definitionsVersion !== definitionsVersion) {
      definitionsVersion = step.definitionsVersion
      scope.definitions = await loadDefinitions(deps, partition, definitionsVersion)
      if (seesComputed(scope.definitions)) return versions
      scope.meta.definitionsVersion = definitionsVersion
      scope.meta.definitionsHash = scope.definitions.hash
    }
    if (!isSame) {
      const read = inForceOf(scope.definitions, definitionsVersion, found.filling)
      scope.computed = { inForce: read, plan: planComputed(scope.definitions, read) }
      beginAgain(scope, found)
      scope.lists = await readLists(scope.definitions.plan.lists, found.lists, deps)
    }
    if (!step.isAgain) cause = await foldStep({ deps, place, scope, reader }, step)
    assert(cause !== undefined, 'a step comes before its repeat')
    const person = readPerson(scope, personKey)
    const version = stretch.start + index + 1
    // One step may make several versions: all of them show what it came to.
    const isWhole = stretch.steps[index + 1]?.isAgain !== true
    if (isWhole && person.version !== version) {
      const says = `fold version ${version} of a person in partition ${partition} again`
      throw new OperatingError('STORE_CORRUPT', `${says}: it came to ${person.version}`)
    }
    // A timer that came early made no version, so where they stood is not known.
    const kept = { ...person, version, segmentTimers: {} }
    const copy = personCodec.decode(personCodec.encode(kept))
    const traits = structuredClone(readTraits(scope, personKey))
    const lacksComputed = scope.definitions.computed.length > 0
    const known = { person: copy, traits, inForce: scope.computed.inForce, lacksComputed }
    versions.push({ version, atMs: step.atMs, cause, ...known })
  }
  return versions
}

/**
 * Puts segments to be pending that were. Whom new rules had not reached is not known, and need not
 * be: who is brought up to them twice is as they were.
 */
function beginAgain({ meta }: FoldScope, { pending }: InForce): void {
  delete meta.evaluation
  if (pending.length === 0) return
  meta.evaluation = { number: 0, pending, after: '', doneCount: 0, startedAtMs: 0 }
}

interface Folding {
  readonly deps: RefoldDeps
  readonly place: RefoldPlace
  readonly scope: FoldScope
  readonly reader: StretchReader
}

async function foldStep(folding: Folding, step: PlacedStep): Promise<Cause> {
  const { deps, place, scope, reader } = folding
  const { offset, atMs } = step
  scope.offset = offset
  scope.nowMs = atMs
  scope.meta.foldMs = atMs
  scope.effects = []
  await scope.view.load(keysOfPerson(place.personKey))
  if (step.kind === 'timer') {
    await fireTimer(scope, place.personKey, step.what)
    return { kind: 'timer', name: step.what, offset }
  }
  const [record] = await deps.log.read(place.partition, offset - 1, 1)
  assert(record?.offset === offset, 'the log holds the record of a step')
  const person = readPerson(scope, place.personKey)
  // A record that made a version was no repeat, whatever was seen before.
  person.seen = emptyPack
  if (record.kind === 'claim' || record.kind === 'result') {
    closeMessage(scope, person, record.skeleton as { readonly messageId: string })
    return causeOf(record)
  }
  if (record.kind === 'continue') {
    evaluateOne(scope, person)
    return causeOf(record)
  }
  if (record.kind === 'filled') {
    takeValuesOf(scope, record, place.personKey)
    return causeOf(record)
  }
  if (record.kind === 'outcome') {
    await reader.showMessage((record.skeleton as OutcomeSkeleton).messageId)
  }
  if (record.outbox !== undefined) {
    const { source, previousOffset, previousIndex } = record.outbox
    scope.meta.received[source] = [previousOffset, previousIndex]
  }
  await foldRecord(scope, record, deps)
  return causeOf(record)
}

export function causeOf({ kind, skeleton, offset, body }: LogRecord): Cause {
  const named = skeleton as { readonly name?: unknown; readonly outcome?: unknown } | null
  const inBody = kind === 'event' || kind === 'forwarded'
  const found = named?.name ?? named?.outcome ?? (inBody ? nameOf(body) : undefined)
  return { kind, offset, ...(typeof found === 'string' ? { name: found } : {}) }
}

function nameOf(body: Uint8Array): unknown {
  return decodeJson<{ readonly name?: string }>(body).name
}

/** Returns what a person is read by at a checkpoint. */
export async function loadInForce(
  deps: RefoldDeps,
  partition: number,
  definitionsVersion: number,
): Promise<ComputedInForce> {
  const definitions = await loadDefinitions(deps, partition, definitionsVersion)
  return inForceOf(definitions, definitionsVersion)
}

function inForceOf(
  { traitPriorities }: CompiledDefinitions,
  version: number,
  filling: readonly NamedProperty[] = [],
): ComputedInForce {
  const properties = filling.map(([event, property]) => ({
    event,
    property,
    sinceVersion: version,
  }))
  return { version, traits: [], properties, priorities: Object.fromEntries(traitPriorities) }
}

async function loadDefinitions(
  { state, definitionsOf }: RefoldDeps,
  partition: number,
  version: number,
): Promise<FoldScope['definitions']> {
  const [bytes] = await state.get(partition, [definitionsKey(version)])
  return bytes === undefined ? noDefinitions() : await definitionsOf(decodeJson<string>(bytes))
}

function createScope(place: RefoldPlace, view: PartitionView): FoldScope {
  const { workspace, partitionCount } = place
  const definitions = noDefinitions()
  return {
    ...{ workspace, partitionCount, view },
    meta: createMeta(foldRulesVersion),
    definitions,
    computed: { inForce: nothingComputed, plan: planComputed(definitions, nothingComputed) },
    fills: createFillState(),
    lists: new Map(),
    ...{ offset: 0, nowMs: 0, effects: [], noted: new Map() },
  }
}

/** What a stretch may read: the person at its checkpoint, and the message of an outcome. */
class StretchReader implements StateReader {
  readonly #state: StateReader
  readonly #partition: number
  readonly #values = new Map<string, Uint8Array>()

  constructor(state: StateReader, place: RefoldPlace, before: Aside | undefined) {
    this.#state = state
    this.#partition = place.partition
    keysOfPerson(place.personKey).forEach((key, index) => {
      const value = before?.values[index]
      if (value !== undefined) this.#values.set(key, value)
    })
  }

  /** Lets the fold see a message as it was before its outcomes. */
  async showMessage(messageId: string): Promise<void> {
    const key = messagePrefix + messageId
    const [bytes] = await this.#state.get(this.#partition, [key])
    if (bytes === undefined) return
    this.#values.set(key, messageCodec.encode({ ...messageCodec.decode(bytes), outcomes: {} }))
  }

  head(partition: number): ReturnType<StateReader['head']> {
    return this.#state.head(partition)
  }

  async get(_partition: number, keys: readonly string[]) {
    return keys.map((key) => this.#values.get(key))
  }

  async scan() {
    return []
  }
}
