/**
 * What the API shows of one person, for the route and for the fast path alike.
 *
 * The age is that of the oldest of all partitions that feed the profile: those of the person and of
 * every device claimed. It is null until each was confirmed once.
 */

import { type FoundPerson, findPerson, type StatePlace } from '../delivery/read-state.ts'
import { createTextRing, type KeptText } from '../lib/text-ring.ts'
import { timeText } from '../lib/time-text.ts'
import { partitionOf } from '../log/record.ts'
import { emptyPack } from '../profile/activity-pack.ts'
import { viewCart } from '../profile/cart.ts'
import { computedKey, decodeInForce } from '../profile/computed/computed-trait.ts'
import { viewHabits } from '../profile/habit/view-habits.ts'
import { externalKeyPattern, isDeviceKey, isUserKey } from '../profile/identity-key.ts'
import { decodePerson, type PersonTraits, personPrefix, traitPrefix } from '../profile/person.ts'
import type { Activity, PersonView } from '../profile/person-view.ts'
import { keysOf, shownKeys } from '../profile/ties.ts'
import { recentItems, settleTraits, viewPerson } from '../profile/view-person.ts'
import type { ApiDeps } from './api-deps.ts'
import { type ApiProblem, encodeProblem, problemHeaders } from './problem.ts'
import { showCartState, showHabits } from './shown-habits.ts'
import { showComputed, showTraits } from './shown-traits.ts'

export type ProfileDeps = Pick<ApiDeps, 'place' | 'clock' | 'freshness' | 'changes'>

export interface Answer {
  readonly status: number
  readonly headers: Record<string, string>
  readonly body: string
  /** Known without a look at the body: each of its characters is one byte. */
  readonly isAscii: boolean
}

export interface Age {
  /**
   * The instant that the shown data is known to include everything up to; null where nothing was
   * confirmed.
   */
  readonly asOf: string | null
  readonly ageMs: number | null
}

const recentCountMax = 10
const orderCountMax = 5
const idCharactersMax = 300

/**
 * Returns the identity key that an id in a URL names: `user:ID`, `anonymous:ID`, or a bare user id.
 */
export function parseProfileId(id: string): string | undefined {
  const isBare = !id.startsWith('user:') && !id.startsWith('anonymous:')
  const key = isBare ? `user:${id}` : id
  const isEmpty = key === 'user:' || key === 'anonymous:'
  return isEmpty || key.length > idCharactersMax ? undefined : key
}

/** Returns the key of an external id, as a profile shows it, that was taken for a bare user id. */
function externalKeyOf(key: string): string | undefined {
  const id = key.startsWith('user:') ? key.slice('user:'.length) : ''
  const isKey = externalKeyPattern.test(id) && !isUserKey(id) && !isDeviceKey(id)
  return isKey ? id : undefined
}

/** Answers a GET of a profile; 304 where the client has this version already. */
export type ProfileAnswers = (
  id: string,
  ifNoneMatch: string | undefined,
) => Answer | Promise<Answer>

/**
 * What tells of a profile that was made whether it is still the person's. The text beside it is its
 * JSON without the age, and so without the closing brace.
 */
interface Made {
  /** Where the board counts the person's changes; undefined where there is no board. */
  readonly place: number | undefined
  /** What the board said before the state was read. */
  readonly changeCount: number | undefined
  /**
   * The stored bytes that it was made from, where there is no board. They hold the version, which
   * rises with every change, also one of traits alone, in the same commit: the same bytes make the
   * same JSON.
   */
  readonly personBytes: Uint8Array
  /** The same of the computed traits in force: what the board said, else their bytes. */
  readonly computedCount: number | undefined
  readonly computedBytes: Uint8Array
  /** When a computed trait changes by time alone; Infinity where none does. */
  readonly untilMs: number
  readonly etag: string
  readonly partitions: readonly number[]
}

/** What one takes in the heap besides its bytes: itself, its tag, its key and their places. */
const madeHeadBytes = 400
/** A person that changes with every look is shown as last seen. */
const lookCountMax = 3

/**
 * Returns what answers for profiles, and keeps what it made within `keptBytesMax`. An answer is
 * never older than a commit that was answered before it was asked for: it reads the state each
 * time, unless the board of changes says that nothing has happened to the person.
 *
 * The board is looked at before the state and again behind the age: an age that was confirmed for a
 * newer state never stands beside an older one.
 */
