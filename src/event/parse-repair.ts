/**
 * Reads a repair as an operator wrote it, with all faults at once.
 *
 *     steps:
 *       - default: {at: /properties/currency, to: EUR}
 *       - move: {from: /properties/products/*\/cost, to: /properties/products/*\/price}
 *       - cast: {at: /properties/products/*\/price, to: number}
 *       - replace: {at: /event, equals: order done, to: Order Completed}
 *       - replace: {at: /userId, pattern: '^uid-', to: ''}
 *       - drop-event: {at: /context/isTest, equals: true}
 *       - replace-text: {find: NaN, to: 'null'}
 *
 * The names that change what an object is (`__proto__` and its kin) can be removed, moved away and
 * looked at; nothing is ever written under them.
 */

import { isJsonObject, type JsonObject } from '../lib/json.ts'
import type { DefinitionFault } from './definition-fault.ts'
import { defaultEventLimits, findLimitFault, hasControl } from './event-limits.ts'
import { pointerOf } from './parse-event.ts'
import type { Place, Repair, RepairStep } from './repair.ts'
import { type CastTarget, castTargets, everyItem, type Match } from './repair.ts'
import { findPatternFault } from './safe-pattern.ts'

export type ParsedRepair =
  | { readonly kind: 'repair'; readonly repair: Repair }
  | { readonly kind: 'refused'; readonly faults: readonly DefinitionFault[] }

const stepCountMax = 50
const nameCountMax = 20
const nameLengthMax = 256
const valueLimits = { ...defaultEventLimits, eventBytesMax: 4 * 1024, depthMax: 8 }
const textLengthMax = 1_000
/** What takes the place of each match may be many times in the result. */
const matchTextLengthMax = 200

const dangerous: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype'])

/** The fields of each step; those with `?` may be left out. */
const forms: Readonly<Record<RepairStep['kind'], readonly string[]>> = {
  set: ['at', 'to'],
  default: ['at', 'to'],
  remove: ['at'],
  move: ['from', 'to'],
  cast: ['at', 'to'],
  replace: ['at', 'equals?', 'pattern?', 'to'],
  'drop-event': ['at', 'equals?', 'pattern?'],
  'replace-text': ['find', 'to'],
}

interface Reading {
  readonly fields: JsonObject
  /** JSON pointer of the step's fields. */
  readonly path: string
  readonly faults: DefinitionFault[]
}

export function parseRepair(input: unknown): ParsedRepair {
  const faults: DefinitionFault[] = []
  const steps = isJsonObject(input) ? input['steps'] : undefined
  if (!isJsonObject(input) || !Array.isArray(steps)) {
    return refused([{ path: '/steps', says: 'A repair is a mapping with a list of steps.' }])
  }
  for (const name of Object.keys(input)) {
    if (name !== 'steps') faults.push({ path: pointerOf([name]), says: 'Is not known here.' })
  }
  const list: readonly unknown[] = steps
  if (list.length === 0 || list.length > stepCountMax) {
    return refused([...faults, { path: '/steps', says: `Must have 1 to ${stepCountMax} steps.` }])
  }
  const parsed = list.map((step, index) => parseStep(step, `/steps/${index}`, faults))
  if (faults.length > 0) return refused(faults)
  const read = parsed.filter((step) => step !== undefined)
  return { kind: 'repair', repair: { steps: read, written: input } }
}

function refused(faults: readonly DefinitionFault[]): ParsedRepair {
  return { kind: 'refused', faults }
}

function parseStep(
  input: unknown,
  path: string,
  faults: DefinitionFault[],
): RepairStep | undefined {
  const entries = isJsonObject(input) ? Object.entries(input) : []
  const [name = '', fields] = entries[0] ?? []
  const kind = Object.hasOwn(forms, name) ? (name as RepairStep['kind']) : undefined
  if (entries.length !== 1 || kind === undefined) {
    faults.push({ path, says: `Must have one name, of ${Object.keys(forms).join(', ')}.` })
    return undefined
  }
  const at = path + pointerOf([kind])
  if (!isJsonObject(fields)) {
    faults.push({ path: at, says: `Must be a mapping of ${forms[kind].join(', ')}.` })
    return undefined
  }
  checkFields({ fields, path: at, faults }, forms[kind])
  return readStep(kind, { fields, path: at, faults })
}

function checkFields({ fields, path, faults }: Reading, form: readonly string[]): void {
  const known = new Set(form.map((name) => name.replace('?', '')))
  for (const name of Object.keys(fields)) {
    if (!known.has(name))
      faults.push({ path: path + pointerOf([name]), says: 'Is not known here.' })
  }
  for (const name of form) {
    if (name.endsWith('?') || Object.hasOwn(fields, name)) continue
    faults.push({ path: `${path}/${name}`, says: 'Is missing.' })
  }
}

function readStep(kind: RepairStep['kind'], reading: Reading): RepairStep | undefined {
  switch (kind) {
    case 'set':
    case 'default':
      return { kind, at: readPlace(reading, 'at', 'write'), to: readValue(reading, 'to') }
    case 'remove':
      return { kind, at: readPlace(reading, 'at', 'read') }
    case 'move':
      return readMove(reading)
    case 'cast':
      return { kind, at: readPlace(reading, 'at', 'write'), to: readCast(reading) }
    case 'replace':
      return readReplace(reading)
    case 'drop-event': {
      const match = readMatch(reading)
      const at = readPlace(reading, 'at', 'read')
      return match === undefined ? { kind, at } : { kind, at, match }
    }
    case 'replace-text':
      return { kind, find: readText(reading, 'find', 1), to: readText(reading, 'to', 0) }
  }
}

