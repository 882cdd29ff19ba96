/**
 * What a source promised to send, checked event by event with JSON Schema (2020-12, or draft 7
 * where `$schema` says so).
 *
 * A schema describes the `properties` of a track, page or screen call and the `traits` of an
 * identify or group call. A strict plan also refuses track calls it does not name. Calls that say
 * who a person is are refused by their own schema only: a plan about a shop's events must not cut
 * people in two.
 *
 * Schemas are compiled once. They come from the operator but run on strangers' data: no reference
 * leaves the schema, and patterns are bounded (`safe-pattern.ts`).
 */

import { Ajv, type ValidateFunction } from 'ajv'
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'
import type { DefinitionFault } from './definition-fault.ts'
import type { Event } from './event.ts'
import { utf8Bytes } from './event-limits.ts'
import { todaysEventName } from './normal-form.ts'
import { createBoundedPattern, findPatternFault } from './safe-pattern.ts'
import type { TrackingPlanMode } from './source.ts'

export interface PlanRefusal {
  readonly kind: 'refused'
  readonly reason: 'plan-event-unknown' | 'plan-mismatch'
  /** JSON pointer into the event as it was sent. */
  readonly path: string
  readonly says: string
}

export interface TrackingPlan {
  readonly mode: TrackingPlanMode
  /** Returns why the plan refuses the event, or nothing. */
  validate(event: Event): PlanRefusal | undefined
}

export type CreatedTrackingPlan =
  | { readonly kind: 'plan'; readonly plan: TrackingPlan }
  | { readonly kind: 'refused'; readonly faults: readonly DefinitionFault[] }

const schemaBytesMax = 64 * 1024
const schemaDepthMax = 64

/** `schemas` are by event name; files have been read by the caller. */
export function createTrackingPlan(
  mode: TrackingPlanMode,
  schemas: ReadonlyMap<string, unknown>,
): CreatedTrackingPlan {
  const faults: DefinitionFault[] = []
  const validators = new Map<string, ValidateFunction>()
  const compilers = createCompilers()
  for (const [name, schema] of schemas) {
    const path = `/trackingPlan/events/${name.replaceAll('~', '~0').replaceAll('/', '~1')}/schema`
    const compiled = compileSchema(schema, compilers)
    if (typeof compiled === 'string') faults.push({ path, says: compiled })
    else validators.set(todaysEventName(name), compiled)
  }
  if (faults.length > 0) return { kind: 'refused', faults }
  return { kind: 'plan', plan: { mode, validate: (event) => judge(event, mode, validators) } }
}

function judge(
  event: Event,
  mode: TrackingPlanMode,
  validators: ReadonlyMap<string, ValidateFunction>,
): PlanRefusal | undefined {
  const validator = validators.get(event.name)
  if (validator === undefined) {
    if (mode === 'lenient' || event.type !== 'track') return undefined
    const says = 'The tracking plan does not name this event.'
    return { kind: 'refused', reason: 'plan-event-unknown', path: '/event', says }
  }
  const isAboutPerson = event.type === 'identify' || event.type === 'group'
  const field = isAboutPerson ? 'traits' : 'properties'
  const fault = runValidator(validator, event[field] ?? {})
  if (fault === undefined) return undefined
  return {
    kind: 'refused',
    reason: 'plan-mismatch',
    path: `/${field}${fault.path}`,
    says: `The tracking plan refuses this: ${fault.says}.`,
  }
}

function runValidator(validator: ValidateFunction, value: JsonObject): DefinitionFault | undefined {
  try {
    if (validator(value) === true) return undefined
  } catch (error) {
    // A schema that refers to itself without taking a step into the value ends with a full stack.
    if (error instanceof RangeError) return { path: '', says: 'the schema never ends' }
    throw error
  }
  const first = validator.errors?.[0]
  return { path: first?.instancePath ?? '', says: first?.message ?? 'it does not match' }
}

interface Compilers {
  readonly draft07: Ajv
  readonly draft2020: Ajv2020
}

function createCompilers(): Compilers {
  const regExp = Object.assign(createBoundedPattern, { code: 'createBoundedPattern' })
  const options = { strict: false, logger: false, code: { regExp } } as const
  const draft07 = new Ajv(options)
  const draft2020 = new Ajv2020(options)
  addFormats.default(draft07)
  addFormats.default(draft2020)
  return { draft07, draft2020 }
}

/** Returns the compiled schema, or what is wrong with it. */
function compileSchema(schema: unknown, compilers: Compilers): ValidateFunction | string {
  if (!isJsonObject(schema)) return 'Must be a JSON Schema.'
  const fault = findSchemaFault(schema, 1)
  if (fault !== undefined) return fault
  const bytes = utf8Bytes(JSON.stringify(schema))
  if (bytes > schemaBytesMax) return `Has ${bytes} bytes; at most ${schemaBytesMax}.`
  // Two schemas may have the same `$id`; nothing outside can refer to it, so it is left out.
  const { $schema: dialect, $id: _, ...rest } = schema
  const is07 = typeof dialect === 'string' && dialect.includes('draft-07')
  try {
    const validator = (is07 ? compilers.draft07 : compilers.draft2020).compile(rest)
    const trial = runValidator(validator, {})
    return trial?.says === 'the schema never ends' ? 'Refers to itself without an end.' : validator
  } catch (error) {
    return `Cannot be compiled: ${error instanceof Error ? error.message : 'unknown reason'}.`
  }
}

function findSchemaFault(schema: Json | undefined, depth: number): string | undefined {
  if (depth > schemaDepthMax) return `Is nested more than ${schemaDepthMax} levels deep.`
  if (typeof schema !== 'object' || schema === null) return undefined
  for (const [name, value] of Object.entries(schema) as [string, Json][]) {
    const fault = findKeywordFault(name, value) ?? findSchemaFault(value, depth + 1)
    if (fault !== undefined) return fault
  }
  return undefined
}

function findKeywordFault(name: string, value: Json): string | undefined {
  if (name === '$async' && value === true) return 'Must not be $async.'
  if ((name === '$ref' || name === '$dynamicRef') && typeof value === 'string') {
    return value.startsWith('#') ? undefined : 'A $ref must begin with #: nothing is loaded.'
  }
  const patterns =
    name === 'pattern' && typeof value === 'string'
      ? [value]
      : name === 'patternProperties' && isJsonObject(value)
        ? Object.keys(value)
        : []
  for (const pattern of patterns) {
    const fault = findPatternFault(pattern)
    if (fault !== undefined) return `The pattern ${JSON.stringify(pattern.slice(0, 80))} ${fault}.`
  }
  return undefined
}
