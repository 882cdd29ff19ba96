/**
 * A source: an authenticated producer of events, as a file `sources/*.yaml` defines it.
 *
 * Write keys are public (they stand in web pages), so they identify and do not protect. What
 * protects a browser source is its list of origins.
 */

import { isJsonObject, type JsonObject } from '../lib/json.ts'
import { type DefinitionFault, refuseUnknown } from './definition-fault.ts'
import { parseTrackingPlan, type TrackingPlanDefinition } from './plan-definition.ts'
import { parseSecretRef, type SecretRef, secretNames } from './secret-ref.ts'
import { parseWebhook, type WebhookDefinition } from './webhook-definition.ts'

export interface Source {
  readonly sourceId: string
  readonly writeKeys: readonly string[]
  /** Origins such as `https://shop.example`; absent means any. */
  readonly allowedOrigins?: readonly string[]
  readonly trackingPlan?: TrackingPlanDefinition
  /** Events in a second on each collecting process; absent means what the operator set for all. */
  readonly eventsPerSecondMax?: number
  /** True where the client's address is put into the context of its events. */
  readonly keepIp?: boolean
  /** What `POST /v1/hooks/<name of the source>` takes. */
  readonly webhook?: WebhookDefinition
  /**
   * How long after an event its session is over, if nothing more happens; 0 where events of the
   * source are no visits. Absent means 30 minutes, and 0 for webhooks.
   */
  readonly sessionIdleMinutes?: number
  /** Set where the pixels of the source must be signed. */
  readonly pixelSecret?: SecretRef
}

export type ParsedSource =
  | { readonly kind: 'source'; readonly source: Source }
  | { readonly kind: 'refused'; readonly faults: readonly DefinitionFault[] }

const writeKeyCountMax = 20
const originCountMax = 100
const eventsPerSecondLimit = 10_000_000
const sessionIdleMinutesMax = 1_440
/** As in Google Analytics. */
export const sessionIdleMsDefault = 30 * 60_000
const sourceFields = [
  'name',
  'writeKeys',
  'allowedOrigins',
  'trackingPlan',
  'eventsPerSecondMax',
  'keepIp',
  'sessionIdleMinutes',
  'webhook',
  'pixel',
] as const

const namePattern = /^[a-z0-9][a-z0-9_-]{0,63}$/
const writeKeyPattern = /^[A-Za-z0-9._:-]{8,128}$/

export function parseSource(input: unknown): ParsedSource {
  const faults: DefinitionFault[] = []
  if (!isJsonObject(input))
    return { kind: 'refused', faults: [{ path: '', says: 'Not a mapping.' }] }
  refuseUnknown(input, sourceFields, { path: '', faults })
  const sourceId = typeof input.name === 'string' ? input.name : ''
  if (!namePattern.test(sourceId)) {
    faults.push({ path: '/name', says: 'A name has 1 to 64 of a-z, 0-9, - and _.' })
  }
  const webhook = parseWebhook(input.webhook, faults)
  const writeKeys = parseWriteKeys(input, webhook, faults)
  const allowedOrigins = parseOrigins(input.allowedOrigins, faults)
  const trackingPlan = parseTrackingPlan(input.trackingPlan, faults)
  const eventsPerSecondMax = parseWhole(input, faults, rateField)
  const sessionIdleMinutes = parseWhole(input, faults, idleField)
  const keepIp = input.keepIp ?? false
  if (typeof keepIp !== 'boolean') faults.push({ path: '/keepIp', says: 'Must be true or false.' })
  const pixelSecret = parsePixel(input.pixel, faults)
  if (faults.length > 0) return { kind: 'refused', faults }
  const source = {
    sourceId,
    writeKeys,
    ...(allowedOrigins === undefined ? {} : { allowedOrigins }),
    ...(trackingPlan === undefined ? {} : { trackingPlan }),
    ...(eventsPerSecondMax === undefined ? {} : { eventsPerSecondMax }),
    ...(keepIp === true ? { keepIp } : {}),
    ...(sessionIdleMinutes === undefined ? {} : { sessionIdleMinutes }),
    ...(webhook === undefined ? {} : { webhook }),
    ...(pixelSecret === undefined ? {} : { pixelSecret }),
  }
  return { kind: 'source', source }
}