function readPlace(reading: Reading, name: string, purpose: 'read' | 'write'): Place {
  const { fields, faults } = reading
  const path = `${reading.path}/${name}`
  const pointer = Object.hasOwn(fields, name) ? fields[name] : undefined
  if (pointer === undefined) return []
  if (typeof pointer !== 'string' || !/^(\/([^~/]|~[01])*)+$/u.test(pointer) || pointer === '/') {
    faults.push({ path, says: 'Must be a JSON pointer, such as /properties/price.' })
    return []
  }
  const names = pointer.slice(1).split('/')
  const place = names.map((each) => each.replaceAll('~1', '/').replaceAll('~0', '~'))
  if (place.length > nameCountMax || place.some((each) => each.length > nameLengthMax)) {
    const says = `Must have at most ${nameCountMax} names of at most ${nameLengthMax} characters.`
    faults.push({ path, says })
  }
  const clean = purpose === 'read' ? place.slice(0, -1) : place
  const found = clean.find((each) => dangerous.has(each))
  if (found !== undefined) {
    faults.push({ path, says: `Must not go through ${found}, or write there.` })
  }
  return place
}

function readMove(reading: Reading): RepairStep {
  const from = readPlace(reading, 'from', 'read')
  const to = readPlace(reading, 'to', 'write')
  const count = from.lastIndexOf(everyItem) + 1
  const within = from.slice(0, count)
  const isSame = within.every((name, index) => to[index] === name)
  const inside = { from: from.slice(count), to: to.slice(count) }
  if (!isSame || inside.to.includes(everyItem) || inside.from.length === 0) {
    const says = 'Must be as long a way as from up to the last *, which is not its end.'
    reading.faults.push({ path: `${reading.path}/to`, says })
  } else if (isWithin(inside.from, inside.to) || isWithin(inside.to, inside.from)) {
    reading.faults.push({
      path: `${reading.path}/to`,
      says: 'Must not be within from, or hold it.',
    })
  }
  return { kind: 'move', within, ...inside }
}

function isWithin(outer: Place, inner: Place): boolean {
  return outer.every((name, index) => inner[index] === name)
}

function readCast({ fields, path, faults }: Reading): CastTarget {
  const target = castTargets.find((each) => each === fields['to'])
  if (target !== undefined) return target
  if (Object.hasOwn(fields, 'to')) {
    faults.push({ path: `${path}/to`, says: `Must be one of ${castTargets.join(', ')}.` })
  }
  return 'text'
}

function readReplace(reading: Reading): RepairStep {
  const { faults, path, fields } = reading
  const at = readPlace(reading, 'at', 'write')
  const match = readMatch(reading)
  if (match === undefined) {
    const isGiven = Object.hasOwn(fields, 'equals') || Object.hasOwn(fields, 'pattern')
    if (!isGiven) faults.push({ path, says: 'Must have equals or pattern.' })
    return { kind: 'replace', at, match: { kind: 'equals', value: null }, to: null }
  }
  if (match.kind === 'equals') return { kind: 'replace', at, match, to: readValue(reading, 'to') }
  const to = readText(reading, 'to', 0, matchTextLengthMax)
  if (new RegExp(match.pattern, 'u').test('')) {
    faults.push({ path: `${path}/pattern`, says: 'Must not match an empty text.' })
  }
  return { kind: 'replace', at, match, to }
}

/** Returns nothing where there is no match, or a wrong one. */
function readMatch({ fields, path, faults }: Reading): Match | undefined {
  const hasEquals = Object.hasOwn(fields, 'equals')
  const hasPattern = Object.hasOwn(fields, 'pattern')
  if (hasEquals && hasPattern) {
    faults.push({ path, says: 'Must have equals or pattern, not both.' })
    return undefined
  }
  if (hasPattern) {
    const pattern = fields['pattern']
    const says = typeof pattern === 'string' ? findPatternFault(pattern) : 'is not a text'
    if (typeof pattern === 'string' && says === undefined) return { kind: 'pattern', pattern }
    faults.push({ path: `${path}/pattern`, says: `The pattern ${says}.` })
    return undefined
  }
  if (!hasEquals) return undefined
  const value = fields['equals']
  if (value === null || ['string', 'number', 'boolean'].includes(typeof value)) {
    return { kind: 'equals', value: value as string | number | boolean | null }
  }
  faults.push({ path: `${path}/equals`, says: 'Must be a text, a number, true, false or null.' })
  return undefined
}

function readValue({ fields, path, faults }: Reading, name: string): unknown {
  const value = Object.hasOwn(fields, name) ? fields[name] : null
  const fault = findLimitFault(value, valueLimits)
  if (fault !== undefined) {
    faults.push({ path: `${path}/${name}${pointerOf(fault.path)}`, says: fault.says })
  }
  return value
}

function readText(
  { fields, path, faults }: Reading,
  name: string,
  lengthMin: number,
  lengthMax = textLengthMax,
): string {
  const text = Object.hasOwn(fields, name) ? fields[name] : undefined
  if (text === undefined) return ''
  if (typeof text === 'string' && text.length >= lengthMin && text.length <= lengthMax) {
    if (text.isWellFormed() && (name === 'find' || !hasControl(text))) return text
  }
  faults.push({ path: `${path}/${name}`, says: `Must be a text of ${lengthMin} to ${lengthMax}.` })
  return ''
}
