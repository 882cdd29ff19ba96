/**
 * Versions of a person in the past: finds the checkpoint before them and what lies aside behind it,
 * and folds that again.
 *
 * It reads the committed state and the log, and writes nothing. Limits: at most
 * `checkpointStepCount` steps are read and folded for an answer. A person's partition knows what it
 * saw: before a device was merged, its past is its own.
 */

import { assert } from '../lib/assert.ts'
import { OperatingError } from '../lib/errors.ts'
import { emptyPack } from '../profile/activity-pack.ts'
import type { Person } from '../profile/person.ts'
import {
  countSteps,
  decodeSteps,
  type PlacedStep,
  readCheckpointVersion,
  readStepsEnd,
  type StepsEnd,
} from '../profile/step-pack.ts'
import {
  foldStretch,
  loadInForce,
  type PastVersion,
  type RefoldDeps,
  type RefoldPlace,
  type Stretch,
} from './fold-stretch.ts'
import { type Aside, checkpointStepCount, decodeAside } from './history.ts'
import { InForceReader } from './in-force.ts'
import { metaKey } from './meta.ts'
import {
  historyKey,
  historyPrefix,
  keysOfPerson,
  metaCodec,
  personCodec,
  traitsCodec,
} from './scope.ts'

/** Why a version cannot be told. */
export const pastRefusals = {
  off: 'Versions are not kept: history.retentionDays is 0.',
  unknown: 'There is no such version yet.',
  before: 'Nothing was known of this person then.',
  expired: 'Versions from so long ago are not kept; see history.retentionDays.',
  trimmed: 'The log was trimmed: the records that made this version are gone.',
  segments: 'Rules or lists of people have changed too often since: what held then is not known.',
  computed: 'A segment saw a computed trait in this version; what was counted then is not kept.',
  rules: 'This version was made by an older version of the fold, which this program cannot run.',
} as const
export type PastRefusal = keyof typeof pastRefusals

export type PastAnswer<Found> =
  | { readonly kind: 'found'; readonly found: Found }
  | { readonly kind: 'refused'; readonly reason: PastRefusal }

/** What lies aside between two checkpoints, both included. */
const asideReadCount = 2 + checkpointStepCount

/** The state of a person as it is now, from which all looks into the past begin. */
export interface PersonNow {
  readonly person: Person
  /** Version of the rules in force, and the offset from which they count. */
  readonly rules: readonly [version: number, from: number]
}

/** Returns the person as it is; undefined where nothing is known of the key in its partition. */
export async function loadNow(
  { state }: Pick<RefoldDeps, 'state'>,
  { partition, personKey }: RefoldPlace,
): Promise<PersonNow | undefined> {
  const [key = ''] = keysOfPerson(personKey)
  const [bytes, meta] = await state.get(partition, [key, metaKey])
  if (bytes === undefined || meta === undefined) return undefined
  return { person: personCodec.decode(bytes), rules: metaCodec.decode(meta).rules }
}

/** Returns the version that was the newest at an instant of fold time. */
export async function findVersionAt(
  deps: Pick<RefoldDeps, 'state'>,
  place: RefoldPlace,
  atMs: number,
): Promise<PastAnswer<number>> {
  return await findLastBefore(deps, place, (step) => step.atMs > atMs)
}

/** Returns the versions that the record at an offset made, with their time; none for no change. */
export async function findVersionsOf(
  deps: Pick<RefoldDeps, 'state'>,
  place: RefoldPlace,
  offset: number,
): Promise<PastAnswer<readonly { readonly version: number; readonly atMs: number }[]>> {
  const now = await loadNow(deps, place)
  if (now === undefined) return { kind: 'found', found: [] }
  const { person } = now
  if (person.steps.length === 0) return refuse('off')
  const isOf = (step: PlacedStep): boolean => step.kind === 'record' && step.offset === offset
  const last = await findLastBefore(deps, place, (step) => step.offset > offset)
  if (last.kind === 'refused') {
    return last.reason === 'before' ? { kind: 'found', found: [] } : last
  }
  const stretch = await loadStretch(deps, place, person, last.found)
  if (typeof stretch === 'string') return refuse(stretch)
  const found = stretch.steps.flatMap((step, index) =>
    isOf(step) ? [{ version: stretch.start + index + 1, atMs: step.atMs }] : [],
  )
  return { kind: 'found', found }
}

/** Returns the last version before the first one whose step is later. */
async function findLastBefore(
  deps: Pick<RefoldDeps, 'state'>,
  place: RefoldPlace,
  isLater: (step: PlacedStep) => boolean,
): Promise<PastAnswer<number>> {
  const now = await loadNow(deps, place)
  if (now === undefined) return refuse('before')
  const oldest = await findOldest(deps, place)
  if (oldest.kind === 'refused') return oldest
  // Halves what is left for the first version that came later, a stretch at a time.
  let low = oldest.found
  let high = now.person.version + 1
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    const stretch = await loadStretch(deps, place, now.person, middle)
    if (typeof stretch === 'string') return refuse(stretch)
    const { steps, start, end } = stretch
    const later = steps.findIndex(isLater)
    if (later > 0) return { kind: 'found', found: start + later }
    if (later === 0) high = Math.max(low, start + 1)
    else low = Math.min(high, end + 1)
    if (later === 0 && start + 1 <= low) break
  }
  if (low > oldest.found) return { kind: 'found', found: low - 1 }
  return refuse(oldest.found === 1 ? 'before' : 'expired')
}

export interface SomeVersions {
  /** As it was at `after`; absent where that is 0. */
  readonly before?: Pick<PastVersion, 'person' | 'traits' | 'inForce'>
  readonly versions: readonly PastVersion[]
  /** The person's version now. */
  readonly newest: number
}

