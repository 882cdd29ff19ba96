/**
 * A tracking plan as `sources/*.yaml` states it: what a source promised to send.
 *
 *     mode: lenient
 *     events:
 *       Product Viewed: { schema: schemas/product-viewed.json }
 *       Order Completed:
 *         mode: strict
 *         default: 2
 *         versions: { 1: removed, 2: { schema: schemas/order-2.json }, 3: { schema: ... } }
 *
 * An event names its version as `context.schemaVersion`, or as Segment does,
 * `context.protocols.event_version`. One that names none has the default: the newest, unless said.
 */

import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'
import { type DefinitionFault, refuseUnknown } from './definition-fault.ts'

export const trackingPlanModes = ['lenient', 'strict'] as const
/** Lenient takes an event that its schema refuses, and marks it; strict rejects it. */
export type TrackingPlanMode = (typeof trackingPlanModes)[number]

/** A JSON Schema in the definition itself, or the path of a file beside it. */
export type SchemaRef =
  | { readonly kind: 'inline'; readonly schema: JsonObject }
  | { readonly kind: 'file'; readonly file: string }

export interface PlannedVersion {
  readonly version: number
  /** Absent of a version that is no longer taken. */
  readonly schema?: SchemaRef
}

export type PlannedEvent = {
  /** Absent: that of the plan. */
  readonly mode?: TrackingPlanMode
} & (
  | { readonly schema: SchemaRef }
  | {
      /** At least one, in rising order. */
      readonly versions: readonly PlannedVersion[]
      readonly defaultVersion: number
    }
)

export interface TrackingPlanDefinition {
  readonly mode: TrackingPlanMode
  /** By event name. */
  readonly events: Readonly<Record<string, PlannedEvent>>
}

const planEventCountMax = 1_000
const versionCountMax = 50
export const versionMax = 1_000_000
const schemaFilePattern = /^(?!.*\.\.)[\w-][\w./-]{0,199}\.json$/

interface Reading {
  readonly path: string
  readonly faults: DefinitionFault[]
}

export function parseTrackingPlan(
  input: unknown,
  faults: DefinitionFault[],
): TrackingPlanDefinition | undefined {
  if (input === undefined || input === null) return undefined
  if (!isJsonObject(input)) {
    faults.push({ path: '/trackingPlan', says: 'Must be a mapping with mode and events.' })
    return undefined
  }
  const reading = { path: '/trackingPlan', faults }
  refuseUnknown(input, ['mode', 'events'], reading)
  const mode = parseMode(input.mode ?? 'lenient', reading)
  const named = input.events
  if (!isJsonObject(named) || Object.keys(named).length > planEventCountMax) {
    const says = `Must be a mapping of at most ${planEventCountMax} event names.`
    faults.push({ path: '/trackingPlan/events', says })
    return undefined
  }
  const events = Object.entries(named).map(([name, event]) => {
    return [name, parsePlannedEvent(event, { path: pathOfPlanned(name), faults })] as const
  })
  return { mode: mode ?? 'lenient', events: Object.fromEntries(events) }
}

/** Returns the JSON pointer of a planned event in its source. */
export function pathOfPlanned(name: string): string {
  return `/trackingPlan/events/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`
}

function parseMode(input: Json, { path, faults }: Reading): TrackingPlanMode | undefined {
  const mode = trackingPlanModes.find((each) => each === input)
  if (mode !== undefined) return mode
  faults.push({ path: `${path}/mode`, says: `Must be ${trackingPlanModes.join(' or ')}.` })
  return undefined
}

function parsePlannedEvent(input: Json, reading: Reading): PlannedEvent {
  if (!isJsonObject(input)) return { schema: parseSchemaRef(undefined, reading) }
  const mode = input.mode === undefined ? undefined : parseMode(input.mode, reading)
  const own = mode === undefined ? {} : { mode }
  if (input.versions === undefined) {
    refuseUnknown(input, ['mode', 'schema'], reading)
    return { ...own, schema: parseSchemaRef(input.schema, reading) }
  }
  refuseUnknown(input, ['mode', 'versions', 'default'], reading)
  const versions = parseVersions(input.versions, reading)
  const taken = versions.filter(({ schema }) => schema !== undefined)
  const newest = taken.at(-1)?.version
  const stated = input.default
  if (stated !== undefined && !taken.some(({ version }) => version === stated)) {
    const says = 'Must be one of the versions that has a schema.'
    reading.faults.push({ path: `${reading.path}/default`, says })
  }
  const defaultVersion = typeof stated === 'number' ? stated : (newest ?? 0)
  return { ...own, versions, defaultVersion }
}

function parseVersions(input: Json, { path, faults }: Reading): readonly PlannedVersion[] {
  const entries = isJsonObject(input) ? Object.entries(input) : []
  if (entries.length === 0 || entries.length > versionCountMax) {
    const says = `Must be a mapping of 1 to ${versionCountMax} versions to schemas.`
    faults.push({ path: `${path}/versions`, says })
    return []
  }
  const versions = entries.map(([text, value]): PlannedVersion => {
    const at = { path: `${path}/versions/${text}`, faults }
    const version = /^[1-9]\d{0,6}$/.test(text) ? Number(text) : Number.NaN
    if (!(version <= versionMax)) {
      faults.push({ path: at.path, says: `A version is a whole number from 1 to ${versionMax}.` })
    }
    if (value === 'removed') return { version }
    return { version, schema: parseSchemaRef(isJsonObject(value) ? value.schema : undefined, at) }
  })
  if (versions.every(({ schema }) => schema === undefined)) {
    faults.push({ path: `${path}/versions`, says: 'At least one version has a schema.' })
  }
  return versions.sort((left, right) => left.version - right.version)
}

function parseSchemaRef(schema: Json | undefined, { path, faults }: Reading): SchemaRef {
  if (isJsonObject(schema)) return { kind: 'inline', schema }
  if (typeof schema === 'string' && schemaFilePattern.test(schema)) {
    return { kind: 'file', file: schema }
  }
  const says = 'Must be a JSON Schema, or the relative path of a .json file.'
  faults.push({ path: `${path}/schema`, says })
  return { kind: 'inline', schema: {} }
}
