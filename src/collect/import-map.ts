/**
 * The definition of an import, as a file `--map` gives it: where columns go, what paths mean, how
 * streams are read. Every fault is named at once, with its JSON pointer.
 */

import { type DefinitionFault, refuseUnknown } from '../event/definition-fault.ts'
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'
import { type AccessMapping, type AccessRule, plainAccess } from './access-event.ts'
import { type AccessFields, accessNames, defaultAccessFields } from './access-json.ts'
import { otherColumns, plainMapping, type RowMapping } from './row-mapping.ts'
import { type Place, parsePlace, timeForms } from './row-place.ts'
import type { SingerStream } from './singer.ts'

export interface ImportMap {
  readonly rows: RowMapping
  readonly access: AccessMapping
  /** Of `json-lines`. */
  readonly fields: AccessFields
  /** Names of the fields behind the user agent of a log line. */
  readonly extraFields: readonly string[]
  readonly streams: ReadonlyMap<string, SingerStream>
}

export type ParsedMap =
  | { readonly kind: 'map'; readonly map: ImportMap }
  | { readonly kind: 'refused'; readonly faults: readonly DefinitionFault[] }

export const plainMap: ImportMap = {
  rows: plainMapping,
  access: plainAccess,
  fields: defaultAccessFields,
  extraFields: [],
  streams: new Map(),
}

const rowNames = ['columns', 'drop', 'others', 'set', 'timestamps'] as const
const accessKeys = [
  ...(['anonymousId', 'userId', 'site', 'robots', 'static', 'rules', 'fields'] as const),
  'extraFields',
] as const
const ruleNames = ['path', 'method', 'event', 'drop', 'properties'] as const

const entryCountMax = 1_000
const textLengthMax = 1_000
const fieldName = /^(?!__)[A-Za-z_@][\w@.-]{0,63}$/

export function parseImportMap(input: unknown): ParsedMap {
  const faults: DefinitionFault[] = []
  if (!isJsonObject(input)) return { kind: 'refused', faults: [fault('', 'Not a mapping.')] }
  refuseUnknown(input, [...rowNames, ...accessKeys, 'streams'], { path: '', faults })
  const map: ImportMap = {
    rows: parseRows(input, '', faults),
    access: parseAccess(input, faults),
    fields: parseFields(input['fields'], faults),
    extraFields: parseNames(input['extraFields'], '/extraFields', faults),
    streams: parseStreams(input['streams'], faults),
  }
  return faults.length > 0 ? { kind: 'refused', faults } : { kind: 'map', map }
}

function parseRows(input: JsonObject, path: string, faults: DefinitionFault[]): RowMapping {
  const columns = new Map<string, readonly Place[]>()
  for (const [name, written] of entriesOf(input['columns'], `${path}/columns`, faults)) {
    const at = `${path}/columns/${pointer(name)}`
    const places = (Array.isArray(written) ? written : [written]).map((each) =>
      readPlace(each as Json, at, faults),
    )
    columns.set(
      name,
      places.filter((place) => place !== undefined),
    )
  }
  const fixed: [Place, Json][] = []
  for (const [name, value] of entriesOf(input['set'], `${path}/set`, faults)) {
    const at = `${path}/set/${pointer(name)}`
    if (typeof value === 'object') faults.push(fault(at, 'Must be a text, a number or a boolean.'))
    const place = readPlace(name, at, faults)
    if (place !== undefined) fixed.push([place, value])
  }
  const others = oneOf(input['others'], otherColumns, { path: `${path}/others`, faults })
  const form = oneOf(input['timestamps'], timeForms, { path: `${path}/timestamps`, faults })
  return {
    columns,
    dropped: new Set(parseTexts(input['drop'], `${path}/drop`, faults)),
    others: others ?? plainMapping.others,
    fixed,
    timeForm: form ?? plainMapping.timeForm,
  }
}

function parseAccess(input: JsonObject, faults: DefinitionFault[]): AccessMapping {
  const site = input['site']
  const isSite = typeof site === 'string' && URL.parse(site)?.origin === site
  if (site !== undefined && !isSite) {
    faults.push(fault('/site', 'Must be like https://shop.example, without a path.'))
  }
  const rules = input['rules'] ?? []
  if (!Array.isArray(rules) || rules.length > entryCountMax) {
    faults.push(fault('/rules', `Must be a list of at most ${entryCountMax} rules.`))
  }
  const keeps = ['keep', 'drop'] as const
  const anonymousId = optionalName(input['anonymousId'], '/anonymousId', faults)
  const userId = optionalName(input['userId'], '/userId', faults)
  return {
    rules: Array.isArray(rules)
      ? rules.slice(0, entryCountMax).map((rule: Json, index) => parseRule(rule, index, faults))
      : [],
    anonymousId,
    userId,
    site: isSite ? site : undefined,
    keepsRobots: oneOf(input['robots'], keeps, { path: '/robots', faults }) === 'keep',
    keepsStatic: oneOf(input['static'], keeps, { path: '/static', faults }) === 'keep',
  }
}