/** Returns versions behind `after`, oldest first, at most `countMax`, of one stretch. */
export async function foldVersions(
  deps: RefoldDeps,
  place: RefoldPlace,
  wish: { readonly after: number; readonly countMax: number },
): Promise<PastAnswer<SomeVersions>> {
  const now = await loadNow(deps, place)
  if (now === undefined) return refuse('before')
  const { person, rules } = now
  const newest = person.version
  if (wish.after >= newest) return { kind: 'found', found: { versions: [], newest } }
  if (person.steps.length === 0) return refuse('off')
  const stretch = await loadStretch(deps, place, person, wish.after + 1)
  if (typeof stretch === 'string') return refuse(stretch)
  const last = Math.min(stretch.end, wish.after + wish.countMax)
  if ((stretch.steps[0]?.offset ?? 0) <= rules[1] && rules[1] > 0) return refuse('rules')
  const inForce = new InForceReader(deps.state, place.partition)
  const isKnown = (await inForce.at(stretch.steps[0]?.offset ?? 0)) !== undefined
  if (!isKnown) return refuse('segments')
  try {
    const all = await foldStretch({ ...deps, inForce }, place, stretch, last)
    const versions = all.filter(({ version }) => version > wish.after)
    if (versions.length === 0) return refuse('computed')
    const before =
      all.find(({ version }) => version === wish.after) ??
      (await loadBefore(deps, place.partition, stretch))
    return { kind: 'found', found: { versions, newest, ...(before ? { before } : {}) } }
  } catch (error) {
    const isTrimmed = error instanceof OperatingError && error.code === 'LOG_OFFSET_LOST'
    if (isTrimmed) return refuse('trimmed')
    throw error
  }
}

/** Returns one version. */
export async function foldVersion(
  deps: RefoldDeps,
  place: RefoldPlace,
  version: number,
): Promise<PastAnswer<PastVersion>> {
  if (version < 1) return refuse('unknown')
  const answer = await foldVersions(deps, place, { after: version - 1, countMax: 1 })
  if (answer.kind === 'refused') return answer
  const [found] = answer.found.versions
  return found === undefined ? refuse('unknown') : { kind: 'found', found }
}

/** Returns the least version that can be told. */
export async function findOldest(
  deps: Pick<RefoldDeps, 'state'>,
  place: RefoldPlace,
): Promise<PastAnswer<number>> {
  const now = await loadNow(deps, place)
  if (now === undefined) return refuse('before')
  const { person } = now
  if (person.steps.length === 0) return refuse('off')
  const [first] = await deps.state.scan(place.partition, prefixOf(place), '', 1)
  if (first === undefined) return { kind: 'found', found: 1 }
  const end = versionOf(place, first.key)
  const { steps, values } = decodeAside(first.value)
  const isFromFirst = readCheckpointVersion(steps) === 0 && countSteps(steps) === end
  // A checkpoint without the one before it: only what comes behind can be folded.
  assert(isFromFirst || values.length > 0, 'what lies aside begins with a checkpoint')
  return { kind: 'found', found: isFromFirst ? 1 : end + 1 }
}

async function loadStretch(
  { state }: Pick<RefoldDeps, 'state'>,
  place: RefoldPlace,
  person: Person,
  version: number,
): Promise<Stretch | PastRefusal> {
  if (version > person.version) return 'unknown'
  const { partition, personKey } = place
  const [first] = await state.scan(
    partition,
    prefixOf(place),
    historyKey(personKey, version - 1),
    1,
  )
  const head = first === undefined ? person.steps : decodeAside(first.value).steps
  const start = readCheckpointVersion(head)
  if (version <= start) return 'expired'
  const after = start === 0 ? '' : historyKey(personKey, start - 1)
  const entries = await state.scan(partition, prefixOf(place), after, asideReadCount)
  const steps: PlacedStep[] = []
  let before: Aside | undefined
  let end = start
  for (const { key, value } of entries) {
    const aside = decodeAside(value)
    const at = versionOf(place, key)
    if (at === start) {
      before = aside
      continue
    }
    steps.push(...decodeSteps(aside.steps, endOf(before, steps)))
    end = at
    if (aside.values.length > 0) break
  }
  if (start > 0 && before === undefined) return 'expired'
  // What is not put aside yet, unless it belongs behind the next checkpoint.
  if (readCheckpointVersion(person.steps) === start && person.version > end) {
    steps.push(...decodeSteps(person.steps, endOf(before, steps)))
    end = person.version
  }
  // The oldest may lack what made it, where versions are kept from there on.
  return steps.length === end - start ? { start, end, before, steps } : 'expired'
}

async function loadBefore(
  deps: RefoldDeps,
  partition: number,
  { before }: Stretch,
): Promise<SomeVersions['before']> {
  const [personBytes, traitBytes] = before?.values ?? []
  if (before === undefined || personBytes === undefined) return undefined
  const traits = traitBytes === undefined ? {} : traitsCodec.decode(traitBytes)
  const { definitionsVersion } = readStepsEnd(before.steps)
  const inForce = await loadInForce(deps, partition, definitionsVersion)
  return { person: personCodec.decode(personBytes), traits, inForce }
}

/** Returns where the next pack begins. */
function endOf(before: Aside | undefined, steps: readonly PlacedStep[]): StepsEnd {
  return steps.at(-1) ?? readStepsEnd(before?.steps ?? emptyPack)
}

function prefixOf({ personKey }: RefoldPlace): string {
  return `${historyPrefix}${personKey}\0`
}

function versionOf(place: RefoldPlace, key: string): number {
  return Number.parseInt(key.slice(prefixOf(place).length), 16)
}

function refuse(reason: PastRefusal): { readonly kind: 'refused'; readonly reason: PastRefusal } {
  return { kind: 'refused', reason }
}
