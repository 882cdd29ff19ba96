/**
 * Turns the cells of a row into events, by the names of its columns or by a definition.
 *
 * A row becomes a track event where it names an event, an identify event where it has traits, and
 * both where it has both: who somebody is then comes before what they did. `type` overrides this.
 * A time that cannot be read refuses the row: the event would seem to have happened today.
 */

import type { Json } from '../lib/json.ts'
import { identifyEventId } from './import-id.ts'
import {
  convertText,
  objectPlace,
  type Place,
  type PlaceObject,
  type PlaceRoot,
  parsePlace,
  readTime,
  type TimeForm,
} from './row-place.ts'

export const otherColumns = ['refuse', 'drop', 'properties', 'traits'] as const
export type OtherColumns = (typeof otherColumns)[number]

export interface RowMapping {
  /** By the name of the column, as it stands in the file; a value may go to several places. */
  readonly columns: ReadonlyMap<string, readonly Place[]>
  /** Columns that are left out. */
  readonly dropped: ReadonlySet<string>
  /** Where columns go that are not named. */
  readonly others: OtherColumns
  readonly fixed: readonly (readonly [Place, Json])[]
  readonly timeForm: TimeForm
}

export type Mapped =
  | { readonly kind: 'events'; readonly items: readonly Readonly<Record<string, Json>>[] }
  | { readonly kind: 'refused'; readonly path: string; readonly says: string }

export interface RowMapper {
  /** `values` are in the order of the columns; undefined, null and '' are no value. */
  map(values: readonly unknown[], eventId: string): Mapped
}

export type CreatedMapper =
  | { readonly kind: 'mapper'; readonly mapper: RowMapper }
  | { readonly kind: 'refused'; readonly faults: readonly string[] }

export const plainMapping: RowMapping = {
  columns: new Map(),
  dropped: new Set(),
  others: 'refuse',
  fixed: [],
  timeForm: 'iso',
}

interface Draft {
  readonly roots: Partial<Record<PlaceRoot, Json>>
  readonly objects: Partial<Record<PlaceObject, Record<string, Json>>>
}

/** Makes the mapper of a file with these columns, or names all columns that have no place. */
export function createRowMapper(columns: readonly string[], mapping: RowMapping): CreatedMapper {
  const faults: string[] = []
  const unknown = [...mapping.columns.keys()].filter((name) => !columns.includes(name))
  for (const name of unknown) faults.push(`The file has no column ${name}.`)
  const plan: { readonly index: number; readonly column: string; readonly place: Place }[] = []
  for (const [index, column] of columns.entries()) {
    if (mapping.dropped.has(column)) continue
    const places = mapping.columns.get(column) ?? placesOf(column, mapping.others)
    if (typeof places === 'string') faults.push(places)
    else for (const place of places) plan.push({ index, column, place })
  }
  if (faults.length > 0) return { kind: 'refused', faults }
  const map = (values: readonly unknown[], eventId: string): Mapped => {
    const draft: Draft = { roots: {}, objects: {} }
    for (const [place, value] of mapping.fixed) put(draft, place, value)
    for (const { index, column, place } of plan) {
      const value = values[index]
      if (value === undefined || value === null || value === '') continue
      const says = putCell(draft, place, { value, timeForm: mapping.timeForm })
      if (says !== undefined) return { kind: 'refused', path: column, says }
    }
    return eventsOf(draft, eventId)
  }
  return { kind: 'mapper', mapper: { map } }
}

function placesOf(column: string, others: OtherColumns): readonly Place[] | string {
  const parsed = parsePlace(column)
  if (parsed.kind === 'place') return [parsed.place]
  if (others === 'drop') return []
  if (others === 'refuse') return `The column ${column} has no place in an event.`
  // A dot in a foreign name is no path.
  return [objectPlace(others, [column])]
}

function putCell(
  draft: Draft,
  place: Place,
  cell: { readonly value: unknown; readonly timeForm: TimeForm },
): string | undefined {
  const { value } = cell
  if (place.kind === 'root') {
    if (place.name !== 'timestamp') draft.roots[place.name] = value as Json
    else {
      const atMs = readTime(value, cell.timeForm)
      if (atMs === undefined) return 'The time cannot be read.'
      draft.roots.timestamp = atMs
    }
    return undefined
  }
  if (typeof value !== 'string' || place.type === 'text') {
    put(draft, place, value as Json)
    return undefined
  }
  const converted = convertText(value, place.type)
  if (converted.kind === 'refused') return converted.says
  put(draft, place, converted.value)
  return undefined
}

function put(draft: Draft, place: Place, value: Json): void {
  if (place.kind === 'root') {
    draft.roots[place.name] = value
    return
  }
  const { root, path } = place
  let into = draft.objects[root]
  if (into === undefined) {
    into = {}
    draft.objects[root] = into
  }
  for (let index = 0; index < path.length - 1; index++) {
    const name = path[index] ?? ''
    const inner = into[name]
    const isOpen = typeof inner === 'object' && inner !== null && !Array.isArray(inner)
    const next: Record<string, Json> = isOpen ? (inner as Record<string, Json>) : {}
    into[name] = next
    into = next
  }
  into[path[path.length - 1] ?? ''] = value
}

function eventsOf(draft: Draft, rowId: string): Mapped {
  const { roots, objects } = draft
  const { type, event, messageId, name, category, groupId, previousId, ...ids } = roots
  const eventId = typeof messageId === 'string' && messageId !== '' ? messageId : rowId
  const context = objects.context === undefined ? {} : { context: objects.context }
  const shared = { ...ids, ...context }
  const action = type ?? (event === undefined ? undefined : 'track')
  const identify = { type: 'identify', ...shared, traits: objects.traits ?? {} }
  if (action === undefined || action === 'identify') {
    if (action === undefined && objects.traits === undefined) {
      return { kind: 'refused', path: '', says: 'The row has neither an event nor traits.' }
    }
    return { kind: 'events', items: [{ ...identify, messageId: eventId }] }
  }
  const isGroup = action === 'group'
  const item = {
    type: action,
    messageId: eventId,
    ...shared,
    ...(event === undefined ? {} : { event }),
    ...(name === undefined ? {} : { name }),
    ...(category === undefined ? {} : { category }),
    ...(groupId === undefined ? {} : { groupId }),
    ...(previousId === undefined ? {} : { previousId }),
    ...(objects.properties === undefined ? {} : { properties: objects.properties }),
    ...(isGroup && objects.traits !== undefined ? { traits: objects.traits } : {}),
  }
  if (isGroup || objects.traits === undefined) return { kind: 'events', items: [item] }
  return {
    kind: 'events',
    items: [{ ...identify, messageId: identifyEventId(eventId) }, item],
  }
}
