/**
 * Which values besides user ids and devices say who somebody is: `identity.yaml` of the
 * definitions.
 *
 * The order of `kinds` is their priority: where not all can count, the first ones do. What is not
 * declared never joins anybody.
 */

import { type DefinitionFault, refuseUnknown } from '../event/definition-fault.ts'
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'
import { deviceKind, reservedKinds } from './identity-key.ts'
import { partCountMax } from './person.ts'

export const identityForms = ['email', 'phone', 'text'] as const
export type IdentityForm = (typeof identityForms)[number]

export interface IdentityKind {
  readonly name: string
  readonly form: IdentityForm
  /** Of numbers without one, digits; absent where only those with `+` or `00` count. */
  readonly countryCode?: string
  /** Paths into an event: `traits.email`, `context.traits.email`, `externalIds.crm_id`. */
  readonly from: readonly (readonly string[])[]
  /** Keys of this kind that one person may have. */
  readonly keyCountMax: number
  /** Users who may have the same value; with more it joins nobody any more. */
  readonly peopleCountMax: number
  /** True where two users with the same value are one person. */
  readonly joinsUsers: boolean
}

export interface IdentityRules {
  /** By priority, the first before the others. */
  readonly kinds: readonly IdentityKind[]
  readonly deviceKeyCountMax: number
  readonly devicePeopleCountMax: number
  /** Values that are nobody's, as `normalizeValue` gives them. */
  readonly never: ReadonlySet<string>
}

export const kindCountMax = 8
const pathCountMax = 8
const neverCountMax = 1000
const peopleCountLimit = 100
const keyCountDefault = 5
const peopleCountDefault = 3
const devicePeopleCountDefault = 10
const valueLengthMax = 254

/** What holds where no `identity.yaml` is. */
export const defaultIdentityRules: IdentityRules = {
  kinds: [],
  deviceKeyCountMax: partCountMax - 1,
  devicePeopleCountMax: devicePeopleCountDefault,
  never: new Set(),
}

export type ParsedIdentityRules =
  | { readonly kind: 'rules'; readonly rules: IdentityRules }
  | { readonly kind: 'refused'; readonly faults: readonly DefinitionFault[] }

/** Reads `identity.yaml`, or says all that is wrong with it. */
export function parseIdentityRules(input: unknown): ParsedIdentityRules {
  const faults: DefinitionFault[] = []
  if (!isJsonObject(input)) {
    return { kind: 'refused', faults: [{ path: '', says: 'Not a mapping.' }] }
  }
  refuseUnknown(input, ['kinds', 'devices', 'never'], { path: '', faults })
  const kinds = readKinds(input['kinds'], faults)
  const devices = input['devices'] ?? {}
  if (!isJsonObject(devices)) faults.push({ path: '/devices', says: 'Not a mapping.' })
  const limits = isJsonObject(devices) ? devices : {}
  refuseUnknown(limits, ['keysPerPerson', 'peoplePerKey'], { path: '/devices', faults })
  const { deviceKeyCountMax, devicePeopleCountMax } = defaultIdentityRules
  const rules: IdentityRules = {
    kinds,
    deviceKeyCountMax: readCount(limits, 'keysPerPerson', '/devices', faults, {
      default: deviceKeyCountMax,
      max: partCountMax - 1,
    }),
    devicePeopleCountMax: readCount(limits, 'peoplePerKey', '/devices', faults, {
      default: devicePeopleCountMax,
      max: peopleCountLimit,
    }),
    never: readNever(input['never'], faults),
  }
  return faults.length > 0 ? { kind: 'refused', faults } : { kind: 'rules', rules }
}

/** Returns the kind of a name, or undefined where it is not declared. */
export function findKind(rules: IdentityRules, name: string): IdentityKind | undefined {
  return rules.kinds.find((kind) => kind.name === name)
}

/** Returns how many keys of a kind one person may have; users are bound by the whole alone. */
export function keyCountMaxOf(rules: IdentityRules, kind: string): number {
  if (kind === deviceKind) return rules.deviceKeyCountMax
  return findKind(rules, kind)?.keyCountMax ?? partCountMax
}

/** Returns how many users may have the same key of a kind. */
export function peopleCountMaxOf(rules: IdentityRules, kind: string): number {
  return findKind(rules, kind)?.peopleCountMax ?? rules.devicePeopleCountMax
}

/** Returns the form in which values that are nobody's are compared. */
export function normalizeValue(value: string): string {
  return value.trim().toLowerCase()
}

