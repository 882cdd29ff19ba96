/**
 * Turns what a producer sent, already read as JSON, into an event, or says why not.
 *
 * Takes the six calls of Segment's HTTP tracking API. Pure: time and made ids are given. Never
 * throws for bad input. What it returns holds only values that passed `findLimitFault`, so it can
 * be copied and written safely.
 */

import { isJsonObject, type JsonObject } from '../lib/json.ts'
import { type Event, type EventType, eventTypes } from './event.ts'
import { type EventLimits, findLimitFault, limitReasons } from './event-limits.ts'
import { parseTimeMs, readEventTime } from './event-time.ts'
import { hasControlOrBreak, readId } from './identity-field.ts'
import { type EventChange, toNormalForm } from './normal-form.ts'

export const eventRefusalReasons = [
  ...limitReasons,
  'not-an-object',
  'type-unknown',
  'field-type-wrong',
  'event-name-missing',
  'event-name-invalid',
  'id-missing',
  'id-invalid',
  'event-id-invalid',
  'group-id-missing',
  'alias-invalid',
] as const
export type EventRefusalReason = (typeof eventRefusalReasons)[number]

export interface EventRefusal {
  readonly kind: 'refused'
  readonly reason: EventRefusalReason
  /** JSON pointer into the event as it was sent; '' is the whole. */
  readonly path: string
  /** For the producer's developer. Names no value of the event. */
  readonly says: string
}

export type ParsedEvent = { readonly kind: 'event'; readonly event: Event } | EventRefusal

export interface ParseEventDeps {
  readonly sourceId: string
  readonly receivedAtMs: number
  /** When the request left, by the producer's clock. */
  readonly sentAtMs?: number | undefined
  /** The type that the path of the request names; it wins over the body's. */
  readonly type?: EventType | undefined
  /** The context of the whole batch; must have passed `findLimitFault`. */
  readonly batchContext?: JsonObject | undefined
  /** Put into the context where the source keeps addresses and the producer gave none. */
  readonly clientIp?: string | undefined
  /** False where the event was read from JSON without a backslash, see `findLimitFault`. */
  readonly hasEscapes?: boolean | undefined
  readonly makeEventId: () => string
  readonly limits: EventLimits
}

const eventNameLengthMax = 200
const eventIdLengthMax = 100

const knownTypes: ReadonlySet<unknown> = new Set(eventTypes)

type Draft = { -readonly [Name in keyof Event]: Event[Name] }

export function parseEvent(input: unknown, deps: ParseEventDeps): ParsedEvent {
  if (!isJsonObject(input)) return refuse('not-an-object', '', 'An event is a JSON object.')
  const fault = findLimitFault(input, deps.limits, deps.hasEscapes)
  if (fault !== undefined) return refuse(fault.reason, pointerOf(fault.path), fault.says)
  const type = deps.type ?? input.type
  if (!isEventType(type)) {
    return refuse('type-unknown', '/type', `The type is none of ${eventTypes.join(', ')}.`)
  }
  const messageId = input.messageId ?? ''
  if (!isEventId(messageId)) {
    const says = `The messageId is not a text of at most ${eventIdLengthMax} characters.`
    return refuse('event-id-invalid', '/messageId', says)
  }
  const event: Draft = {
    eventId: messageId === '' ? deps.makeEventId() : messageId,
    sourceId: deps.sourceId,
    type,
    name: type,
    occurredAtMs: deps.receivedAtMs,
    receivedAtMs: deps.receivedAtMs,
  }
  const refusal =
    addIds(event, input) ??
    addName(event, input) ??
    addObjects(event, input, deps.batchContext) ??
    addGroupOrAlias(event, input)
  if (refusal !== undefined) return refusal
  addTime(event, input, deps)
  if (deps.clientIp !== undefined && event.context?.ip === undefined) {
    event.context = { ...event.context, ip: deps.clientIp }
  }
  return { kind: 'event', event }
}

/** Returns a path of names and indexes as a JSON pointer (RFC 6901). */
export function pointerOf(path: readonly (string | number)[]): string {
  return path.map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
}

function isEventType(value: unknown): value is EventType {
  return knownTypes.has(value)
}

function isEventId(value: unknown): value is string {
  return typeof value === 'string' && value.length <= eventIdLengthMax && !hasControlOrBreak(value)
}

function addIds(event: Draft, input: JsonObject): EventRefusal | undefined {
  const user = readId(input.userId, true)
  if (user.kind === 'refused') return refuse('id-invalid', '/userId', user.says)
  const anonymous = readId(input.anonymousId, false)
  if (anonymous.kind === 'refused') return refuse('id-invalid', '/anonymousId', anonymous.says)
  if (user.kind === 'id') event.userId = user.id
  if (anonymous.kind === 'id') event.anonymousId = anonymous.id
  if (user.kind === 'id' || anonymous.kind === 'id') return undefined
  return refuse('id-missing', '', 'An event needs a userId or an anonymousId.')
}