function parseRule(input: Json, index: number, faults: DefinitionFault[]): AccessRule {
  const path = `/rules/${index}`
  const rule: JsonObject = isJsonObject(input) ? input : {}
  refuseUnknown(rule, ruleNames, { path, faults })
  const written = rule['path']
  const isPath = typeof written === 'string' && written.startsWith('/')
  if (!isPath) faults.push(fault(`${path}/path`, 'Must be a path such as /products/:id.'))
  const segments = isPath ? written.split('/').filter((segment) => segment !== '') : []
  if (segments.slice(0, -1).includes('**')) {
    faults.push(fault(`${path}/path`, 'The part ** stands at the end only.'))
  }
  const method = rule['method'] ?? 'GET'
  if (typeof method !== 'string' || !/^[A-Z]{3,10}$/.test(method)) {
    faults.push(fault(`${path}/method`, 'Must be a method such as POST.'))
  }
  const event = rule['event']
  const isEvent = typeof event === 'string' && event !== '' && event.length <= textLengthMax
  if (event !== undefined && !isEvent) faults.push(fault(`${path}/event`, 'Must be a text.'))
  const properties = entriesOf(rule['properties'], `${path}/properties`, faults)
  for (const [name, value] of properties) {
    const isSegment = typeof value === 'string' && value.startsWith(':')
    if (!isSegment || segments.includes(value)) continue
    const says = `The path has no part ${value}.`
    faults.push(fault(`${path}/properties/${pointer(name)}`, says))
  }
  return {
    method: String(method),
    path: segments,
    event: isEvent ? event : undefined,
    shouldDrop: rule['drop'] === true,
    properties,
  }
}

function parseFields(input: Json | undefined, faults: DefinitionFault[]): AccessFields {
  const fields: Record<string, readonly string[]> = {}
  for (const [name, path] of entriesOf(input, '/fields', faults)) {
    const isSound = typeof path === 'string' && path !== '' && fieldName.test(name)
    if (isSound) fields[name] = [path]
    else faults.push(fault(`/fields/${pointer(name)}`, 'Must be the path of a value.'))
  }
  // A field that is not named keeps the usual places.
  return { ...defaultAccessFields, ...fields }
}

function parseStreams(
  input: Json | undefined,
  faults: DefinitionFault[],
): ReadonlyMap<string, SingerStream> {
  const streams = new Map<string, SingerStream>()
  for (const [name, definition] of entriesOf(input, '/streams', faults)) {
    const path = `/streams/${pointer(name)}`
    if (definition === 'drop') {
      streams.set(name, { isDropped: true, mapping: { ...plainMapping, others: 'drop' } })
      continue
    }
    if (!isJsonObject(definition)) {
      faults.push(fault(path, `Must be drop, or a mapping with ${rowNames.join(', ')}.`))
      continue
    }
    refuseUnknown(definition, rowNames, { path, faults })
    streams.set(name, { isDropped: false, mapping: parseRows(definition, path, faults) })
  }
  return streams
}

function parseNames(
  input: Json | undefined,
  path: string,
  faults: DefinitionFault[],
): readonly string[] {
  const names = parseTexts(input, path, faults)
  for (const [index, name] of names.entries()) {
    const isTaken = (accessNames as readonly string[]).includes(name)
    if (isTaken || !fieldName.test(name)) {
      faults.push(fault(`${path}/${index}`, 'Must be a name that the format does not have yet.'))
    }
  }
  return names
}

function parseTexts(
  input: Json | undefined,
  path: string,
  faults: DefinitionFault[],
): readonly string[] {
  if (input === undefined || input === null) return []
  const isList = Array.isArray(input) && input.length <= entryCountMax
  if (isList && input.every((each): each is string => typeof each === 'string')) return input
  faults.push(fault(path, `Must be a list of at most ${entryCountMax} texts.`))
  return []
}

function optionalName(
  input: Json | undefined,
  path: string,
  faults: DefinitionFault[],
): string | undefined {
  if (input === undefined) return undefined
  if (typeof input === 'string' && fieldName.test(input)) return input
  faults.push(fault(path, 'Must be the name of a field.'))
  return undefined
}

function readPlace(input: Json, path: string, faults: DefinitionFault[]): Place | undefined {
  const parsed = typeof input === 'string' ? parsePlace(input) : undefined
  if (parsed?.kind === 'place') return parsed.place
  faults.push(fault(path, parsed?.says ?? 'Must be a place such as properties.price.'))
  return undefined
}

function entriesOf(
  input: Json | undefined,
  path: string,
  faults: DefinitionFault[],
): readonly [string, Json][] {
  if (input === undefined || input === null) return []
  const entries = isJsonObject(input) ? Object.entries(input) : undefined
  if (entries !== undefined && entries.length <= entryCountMax) return entries
  faults.push(fault(path, `Must be a mapping of at most ${entryCountMax} names.`))
  return []
}

function oneOf<Choice extends string>(
  input: Json | undefined,
  choices: readonly Choice[],
  at: { readonly path: string; readonly faults: DefinitionFault[] },
): Choice | undefined {
  const found = choices.find((choice) => choice === input)
  if (found !== undefined || input === undefined) return found
  at.faults.push(fault(at.path, `Must be one of ${choices.join(', ')}.`))
  return undefined
}

function fault(path: string, says: string): DefinitionFault {
  return { path, says }
}

function pointer(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1')
}
