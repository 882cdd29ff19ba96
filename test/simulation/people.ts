/** The histories of all people of a seed, as the calls their trackers will make. */

import type { JsonObject } from '../../src/lib/json.ts'
import type { Random } from '../../src/lib/random.ts'
import type { Feature } from './drawn-world.ts'
import {
  dayMs,
  hourMs,
  lengthMs,
  minuteMs,
  personCount,
  secondMs,
  startMs,
} from './world-definitions.ts'

export interface PlannedCall {
  /** When it is sent. */
  readonly atMs: number
  /** As on the wire. */
  readonly body: JsonObject
  readonly isBackfill: boolean
  readonly isValid: boolean
  readonly isRepeat: boolean
  /** Set where the tracker sends it a second time, long after. */
  readonly sendAgainAfterMs: number | undefined
}

const itemCount = 20
const knownShare = 0.75
/** Sessions of people who read what they look at. */
const slowShare = 0.2
const sharedDeviceShare = 0.15
const secondShare = 0.3
const joinShare = 0.15
/** Sessions without a user behind which somebody logs in. */
const loginShare = 0.5
const loginMsMax = 6 * hourMs
const againMsMax = 5 * dayMs
const visitGapMs = 2 * minuteMs

interface Person {
  readonly index: number
  readonly userId: string | undefined
  /** A second account, joined to the first one some day by one of three ways, or never. */
  readonly secondId: string | undefined
  readonly devices: readonly string[]
  /** From this session on the tracker knows the user. */
  readonly identifiedFrom: number
}

/**
 * Returns one list of calls per person, in order of time. With those that are sent again they are
 * at least `eventCountMin`.
 */
export function planPeople(
  random: Random,
  eventCountMin: number,
  features: ReadonlySet<Feature>,
): readonly (readonly PlannedCall[])[] {
  const accountShare = features.has('second accounts') ? secondShare : 0
  const [viewCountMin, viewCountMax] = features.has('long visits') ? [6, 17] : [3, 9]
  const people = Array.from({ length: personCount }, (_, index) =>
    makePerson(random, index, accountShare),
  )
  const calls: PlannedCall[][] = people.map(() => [])
  let count = 0
  for (let session = 0; count < eventCountMin; session++) {
    for (const person of people) {
      if (count >= eventCountMin) break
      const viewCount = viewCountMin + Math.floor(random.unit() * (viewCountMax - viewCountMin + 1))
      const made = makeSession(random, person, { session, viewCount })
      calls[person.index]?.push(...made)
      count += made.length + made.filter(isSentAgain).length
    }
  }
  return calls.map((list) => list.sort((left, right) => left.atMs - right.atMs))
}

function isSentAgain({ sendAgainAfterMs }: PlannedCall): boolean {
  return sendAgainAfterMs !== undefined
}

/** Returns the calls that a tracker sends together, where it waits for the end of a visit. */
export function groupVisits(calls: readonly PlannedCall[]): readonly (readonly PlannedCall[])[] {
  const visits: PlannedCall[][] = []
  for (const call of calls) {
    const visit = visits.at(-1)
    const last = visit?.at(-1)
    const isSame =
      last !== undefined &&
      call.atMs - last.atMs < visitGapMs &&
      call.isBackfill === last.isBackfill
    if (isSame) visit?.push(call)
    else visits.push([call])
  }
  return visits
}

function makePerson(random: Random, index: number, accountShare: number): Person {
  const deviceCount = 1 + Math.floor(random.unit() * 3)
  const own = Array.from({ length: deviceCount }, (_, at) => `d${index}-${at}`)
  const neighbour = `d${Math.floor(random.unit() * personCount)}-0`
  const devices = random.unit() < sharedDeviceShare ? [...own, neighbour] : own
  const userId = random.unit() < knownShare ? `u${index}` : undefined
  const secondId = userId !== undefined && random.unit() < accountShare ? `a${index}` : undefined
  return { index, userId, secondId, devices, identifiedFrom: Math.floor(random.unit() * 4) }
}