function addName(event: Draft, input: JsonObject): EventRefusal | undefined {
  if (event.type === 'page') event.name = 'Page Viewed'
  if (event.type !== 'track') return undefined
  const name = input.event
  if (name === undefined || name === null || name === '') {
    return refuse('event-name-missing', '/event', 'A track call names its event.')
  }
  if (typeof name !== 'string' || name.length > eventNameLengthMax || name.trim() === '') {
    const says = `The name is not a text of 1 to ${eventNameLengthMax} characters.`
    return refuse('event-name-invalid', '/event', says)
  }
  if (hasControlOrBreak(name)) {
    return refuse('event-name-invalid', '/event', 'The name has a control character.')
  }
  event.name = name
  return undefined
}

function addObjects(
  event: Draft,
  input: JsonObject,
  batchContext: JsonObject | undefined,
): EventRefusal | undefined {
  const isAboutPerson = event.type === 'identify' || event.type === 'group'
  const field = isAboutPerson ? 'traits' : 'properties'
  const values = input[field] ?? undefined
  if (values !== undefined && !isJsonObject(values)) return refuseNotObject(field)
  const context = input.context ?? undefined
  if (context !== undefined && !isJsonObject(context)) return refuseNotObject('context')
  const changes: EventChange[] = []
  const once = (event.type === 'identify' ? input.traitsOnce : undefined) ?? undefined
  if (once !== undefined && !isJsonObject(once)) return refuseNotObject('traitsOnce')
  if (once !== undefined) event.traitsOnce = once
  if (isAboutPerson) {
    if (values !== undefined) event.traits = values
  } else if (event.type === 'page' || event.type === 'screen') {
    const named = withPageName(values, input, changes)
    if (named !== undefined) event.properties = named
  } else if (event.type === 'track') {
    const normal = toNormalForm(event.name, values)
    event.name = normal.name
    if (normal.properties !== undefined) event.properties = normal.properties
    changes.push(...normal.changes)
  } else if (values !== undefined) {
    event.properties = values
  }
  if (context === undefined) {
    if (batchContext !== undefined) event.context = batchContext
  } else {
    event.context = batchContext === undefined ? context : { ...batchContext, ...context }
  }
  if (changes.length > 0) event.changes = changes
  return undefined
}

/**
 * Puts the `name` and `category` of a page or screen call among its properties, where rules can see
 * them. One that stands there already wins; the other is told among the changes.
 */
function withPageName(
  properties: JsonObject | undefined,
  input: JsonObject,
  changes: EventChange[],
): JsonObject | undefined {
  let named = properties
  for (const field of ['name', 'category'] as const) {
    const value = input[field]
    if (typeof value !== 'string' || value === '') continue
    const stated = properties?.[field]
    if (stated === undefined) named = { ...named, [field]: value }
    else if (stated !== value) changes.push({ kind: 'left', path: `/${field}`, was: value })
  }
  return named
}

function addGroupOrAlias(event: Draft, input: JsonObject): EventRefusal | undefined {
  if (event.type === 'group') {
    const group = readId(input.groupId, true)
    if (group.kind === 'refused') return refuse('id-invalid', '/groupId', group.says)
    if (group.kind === 'absent') {
      return refuse('group-id-missing', '/groupId', 'A group call needs a groupId.')
    }
    event.groupId = group.id
  }
  if (event.type !== 'alias') return undefined
  const previous = readId(input.previousId, true)
  if (previous.kind === 'refused') return refuse('id-invalid', '/previousId', previous.says)
  const previousId = previous.kind === 'id' ? previous.id : event.anonymousId
  if (event.userId === undefined || previousId === undefined) {
    return refuse('alias-invalid', '', 'An alias call needs a userId and a previousId.')
  }
  if (event.userId === previousId) {
    return refuse('alias-invalid', '/previousId', 'A person is no alias of the same id.')
  }
  event.previousId = previousId
  return undefined
}

function addTime(event: Draft, input: JsonObject, deps: ParseEventDeps): void {
  const sentAtMs = deps.sentAtMs ?? parseTimeMs(input.sentAt)
  const times = { receivedAtMs: deps.receivedAtMs, ...(sentAtMs === undefined ? {} : { sentAtMs }) }
  const time = readEventTime(input.timestamp ?? input.originalTimestamp, times, deps.limits)
  event.occurredAtMs = time.occurredAtMs
  if (time.timeNote !== undefined) event.timeNote = time.timeNote
}

function refuseNotObject(field: string): EventRefusal {
  return refuse('field-type-wrong', `/${field}`, `The field ${field} is not an object.`)
}

function refuse(reason: EventRefusalReason, path: string, says: string): EventRefusal {
  return { kind: 'refused', reason, path, says }
}