function readKinds(input: Json | undefined, faults: DefinitionFault[]): readonly IdentityKind[] {
  const list = input ?? []
  if (!Array.isArray(list) || list.length > kindCountMax) {
    faults.push({ path: '/kinds', says: `Not a list of at most ${kindCountMax} kinds.` })
    return []
  }
  const names = new Set<string>()
  return list.flatMap((each: Json, index) => {
    const path = `/kinds/${index}`
    if (!isJsonObject(each)) {
      faults.push({ path, says: 'Not a mapping.' })
      return []
    }
    const kind = readKind(each, path, faults)
    if (names.has(kind.name)) faults.push({ path: `${path}/name`, says: 'Declared twice.' })
    names.add(kind.name)
    return [kind]
  })
}

function readKind(input: JsonObject, path: string, faults: DefinitionFault[]): IdentityKind {
  const known = ['name', 'form', 'countryCode', 'from', 'keysPerPerson', 'peoplePerKey']
  refuseUnknown(input, [...known, 'joinsUsers'], { path, faults })
  const name = typeof input['name'] === 'string' ? input['name'] : ''
  if (!/^[a-z][a-z0-9_-]{0,31}$/.test(name) || reservedKinds.has(name)) {
    const says = 'A name has 1 to 32 of a-z, 0-9, - and _, and is none of'
    faults.push({ path: `${path}/name`, says: `${says} ${[...reservedKinds].join(', ')}.` })
  }
  const form = identityForms.find((each) => each === (input['form'] ?? 'text'))
  if (form === undefined) {
    faults.push({ path: `${path}/form`, says: `Not one of ${identityForms.join(', ')}.` })
  }
  const { countryCode, joinsUsers = false } = input
  const isCode = typeof countryCode === 'string' && /^[1-9]\d{0,2}$/.test(countryCode)
  if (countryCode !== undefined && !(isCode && form === 'phone')) {
    const says = 'Not a text of 1 to 3 digits such as "49", of a kind of form phone.'
    faults.push({ path: `${path}/countryCode`, says })
  }
  if (typeof joinsUsers !== 'boolean') {
    faults.push({ path: `${path}/joinsUsers`, says: 'Neither true nor false.' })
  }
  return {
    name,
    form: form ?? 'text',
    from: readPaths(input['from'], `${path}/from`, faults),
    keyCountMax: readCount(input, 'keysPerPerson', path, faults, {
      default: keyCountDefault,
      max: partCountMax - 1,
    }),
    peopleCountMax: readCount(input, 'peoplePerKey', path, faults, {
      default: peopleCountDefault,
      max: peopleCountLimit,
    }),
    joinsUsers: joinsUsers === true,
    ...(isCode ? { countryCode } : {}),
  }
}

const holders: ReadonlySet<unknown> = new Set(['traits', 'properties', 'context', 'externalIds'])

function readPaths(
  input: Json | undefined,
  path: string,
  faults: DefinitionFault[],
): readonly (readonly string[])[] {
  const list: readonly Json[] = Array.isArray(input) ? input : []
  if (list.length === 0 || list.length > pathCountMax) {
    faults.push({ path, says: `Not a list of 1 to ${pathCountMax} places of an event.` })
  }
  return list.flatMap((each, index) => {
    const names = typeof each === 'string' ? each.split('.') : []
    const isSound = names.length >= 2 && names.length <= 6 && names.every((name) => name !== '')
    if (isSound && holders.has(names[0]) && (names[0] !== 'externalIds' || names.length === 2)) {
      return [names]
    }
    const says = `Not a place such as traits.email; it begins with ${[...holders].join(', ')}.`
    faults.push({ path: `${path}/${index}`, says })
    return []
  })
}

function readCount(
  input: JsonObject,
  name: string,
  path: string,
  faults: DefinitionFault[],
  bounds: { readonly default: number; readonly max: number },
): number {
  const value = input[name] ?? bounds.default
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= bounds.max) {
    return value
  }
  faults.push({ path: `${path}/${name}`, says: `Not a whole number from 1 to ${bounds.max}.` })
  return bounds.default
}

function readNever(input: Json | undefined, faults: DefinitionFault[]): ReadonlySet<string> {
  const list = input ?? []
  if (!Array.isArray(list) || list.length > neverCountMax) {
    faults.push({ path: '/never', says: `Not a list of at most ${neverCountMax} texts.` })
    return new Set()
  }
  const values = list.flatMap((each: Json, index) => {
    const isText = typeof each === 'string' && each.trim() !== '' && each.length <= valueLengthMax
    if (isText) return [normalizeValue(each)]
    const says = `Not a text of 1 to ${valueLengthMax} characters; numbers stand in quotes.`
    faults.push({ path: `/never/${index}`, says })
    return []
  })
  return new Set(values)
}
