/**
 * What a schema of a tracking plan may be. It comes from the operator but runs on strangers' data,
 * so its cost is bounded before it is compiled: bytes, depth, branches, the steps one pass over a
 * value can take with every reference followed, no pattern that backtracks without end, and nothing
 * that is loaded from elsewhere or refers to itself.
 */

import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'
import { utf8Bytes } from './event-limits.ts'
import { findPatternFault } from './safe-pattern.ts'

export const schemaLimits = {
  bytesMax: 64 * 1024,
  depthMax: 64,
  /** Schemas in one allOf, anyOf or oneOf: each is tried on each value. */
  branchCountMax: 100,
  /**
   * Schemas that one pass goes through, references followed. Forty that each refer twice to the
   * next would be a million million.
   */
  stepCountMax: 5_000,
} as const

/** Keywords that hold one schema, a list of them, and a mapping to them. */
const single = new Set([
  ...['not', 'if', 'then', 'else', 'items', 'additionalItems', 'contains', 'propertyNames'],
  ...['additionalProperties', 'unevaluatedProperties', 'unevaluatedItems'],
])
const listed = new Set(['allOf', 'anyOf', 'oneOf', 'prefixItems', 'items'])
const mapped = new Set(['properties', 'patternProperties', 'dependentSchemas', 'dependencies'])
const branches = new Set(['allOf', 'anyOf', 'oneOf'])
const dynamic = new Set(['$dynamicRef', '$dynamicAnchor', '$recursiveRef', '$recursiveAnchor'])

/** Returns why a schema is not taken, or nothing. */
export function findSchemaFault(schema: unknown): string | undefined {
  if (!isJsonObject(schema)) return 'Must be a JSON Schema.'
  if (!isWithinDepth(schema, schemaLimits.depthMax)) {
    return `Is nested more than ${schemaLimits.depthMax} levels deep.`
  }
  const bytes = utf8Bytes(JSON.stringify(schema))
  if (bytes > schemaLimits.bytesMax) {
    return `Has ${bytes} bytes; at most ${schemaLimits.bytesMax}.`
  }
  const walk: Walk = { root: schema, stepsOf: new Map(), trail: new Set() }
  const steps = countSteps(schema, walk)
  if (typeof steps === 'string') return steps
  if (steps <= schemaLimits.stepCountMax) return undefined
  return `Takes more than ${schemaLimits.stepCountMax} steps with its references followed.`
}

function isWithinDepth(value: Json, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true
  if (depth === 0) return false
  return Object.values(value).every((each: Json) => isWithinDepth(each, depth - 1))
}

interface Walk {
  readonly root: JsonObject
  /** Of schemas that are counted already: each is looked at once. */
  readonly stepsOf: Map<JsonObject, number>
  /** Schemas on the way from the root to this one. */
  readonly trail: Set<JsonObject>
}

/** Returns the steps of a schema, or its fault. */
function countSteps(schema: Json, walk: Walk): number | string {
  if (!isJsonObject(schema)) return 1
  const known = walk.stepsOf.get(schema)
  if (known !== undefined) return known
  if (walk.trail.has(schema)) return 'Refers to itself, which is not taken.'
  walk.trail.add(schema)
  let steps = 1
  for (const [keyword, value] of Object.entries(schema)) {
    const fault = findKeywordFault(keyword, value, schema === walk.root)
    if (fault !== undefined) return fault
    for (const each of schemasOf(keyword, value, walk.root)) {
      const more = countSteps(each, walk)
      if (typeof more === 'string') return more
      steps += more
    }
  }
  walk.trail.delete(schema)
  walk.stepsOf.set(schema, steps)
  return steps
}

function schemasOf(keyword: string, value: Json, root: JsonObject): readonly Json[] {
  if (keyword === '$ref') {
    const target = typeof value === 'string' ? targetOf(value, root) : undefined
    return target === undefined ? [] : [target]
  }
  if (Array.isArray(value)) return listed.has(keyword) ? (value as readonly Json[]) : []
  if (single.has(keyword)) return [value]
  return mapped.has(keyword) && isJsonObject(value) ? Object.values(value) : []
}

function findKeywordFault(keyword: string, value: Json, isRoot: boolean): string | undefined {
  if (keyword === '$async' && value === true) return 'Must not be $async.'
  if (dynamic.has(keyword)) return `The keyword ${keyword} is not taken.`
  if (keyword === '$id' && !isRoot) return 'A schema within a schema has no $id of its own.'
  if (keyword === '$ref' && !(typeof value === 'string' && /^#(\/|$)/.test(value))) {
    return 'A $ref must be a pointer that begins with #: nothing is loaded.'
  }
  if (branches.has(keyword) && Array.isArray(value) && value.length > schemaLimits.branchCountMax) {
    return `Has ${value.length} schemas in ${keyword}; at most ${schemaLimits.branchCountMax}.`
  }
  for (const pattern of patternsOf(keyword, value)) {
    const fault = findPatternFault(pattern)
    if (fault !== undefined) return `The pattern ${JSON.stringify(pattern.slice(0, 80))} ${fault}.`
  }
  return undefined
}

function patternsOf(keyword: string, value: Json): readonly string[] {
  if (keyword === 'pattern' && typeof value === 'string') return [value]
  return keyword === 'patternProperties' && isJsonObject(value) ? Object.keys(value) : []
}

/** Follows a JSON pointer of a fragment; the compiler names one that leads nowhere. */
function targetOf(reference: string, root: JsonObject): Json | undefined {
  let target: Json | undefined = root
  for (const part of reference.split('/').slice(1)) {
    const name = decodePart(part).replaceAll('~1', '/').replaceAll('~0', '~')
    const isHolder: boolean = typeof target === 'object' && target !== null
    const holder: object = isHolder ? (target as object) : {}
    target = Object.hasOwn(holder, name) ? (holder as JsonObject)[name] : undefined
  }
  return target
}

function decodePart(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}
