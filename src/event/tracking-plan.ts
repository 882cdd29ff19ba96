/**
 * What a source promised to send, checked event by event with JSON Schema (2020-12, or draft 7
 * where `$schema` says so).
 *
 * A schema describes the `properties` of a track, page or screen call and the `traits` of an
 * identify or group call, in normal form (`normal-form.ts`). Which one is asked is decided by the
 * event's name and the version it states. A lenient event that its schema refuses is taken and
 * marked; a strict one is refused. A version that the plan does not have is always refused: nobody
 * can say what such an event means, and it is kept until the plan knows it.
 *
 * A strict plan also refuses track calls it does not name. Calls that say who a person is are
 * refused by their own schema only: a plan about a shop's events must not cut people in two.
 *
 * Schemas are compiled once, within the limits of `schema-limits.ts`.
 */

import { Ajv, type ValidateFunction } from 'ajv'
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { isJsonObject, type JsonObject } from '../lib/json.ts'
import type { DefinitionFault } from './definition-fault.ts'
import type { Event } from './event.ts'
import { aliasesOf, sentPathOf, todaysEventName } from './normal-form.ts'
import {
  type PlannedEvent,
  pathOfPlanned,
  type SchemaRef,
  type TrackingPlanDefinition,
  type TrackingPlanMode,
  versionMax,
} from './plan-definition.ts'
import { createBoundedPattern } from './safe-pattern.ts'
import { findSchemaFault } from './schema-limits.ts'

export interface PlanFault {
  /** `marked`: the event is taken all the same. */
  readonly kind: 'refused' | 'marked'
  readonly reason: 'plan-event-unknown' | 'plan-mismatch' | 'plan-version-unknown'
  /** JSON pointer into the event as it was sent. */
  readonly path: string
  readonly says: string
}

export interface TrackingPlan {
  /** Returns what the plan has against the event, or nothing. */
  validate(event: Event): PlanFault | undefined
}

export type CreatedTrackingPlan =
  | { readonly kind: 'plan'; readonly plan: TrackingPlan }
  | { readonly kind: 'refused'; readonly faults: readonly DefinitionFault[] }

interface Entry {
  readonly mode: TrackingPlanMode
  /** Of an event without versions; every version is checked by it. */
  readonly only?: ValidateFunction
  readonly byVersion: ReadonlyMap<number, ValidateFunction>
  readonly defaultVersion: number
}

/** Schemas stand in the definition itself: files have been read by the caller. */
export function createTrackingPlan(definition: TrackingPlanDefinition): CreatedTrackingPlan {
  const faults: DefinitionFault[] = []
  const entries = new Map<string, Entry>()
  const compilers = createCompilers()
  for (const [stated, planned] of Object.entries(definition.events)) {
    const name = todaysEventName(stated)
    const path = pathOfPlanned(stated)
    if (entries.has(name)) faults.push({ path, says: `Another entry is about ${name} as well.` })
    const compile = (ref: SchemaRef, at: string): ValidateFunction | undefined => {
      const schema = ref.kind === 'inline' ? ref.schema : undefined
      const compiled = compileSchema(schema, name, compilers)
      if (typeof compiled !== 'string') return compiled
      faults.push({ path: `${path}${at}/schema`, says: compiled })
      return undefined
    }
    entries.set(name, entryOf(planned, definition.mode, compile))
  }
  if (faults.length > 0) return { kind: 'refused', faults }
  const { mode } = definition
  return { kind: 'plan', plan: { validate: (event) => judge(event, mode, entries) } }
}

function entryOf(
  planned: PlannedEvent,
  planMode: TrackingPlanMode,
  compile: (ref: SchemaRef, at: string) => ValidateFunction | undefined,
): Entry {
  const mode = planned.mode ?? planMode
  const byVersion = new Map<number, ValidateFunction>()
  if ('schema' in planned) {
    const only = compile(planned.schema, '')
    return { mode, byVersion, defaultVersion: 0, ...(only === undefined ? {} : { only }) }
  }
  for (const { version, schema } of planned.versions) {
    const compiled = schema === undefined ? undefined : compile(schema, `/versions/${version}`)
    if (compiled !== undefined) byVersion.set(version, compiled)
  }
  return { mode, byVersion, defaultVersion: planned.defaultVersion }
}