/** Returns for how long an event of the source keeps its session open; 0 where it is no visit. */
export function sessionIdleMsOf({ sessionIdleMinutes, webhook }: Source): number {
  if (sessionIdleMinutes !== undefined) return sessionIdleMinutes * 60_000
  return webhook === undefined ? sessionIdleMsDefault : 0
}

/** A source of signed webhooks needs no write key; any other has one at least. */
function parseWriteKeys(
  input: JsonObject,
  webhook: WebhookDefinition | undefined,
  faults: DefinitionFault[],
): readonly string[] {
  const isProved = webhook !== undefined && (webhook.kind !== 'generic' || 'signature' in webhook)
  const isBroken = webhook === undefined && isJsonObject(input.webhook)
  if (input.writeKeys === undefined && (isProved || isBroken)) return []
  const writeKeys = parseTexts(input.writeKeys, writeKeyCountMax, '/writeKeys', faults)
  writeKeys.forEach((key, index) => {
    if (writeKeyPattern.test(key)) return
    const says = 'A write key has 8 to 128 of letters, digits, dot, colon, - and _.'
    faults.push({ path: `/writeKeys/${index}`, says })
  })
  if (new Set(writeKeys).size < writeKeys.length) {
    faults.push({ path: '/writeKeys', says: 'A write key stands here twice.' })
  }
  return writeKeys
}

function parsePixel(input: unknown, faults: DefinitionFault[]): SecretRef | undefined {
  if (input === undefined || input === null) return undefined
  if (!isJsonObject(input)) {
    faults.push({ path: '/pixel', says: 'Must be a mapping with secretFile or secretVariable.' })
    return undefined
  }
  refuseUnknown(input, [...secretNames, 'secret'], { path: '/pixel', faults })
  const secret = parseSecretRef(input, '/pixel', faults)
  if (secret === undefined) {
    faults.push({ path: '/pixel', says: 'Needs secretFile or secretVariable.' })
  }
  return secret
}

interface WholeField {
  readonly name: 'eventsPerSecondMax' | 'sessionIdleMinutes'
  readonly min: number
  readonly max: number
}
const rateField: WholeField = { name: 'eventsPerSecondMax', min: 1, max: eventsPerSecondLimit }
const idleField: WholeField = { name: 'sessionIdleMinutes', min: 0, max: sessionIdleMinutesMax }

function parseWhole(
  input: JsonObject,
  faults: DefinitionFault[],
  { name, min, max }: WholeField,
): number | undefined {
  const value = input[name]
  if (value === undefined || value === null) return undefined
  if (Number.isInteger(value) && Number(value) >= min && Number(value) <= max) return Number(value)
  faults.push({ path: `/${name}`, says: `Must be a whole number of ${min} to ${max}.` })
  return undefined
}

function parseTexts(
  input: unknown,
  countMax: number,
  path: string,
  faults: DefinitionFault[],
): readonly string[] {
  const isList = Array.isArray(input) && input.length > 0 && input.length <= countMax
  if (isList && input.every((each) => typeof each === 'string')) return input
  faults.push({ path, says: `Must be a list of 1 to ${countMax} texts.` })
  return []
}

function parseOrigins(input: unknown, faults: DefinitionFault[]): readonly string[] | undefined {
  if (input === undefined || input === null) return undefined
  const origins = parseTexts(input, originCountMax, '/allowedOrigins', faults)
  origins.forEach((origin, index) => {
    if (/^https?:\/\/[^/\s]+$/.test(origin) && URL.parse(origin)?.origin === origin) return
    const says = 'An origin is like https://shop.example, in small letters, without a path.'
    faults.push({ path: `/allowedOrigins/${index}`, says })
  })
  return origins
}