function makeSession(
  random: Random,
  person: Person,
  { session, viewCount }: { readonly session: number; readonly viewCount: number },
): readonly PlannedCall[] {
  const device = pick(random, person.devices)
  const isKnown = person.userId !== undefined && session >= person.identifiedFrom
  // Sometimes the tracker has forgotten the user, and sometimes a server sends without any device.
  const hasUser = isKnown && random.unit() < 0.85
  const hasDevice = !hasUser || random.unit() < 0.9
  const ids: JsonObject = {
    ...(hasDevice ? { anonymousId: device } : {}),
    ...(hasUser ? { userId: person.userId ?? '' } : {}),
  }
  let atMs = startMs + hourMs + (lengthMs - dayMs) * random.unit()
  const bodies: JsonObject[] = []
  if (session % 3 === 0 || random.unit() < 0.2) bodies.push(identify(random, person, session))
  for (let made = 0; made < viewCount; made++) bodies.push(product(random, 'Product Viewed'))
  const draw = random.unit()
  if (draw < 0.45) bodies.push(product(random, 'Product Added'))
  if (draw < 0.2) bodies.push(order(random))
  if (random.unit() < 0.01) bodies.push(track('Unsubscribed', { topic: pick(random, topics) }))
  const login = hasUser ? undefined : logIn(random, person, device)
  const join = hasUser && random.unit() < joinShare ? joinAccounts(random, person) : undefined
  if (join !== undefined) bodies.push(join)
  const gapMsMax = random.unit() < slowShare ? 90 * secondMs : 5 * secondMs
  const calls = bodies.map((body, index) => {
    atMs += 100 + gapMsMax * random.unit()
    return callOf(random, { ...body, ...ids, ...idsOf(body) }, nameOf(person, session, index), atMs)
  })
  if (login === undefined) return calls
  atMs += loginMsMax * random.unit()
  return [...calls, callOf(random, login, nameOf(person, session, bodies.length), atMs)]
}

function nameOf({ index }: Person, session: number, at: number): string {
  return `${index}-${session}-${at}`
}

/** The user of a call, where it is another one than that of its session. */
function idsOf(body: JsonObject): JsonObject {
  return body['userId'] === undefined ? {} : { userId: body['userId'] }
}

/** What was looked at and put into the cart before is theirs then. */
function logIn(random: Random, { index, userId }: Person, device: string): JsonObject | undefined {
  if (userId === undefined || random.unit() > loginShare) return undefined
  const traits = random.unit() < 0.5 ? { email: `p${index}@mail.example` } : {}
  return { type: 'identify', anonymousId: device, userId, traits }
}

function joinAccounts(random: Random, person: Person): JsonObject | undefined {
  const { index, userId, secondId, devices } = person
  if (userId === undefined || secondId === undefined) return undefined
  const draw = random.unit()
  const crm = { context: { externalIds: [{ type: 'crm_id', id: `c${index}` }] } }
  if (draw < 0.3) return { type: 'alias', userId, previousId: secondId }
  if (draw < 0.4) return { type: 'alias', userId, previousId: pick(random, devices) }
  if (draw < 0.5) return { type: 'alias', userId: secondId, previousId: userId }
  if (draw < 0.7) return { ...track('Product Viewed', {}), ...crm }
  if (draw < 0.85)
    return { ...track('Product Added', { product_id: 'i1' }), userId: secondId, ...crm }
  return { ...identify(random, person, 0), userId: secondId }
}

const topics = ['orders', 'reminders', 'news', '*']

/** Adds what trackers get wrong: late, early, sent twice, broken, sent as history. */
function callOf(random: Random, body: JsonObject, eventId: string, atMs: number): PlannedCall {
  const draw = random.unit()
  const lateMs = draw < 0.03 ? 48 * hourMs * random.unit() : 0
  const earlyMs = draw > 0.98 ? 20 * minuteMs * random.unit() : 0
  const occurredAtMs = Math.floor(atMs - lateMs + earlyMs - 200)
  const isValid = random.unit() > 0.01
  const kept: JsonObject = isValid ? body : { type: 'track', event: '' }
  return {
    atMs,
    body: { ...kept, messageId: `e-${eventId}`, timestamp: occurredAtMs },
    isBackfill: random.unit() < 0.02,
    isValid,
    isRepeat: false,
    sendAgainAfterMs: random.unit() < 0.04 ? againMsMax * random.unit() ** 3 : undefined,
  }
}

function identify(random: Random, person: Person, session: number): JsonObject {
  // Two in a hundred have no address, or one that cannot be used.
  const draw = random.unit()
  const email = draw < 0.01 ? 'not an address' : `p${person.index}@mail.example`
  const traits: JsonObject = {
    name: `P${person.index}`,
    plan: session % 2 === 0 ? 'free' : 'pro',
    ...(draw > 0.99 ? {} : { email }),
  }
  return { type: 'identify', traits }
}

function product(random: Random, event: string): JsonObject {
  const item = Math.floor(random.unit() * itemCount)
  return track(event, { product_id: `i${item}`, price: 5 + item, quantity: 1 })
}

function order(random: Random): JsonObject {
  const item = Math.floor(random.unit() * itemCount)
  const products: JsonObject[] = [{ product_id: `i${item}`, price: 5 + item, quantity: 2 }]
  return track('Order Completed', { order_id: `o${Math.floor(random.unit() * 1e9)}`, products })
}

function track(event: string, properties: JsonObject): JsonObject {
  return { type: 'track', event, properties }
}

function pick<Value>(random: Random, values: readonly Value[]): Value {
  return values[Math.floor(random.unit() * values.length)] as Value
}