function judge(
  event: Event,
  planMode: TrackingPlanMode,
  entries: ReadonlyMap<string, Entry>,
): PlanFault | undefined {
  const entry = entries.get(event.name)
  if (entry === undefined) {
    if (planMode === 'lenient' || event.type !== 'track') return undefined
    const says = 'The tracking plan does not name this event.'
    return { kind: 'refused', reason: 'plan-event-unknown', path: '/event', says }
  }
  const stated = entry.only === undefined ? versionOf(event) : undefined
  const version = stated?.version ?? entry.defaultVersion
  const validator = entry.only ?? entry.byVersion.get(version)
  if (validator === undefined) {
    const known = [...entry.byVersion.keys()].join(', ')
    const says = `The tracking plan has no such version of this event; it has ${known}.`
    return { kind: 'refused', reason: 'plan-version-unknown', path: stated?.path ?? '', says }
  }
  const isAboutPerson = event.type === 'identify' || event.type === 'group'
  const field = isAboutPerson ? 'traits' : 'properties'
  if (validator(event[field] ?? noValues) === true) return undefined
  const first = validator.errors?.[0]
  return {
    kind: entry.mode === 'strict' ? 'refused' : 'marked',
    reason: 'plan-mismatch',
    path: sentPathOf(`/${field}${first?.instancePath ?? ''}`, event.changes),
    says: `The tracking plan refuses this: ${first?.message ?? 'it does not match'}.`,
  }
}

const noValues: JsonObject = {}

/** Returns the version that an event names, and where; 0 is none that a plan can have. */
function versionOf(event: Event): { readonly version: number; readonly path: string } | undefined {
  const { context } = event
  if (context === undefined) return undefined
  const own = context.schemaVersion ?? undefined
  if (own !== undefined) return { version: readVersion(own), path: '/context/schemaVersion' }
  const { protocols } = context
  const theirs = isJsonObject(protocols) ? (protocols.event_version ?? undefined) : undefined
  if (theirs === undefined) return undefined
  return { version: readVersion(theirs), path: '/context/protocols/event_version' }
}

function readVersion(stated: unknown): number {
  const isText = typeof stated === 'string' && /^\d{1,7}$/.test(stated)
  const number = isText ? Number(stated) : stated
  return Number.isInteger(number) && Number(number) <= versionMax ? Number(number) : 0
}

interface Compilers {
  readonly draft07: Ajv
  readonly draft2020: Ajv2020
}

function createCompilers(): Compilers {
  const regExp = Object.assign(createBoundedPattern, { code: 'createBoundedPattern' })
  const options = { strict: false, logger: false, ownProperties: true, code: { regExp } } as const
  const draft07 = new Ajv(options)
  const draft2020 = new Ajv2020(options)
  addFormats.default(draft07)
  addFormats.default(draft2020)
  return { draft07, draft2020 }
}

/** Returns the compiled schema, or what is wrong with it. */
function compileSchema(
  schema: JsonObject | undefined,
  eventName: string,
  compilers: Compilers,
): ValidateFunction | string {
  if (schema === undefined) return 'Must be a JSON Schema.'
  const fault = findSchemaFault(schema) ?? findAliasFault(schema, eventName)
  if (fault !== undefined) return fault
  // Two schemas may have the same `$id`; nothing outside can refer to it, so it is left out.
  const { $schema: dialect, $id: _, ...rest } = schema
  const is07 = typeof dialect === 'string' && dialect.includes('draft-07')
  try {
    return (is07 ? compilers.draft07 : compilers.draft2020).compile(rest)
  } catch (error) {
    return `Cannot be compiled: ${error instanceof Error ? error.message : 'unknown reason'}.`
  }
}

/** A schema that asks for a spelling that no event keeps would refuse them all. */
function findAliasFault(schema: JsonObject, eventName: string): string | undefined {
  const { properties, required } = schema
  const named = [
    ...(isJsonObject(properties) ? Object.keys(properties) : []),
    ...(Array.isArray(required) ? required : []),
  ]
  const aliases = aliasesOf(eventName)
  for (const name of named) {
    const normal = aliases.get(String(name))
    if (normal !== undefined) return `Events come with ${normal} in place of ${name}: name that.`
  }
  return undefined
}