export function createProfileAnswers(deps: ProfileDeps, keptBytesMax: number): ProfileAnswers {
  const { place, changes } = deps
  const kept = createTextRing<Made>(keptBytesMax)
  const computedPlace = changes?.placeOf(computedKey) ?? 0

  const isCurrent = ({ place, changeCount, computedCount, untilMs }: Made): boolean =>
    (changes === undefined ||
      (changeCount === changes.countAt(place ?? 0) &&
        computedCount === changes.countAt(computedPlace))) &&
    (untilMs === Infinity || deps.clock.nowMs() < untilMs)

  const makeAgain = async (
    key: string,
    known: KeptText<Made> | undefined,
  ): Promise<KeptText<Made> | undefined> => {
    const changePlace = changes?.placeOf(personPrefix + key)
    const changeCount = changes?.countAt(changePlace ?? 0)
    const computedCount = changes?.countAt(computedPlace)
    const partition = partitionOf(place.workspace, key, place.partitionCount)
    // Traits are shown only where the JSON is made; what was made before mostly needs one read.
    const keys = [personPrefix + key, computedKey, traitPrefix + key]
    const isLook = known !== undefined && changes === undefined
    const read = await place.state.get(partition, isLook ? keys.slice(0, 2) : keys)
    let [bytes, computed = emptyPack, traitBytes] = read
    if (bytes === undefined) return undefined
    if (isLook) {
      const { personBytes, computedBytes, untilMs } = known.head
      const isSame =
        Buffer.compare(personBytes, bytes) === 0 && Buffer.compare(computedBytes, computed) === 0
      if (isSame && deps.clock.nowMs() < untilMs) return known
      ;[bytes = bytes, computed = emptyPack, traitBytes] = await place.state.get(partition, keys)
    }
    const person = decodePerson(bytes)
    const inForce = decodeInForce(computed.length === 0 ? undefined : computed)
    const own = { partition, person, traits: decodeTraits(traitBytes), inForce }
    const found = person.pointer === undefined ? own : await findPerson(place, key)
    if (found === undefined) return undefined
    const personBytes = changes === undefined ? bytes : emptyPack
    const computedBytes = changes === undefined ? computed : emptyPack
    const { json, ...shown } = makeProfile(deps, key, found)
    const from = { changeCount, personBytes, computedCount, computedBytes }
    const head: Made = { place: changePlace, ...shown, ...from }
    // What a device points to changes without the device: it is made again each time.
    if (found === own) {
      kept.set(key, head, json, madeHeadBytes + personBytes.length + computedBytes.length)
    }
    return { head, isAscii: false, read: () => json }
  }

  const answerAgain = async (key: string, ifNoneMatch: string | undefined): Promise<Answer> => {
    for (let look = 1; ; look++) {
      const made = await makeAgain(key, kept.get(key))
      if (made === undefined) {
        // A bare user id may look like the key of an external id; the user comes first.
        const external = externalKeyOf(key)
        return external === undefined
          ? answerProblem(profileUnknown)
          : await answerAgain(external, ifNoneMatch)
      }
      const answer = answerMade(deps, made, ifNoneMatch)
      if (answer === undefined) continue
      if (isCurrent(made.head) || look >= lookCountMax) return answer
    }
  }

  return (id, ifNoneMatch) => {
    const key = parseProfileId(id)
    if (key === undefined) return answerProblem(profileIdProblem)
    const known = changes === undefined ? undefined : kept.get(key)
    if (known !== undefined) {
      const answer = answerMade(deps, known, ifNoneMatch)
      if (answer !== undefined && isCurrent(known.head)) return answer
    }
    return answerAgain(key, ifNoneMatch)
  }
}

function decodeTraits(bytes: Uint8Array | undefined): PersonTraits {
  return bytes === undefined ? {} : (JSON.parse(Buffer.from(bytes).toString()) as PersonTraits)
}

function makeProfile(
  { place, clock }: ProfileDeps,
  key: string,
  found: FoundPerson,
): Pick<Made, 'etag' | 'partitions' | 'untilMs'> & { readonly json: string } {
  const { person } = found
  // A device that became a user's counts in the user's versions from then on: they must not meet
  // its own.
  const own = person.key === key ? '' : 'u'
  const shown = showComputed(found, clock.nowMs())
  const etag = `"${own}${person.version}${shown.tag}"`
  const json = JSON.stringify(showProfile(found, shown.traits)).slice(0, -1)
  return { etag, json, partitions: partitionsOf(place, found), untilMs: shown.untilMs }
}

/** Answers nothing where what was kept was given up meanwhile. */
function answerMade(
  deps: ProfileDeps,
  made: KeptText<Made>,
  ifNoneMatch: string | undefined,
): Answer | undefined {
  const { etag, partitions } = made.head
  const age = ageOfPartitions(deps, partitions)
  const headers: Record<string, string> = { etag, 'cache-control': 'private, no-cache' }
  if (age.asOf !== null) headers['attune-as-of'] = age.asOf
  if (ifNoneMatch !== undefined && hasTag(ifNoneMatch, etag)) {
    return { status: 304, headers, body: '', isAscii: true }
  }
  const json = made.read()
  if (json === undefined) return undefined
  headers['content-type'] = 'application/json; charset=utf-8'
  const asOf = age.asOf === null ? 'null' : `"${age.asOf}"`
  const body = `${json},"asOf":${asOf},"ageMs":${age.ageMs}}`
  return { status: 200, headers, body, isAscii: made.isAscii }
}

export const profileIdProblem: ApiProblem = {
  status: 400,
  code: 'profile-id-invalid',
  detail: 'A profile id is user:ID, anonymous:ID or a bare user id, of at most 300 characters.',
}
export const profileUnknown: ApiProblem = {
  status: 404,
  code: 'profile-unknown',
  detail: 'Nothing is known of this person.',
}

