/**
 * CloudEvents 1.0 over HTTP: one event as a whole (structured), several (batch), or one whose
 * attributes are headers (binary). Facts: cloudevents/spec, `spec.md`, `json-format.md`,
 * `http-protocol-binding.md` and `http-webhook.md`, version 1.0.2.
 *
 * Each is a track event. Its id is `source` and `id` together, which the specification makes one of
 * a kind; its person is `data.userId` or `data.anonymousId`, else `subject`.
 */

import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import { hashId } from '../lib/hash.ts'
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'
import type { AdaptedItem } from './adapted-item.ts'
import type { Adapted, AdaptedRoute, Ask, AskBytes, AskHead, Sender } from './adapter.ts'
import { answerEach, answerPreflight } from './collect-answer.ts'
import { keyProblem, mediaTypeProblem } from './collect-problem.ts'
import { present } from './hook-fields.ts'
import { singleHeader } from './signature.ts'
import type { SourceDirectory } from './source-directory.ts'

export const cloudEventsPath = '/v1/cloudevents'

const versionOf = '1.0'
const attributeLengthMax = 2_000
const extensionCountMax = 20
/** Lower case letters and digits; the specification asks for at most 20 of them. */
const extensionPattern = /^[a-z0-9]{1,20}$/
const eventIdLengthMax = 100
/** Attributes and what each becomes; the guide prints this table. */
export const cloudEventFields = {
  specversion: 'must be 1.0',
  id: '`messageId`, with the source: `<source> <id>`, or its hash',
  source: 'the same, and `context.cloudEvent.source`',
  type: 'name of a track event',
  time: '`timestamp`',
  subject: '`userId`, where the data names nobody; `context.cloudEvent.subject`',
  dataschema: '`context.cloudEvent.dataschema`',
  datacontenttype: 'must be that of JSON, where there is data',
  data: '`properties`; what is no object is the property `data`',
  'data.userId': '`userId`',
  'data.anonymousId': '`anonymousId`',
  data_base64: 'rejected: is no JSON',
  'any other': '`context.cloudEvent`: 20 of texts, numbers and booleans',
} as const

type Mode = 'structured' | 'batch' | 'binary'

export const cloudEventsRoute: AdaptedRoute = {
  format: 'cloudevents',
  paths: [cloudEventsPath],
  method: 'POST',
  size: 'batch',
  findSource,
  hasJson: (ask) => modeOf(ask.headers) !== 'binary' || hasJsonData(ask),
  adapt,
  answer: answerEach,
  answerOptions,
}

/**
 * The key may come as every format's does, or in the two ways that `http-webhook.md` asks for. A
 * body of another kind is refused before it is read.
 */
function findSource(head: AskHead, sources: SourceDirectory): Sender {
  if (modeOf(head.headers) === undefined) return mediaTypeProblem
  const key = keyOf(head)
  return (key === undefined ? undefined : sources.byWriteKey(key)) ?? keyProblem
}

function keyOf({ headers, query, writeKey }: AskHead): string | undefined {
  const bearer = /^bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1]
  if (bearer !== undefined) return bearer
  if (writeKey !== undefined) return writeKey
  return single(query, 'access_token') ?? single(query, 'writeKey')
}

function single(query: URLSearchParams, name: string): string | undefined {
  const values = query.getAll(name)
  return values.length === 1 ? values[0] : undefined
}

function modeOf(headers: IncomingHttpHeaders): Mode | undefined {
  const type = mediaTypeOf(headers)
  if (type === 'application/cloudevents-batch+json') return 'batch'
  if (type === 'application/cloudevents+json') return 'structured'
  if (type.startsWith('application/cloudevents')) return undefined
  return headers['ce-specversion'] === undefined ? undefined : 'binary'
}