export function answerProblem(problem: ApiProblem): Answer {
  const body = encodeProblem(problem)
  return { status: problem.status, headers: problemHeaders(problem), body, isAscii: false }
}

/** Returns how old what `found` shows may be. */
export function ageOf(deps: ProfileDeps, found: FoundPerson): Age {
  return ageOfPartitions(deps, partitionsOf(deps.place, found))
}

/** Returns the partitions whose records make up the profile. */
function partitionsOf(place: StatePlace, { partition, person }: FoundPerson): readonly number[] {
  const { workspace, partitionCount } = place
  const ofKeys = keysOf(person).map((key) => partitionOf(workspace, key, partitionCount))
  return [...new Set([partition, ...ofKeys])]
}

function ageOfPartitions({ freshness, clock }: ProfileDeps, partitions: readonly number[]): Age {
  let confirmedAtMs = Number.POSITIVE_INFINITY
  for (const partition of partitions) {
    confirmedAtMs = Math.min(confirmedAtMs, freshness.confirmedAtMs(partition))
  }
  if (confirmedAtMs === 0) return { asOf: null, ageMs: null }
  const ageMs = Math.max(0, Math.round(clock.nowMs() - confirmedAtMs))
  return { asOf: timeText(confirmedAtMs), ageMs }
}

/** Compares weakly, as RFC 9110 asks for If-None-Match. */
function hasTag(header: string, etag: string): boolean {
  if (header === etag || header === '*') return true
  return header.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag)
}

/** Returns the document of a profile, without its age. */
export function showProfile(
  { person, traits, inForce }: FoundPerson,
  computedTraits?: Record<string, unknown>,
): Record<string, unknown> {
  const view = viewPerson(person, traits)
  const cart = viewCart(view.activity)
  return {
    id: person.key,
    version: person.version,
    createdAt: timeText(person.createdAtMs),
    updatedAt: timeText(person.updatedAtMs),
    identities: shownKeys(person),
    refusedMerges: (person.refusals ?? []).map(({ key, reason, atMs }) => ({
      key,
      reason,
      at: timeText(atMs),
    })),
    traits: showTraits(settleTraits(person, traits, inForce)),
    ...(computedTraits === undefined ? {} : { computedTraits }),
    segments: Object.entries(person.memberships).map(([name, atMs]) => ({
      name,
      since: timeText(atMs),
    })),
    segmentChanges: (person.crossings ?? []).toReversed().map(([name, isEntry, atMs]) => ({
      name,
      change: isEntry === 1 ? 'entered' : 'left',
      at: timeText(atMs),
    })),
    cart: cart.lines.map(({ itemId, quantity, addedAtMs }) => ({
      itemId,
      quantity,
      addedAt: timeText(addedAtMs),
    })),
    cartState: showCartState(cart),
    ...showHabits(viewHabits(person.parts)),
    recentViews: recentItems(view.activity, 'Product Viewed', recentCountMax).map(
      ({ itemId, occurredAtMs }) => ({ itemId, at: timeText(occurredAtMs) }),
    ),
    purchases: lastOrders(view.activity),
    totals: showTotals(view.totals),
    enrollments: Object.values(person.enrollments).map((one) => ({
      enrollmentId: one.enrollmentId,
      campaign: one.campaign,
      step: one.step,
      startedAt: timeText(one.startedAtMs),
      dueAt: timeText(one.dueAtMs),
      trigger: one.trigger,
    })),
    openMessages: Object.keys(person.openMessages),
    withdrawn: Object.keys(person.withdrawn),
  }
}

function showTotals(totals: PersonView['totals']): Record<string, unknown> {
  const shown: Record<string, unknown> = {}
  for (const [name, { count, valueSum, firstAtMs, lastAtMs }] of Object.entries(totals)) {
    shown[name] = {
      count,
      value: valueSum,
      firstAt: timeText(firstAtMs),
      lastAt: timeText(lastAtMs),
    }
  }
  return shown
}

interface ShownOrder {
  readonly at: string
  value: number
  readonly lines: Record<string, unknown>[]
}

/** Returns the newest orders, newest first; the lines of one order come from one event. */
function lastOrders(activity: readonly Activity[]): readonly ShownOrder[] {
  const orders = new Map<string, ShownOrder>()
  for (let index = activity.length - 1; index >= 0; index--) {
    const entry = activity[index]
    if (entry?.name !== 'Order Completed') continue
    const { occurredAtMs, eventRef, itemId, quantity, value } = entry
    const name = `${occurredAtMs}/${eventRef}`
    let order = orders.get(name)
    if (order === undefined) {
      if (orders.size === orderCountMax) break
      order = { at: timeText(occurredAtMs), value: 0, lines: [] }
      orders.set(name, order)
    }
    order.value = Math.round((order.value + (value ?? 0)) * 100) / 100
    if (itemId !== undefined) order.lines.unshift({ itemId, quantity: quantity ?? 1, value })
  }
  return [...orders.values()]
}