function mediaTypeOf(headers: IncomingHttpHeaders): string {
  return (headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''
}

function hasJsonData({ headers, bytes }: AskBytes): boolean {
  if (bytes.length === 0) return false
  const type = mediaTypeOf(headers)
  return type === '' || type === 'application/json' || type.endsWith('+json')
}

function adapt(ask: Ask): Adapted {
  const mode = modeOf(ask.headers)
  if (mode === 'binary') return { kind: 'events', items: [adaptBinary(ask)] }
  if (mode === 'structured') return { kind: 'events', items: [adaptEvent(ask.body, ask.body)] }
  if (!Array.isArray(ask.body)) {
    return { kind: 'refused', reason: 'batch-missing', says: 'The body is an array of events.' }
  }
  const events = ask.body as readonly unknown[]
  if (events.length === 0) {
    return { kind: 'refused', reason: 'batch-empty', says: 'The batch has no events.' }
  }
  return { kind: 'events', items: events.map((event) => adaptEvent(event, event)) }
}

/** What is kept of a binary event that is rejected is the event in the structured form. */
function adaptBinary(ask: Ask): AdaptedItem {
  const attributes: (readonly [string, Json])[] = []
  for (const [name, value] of Object.entries(ask.headers)) {
    const text = singleHeader(value)
    if (name.startsWith('ce-') && text !== undefined) {
      attributes.push([name.slice(3), decodeValue(text)])
    }
  }
  const event: Record<string, unknown> = Object.fromEntries(attributes)
  const type = ask.headers['content-type']
  if (type !== undefined) event['datacontenttype'] = type
  if (hasJsonData(ask)) event['data'] = ask.body
  else if (ask.bytes.length > 0) event['data_base64'] = Buffer.from(ask.bytes).toString('base64')
  return adaptEvent(event, event)
}

/** Header values are percent-encoded where they are not plain ASCII. */
function decodeValue(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function adaptEvent(event: unknown, original: unknown): AdaptedItem {
  if (!isJsonObject(event)) return refuse(original, '', 'A CloudEvent is a JSON object.')
  if (event.specversion !== versionOf) {
    const says = `The specversion is not ${versionOf}.`
    return { original, refusal: { reason: 'item-kind-unknown', path: '/specversion', says } }
  }
  for (const name of ['id', 'source', 'type'] as const) {
    if (!isAttribute(event[name])) {
      return refuse(original, `/${name}`, `The ${name} is a text that is not empty.`)
    }
  }
  for (const name of ['subject', 'time', 'dataschema', 'datacontenttype'] as const) {
    const value = event[name] ?? undefined
    if (value !== undefined && !isAttribute(value)) {
      return refuse(original, `/${name}`, `The ${name} is a text that is not empty.`)
    }
  }
  if ((event.data_base64 ?? undefined) !== undefined) {
    return refuse(original, '/data_base64', 'The data is not JSON.')
  }
  return { original, event: trackOf(event) }
}

function isAttribute(value: Json | undefined): value is string {
  return typeof value === 'string' && value !== '' && value.length <= attributeLengthMax
}

function refuse(original: unknown, path: string, says: string): AdaptedItem {
  return { original, refusal: { reason: 'item-unreadable', path, says } }
}

function trackOf(event: JsonObject): JsonObject {
  const { id, source, type, subject, time, dataschema } = event
  const data = event.data ?? undefined
  const object = isJsonObject(data) ? data : undefined
  const anonymousId = object?.anonymousId ?? undefined
  const userId = object?.userId ?? (anonymousId === undefined ? (subject ?? undefined) : undefined)
  return present({
    type: 'track',
    event: type,
    messageId: eventIdOf(String(source), String(id)),
    userId,
    anonymousId,
    timestamp: time ?? undefined,
    properties: object ?? (data === undefined ? undefined : { data }),
    context: {
      cloudEvent: present({
        id,
        source,
        subject: subject ?? undefined,
        dataschema: dataschema ?? undefined,
        ...extensionsOf(event),
      }),
    },
  })
}

/** Where the source has no blank, as a URI has none, the first one is where the id begins. */
function eventIdOf(source: string, id: string): string {
  const joined = `${source} ${id}`
  const isPlain = /^[\x21-\x7e]+$/.test(source) && /^[\x20-\x7e]+$/.test(id)
  return isPlain && joined.length <= eventIdLengthMax ? joined : hashId(source, id)
}

/** Extensions are texts, numbers or booleans; others are not looked at. */
function extensionsOf(event: JsonObject): JsonObject {
  const extensions = Object.entries(event).filter(
    ([name, value]) =>
      !Object.hasOwn(cloudEventFields, name) &&
      extensionPattern.test(name) &&
      /^(string|number|boolean)$/.test(typeof value),
  )
  return Object.fromEntries(extensions.slice(0, extensionCountMax))
}

/**
 * Consents to deliveries from the sender that asks (`http-webhook.md`, section 4): every one, since
 * what it sends is nothing without a write key.
 */
function answerOptions(response: ServerResponse, head: AskHead): void {
  const origin = singleHeader(head.headers['webhook-request-origin'])
  if (origin === undefined) {
    answerPreflight(response)
    return
  }
  response.setHeader('allow', 'POST, OPTIONS')
  if (/^[\w.:*-]{1,253}$/.test(origin)) {
    response.setHeader('webhook-allowed-origin', origin)
    response.setHeader('webhook-allowed-rate', '*')
  }
  response.writeHead(200, { 'content-length': 0 }).end()
}
