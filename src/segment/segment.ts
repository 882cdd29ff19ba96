/**
 * Segments as a whole: named rules that may name each other. `parseSegments` reads all files of a
 * definition and puts them in topological order, so that one pass in that order evaluates each
 * segment after those it names. A cycle, an unknown name or a name given twice is a fault.
 */

import { isJsonObject } from '../lib/json.ts'
import { parseRule } from './parse-rule.ts'
import { eventsOfField } from './profile-field.ts'
import { eventFiltersOf, partsOfRule, type Rule } from './rule.ts'
import type { RuleFault } from './rule-reader.ts'

export const segmentCountMax = 1_000

const nameForm = /^[^\p{C}/]{1,200}$/u

export interface SegmentFile {
  /** The segment's name: the file's name without its ending. */
  readonly name: string
  /** The parsed YAML or JSON: a rule, or `{ description, rule }`. */
  readonly content: unknown
}

export interface Segment {
  readonly name: string
  readonly description?: string
  readonly rule: Rule
}

export interface RuleNames {
  /** As written, so a dotted path stays one. */
  readonly traits: readonly string[]
  readonly events: readonly string[]
  /** True where any event may matter. */
  readonly isOfAnyEvent: boolean
  readonly segments: readonly string[]
  readonly consents: readonly string[]
  readonly lists: readonly string[]
  /** Properties by the name of the event. */
  readonly properties: ReadonlyMap<string, ReadonlySet<string>>
}

export type ParsedSegments =
  /** In topological order; ties by the order of the files. */
  | { readonly kind: 'segments'; readonly segments: readonly Segment[] }
  /** Paths begin with the segment's name: `buyers/all/0/within`. */
  | { readonly kind: 'refused'; readonly faults: readonly RuleFault[] }

/** Reads the segments of a definition, or refuses them with every fault found. */
export function parseSegments(files: readonly SegmentFile[]): ParsedSegments {
  if (files.length > segmentCountMax) {
    const says = `there are at most ${segmentCountMax} segments`
    return { kind: 'refused', faults: [{ path: '', says }] }
  }
  const faults: RuleFault[] = []
  const segmentByName = new Map<string, Segment>()
  const names = new Set(files.map((file) => file.name))
  for (const file of files) {
    const segment = parseSegment(file, faults)
    if (segment === undefined) continue
    if (segmentByName.has(file.name)) faults.push({ path: file.name, says: 'is defined twice' })
    for (const { path, name } of referencesOf(segment.rule, rootOf(file))) {
      if (names.has(name)) continue
      faults.push({ path, says: `names the unknown segment ${name}` })
    }
    segmentByName.set(file.name, segment)
  }
  const segments = orderSegments(segmentByName, faults)
  return faults.length > 0 ? { kind: 'refused', faults } : { kind: 'segments', segments }
}

/** Returns what a rule depends on, each name once, in the order met. */
export function namesOf(rule: Rule): RuleNames {
  const names = {
    traits: new Set<string>(),
    events: new Set<string>(),
    segments: new Set<string>(),
    consents: new Set<string>(),
    lists: new Set<string>(),
  }
  const properties = new Map<string, Set<string>>()
  let isOfAnyEvent = false
  for (const part of partsOfRule(rule)) {
    if (part.kind === 'trait') names.traits.add(part.trait)
    if (part.kind === 'profile') {
      const some = eventsOfField(part.field)
      if (some === undefined) isOfAnyEvent = true
      for (const event of some ?? []) names.events.add(event)
    }
    if (part.kind === 'segment') names.segments.add(part.segment)
    if (part.kind === 'consent') names.consents.add(part.topic)
    if (part.kind === 'list') names.lists.add(part.list)
    const same = part.kind === 'sequence' && part.same !== 'item' ? part.same : undefined
    for (const filter of eventFiltersOf(part)) {
      names.events.add(filter.event)
      const named = (filter.properties ?? []).map(({ property }) => property)
      if (same !== undefined) named.push(same)
      if (named.length === 0) continue
      properties.set(filter.event, new Set([...(properties.get(filter.event) ?? []), ...named]))
    }
  }
  const { traits, events, segments, consents, lists } = names
  return {
    traits: [...traits],
    events: [...events],
    isOfAnyEvent,
    segments: [...segments],
    consents: [...consents],
    lists: [...lists],
    properties,
  }
}

/** Where a segment's rule begins in its file. */
function rootOf({ name, content }: SegmentFile): string {
  return isJsonObject(content) && Object.hasOwn(content, 'rule') ? `${name}/rule` : name
}

/** Yields the segments that a rule names, with the place of each. */
function* referencesOf(
  rule: Rule,
  path: string,
): Generator<{ readonly path: string; readonly name: string }> {
  if (rule.kind === 'segment') yield { path: `${path}/segment`, name: rule.segment }
  if (rule.kind === 'not') yield* referencesOf(rule.rule, `${path}/not`)
  if (rule.kind !== 'all' && rule.kind !== 'any') return
  for (const [index, part] of rule.rules.entries()) {
    yield* referencesOf(part, `${path}/${rule.kind}/${index}`)
  }
}

function parseSegment(file: SegmentFile, faults: RuleFault[]): Segment | undefined {
  const { name, content } = file
  if (!nameForm.test(name)) {
    const says = 'a segment name has 1 to 200 characters, no slash and no control character'
    faults.push({ path: name.slice(0, 200), says })
    return undefined
  }
  const isWrapped = isJsonObject(content) && Object.hasOwn(content, 'rule')
  const parsed = parseRule(isWrapped ? content['rule'] : content)
  if (parsed.kind === 'refused') {
    const root = rootOf(file)
    for (const { path, says } of parsed.faults) faults.push({ path: root + path, says })
  }
  if (!isWrapped) {
    return parsed.kind === 'rule' ? { name, rule: parsed.rule } : undefined
  }
  for (const key of Object.keys(content)) {
    if (key === 'rule' || key === 'description' || key === 'name') continue
    faults.push({ path: `${name}/${key.slice(0, 100)}`, says: 'is unknown here' })
  }
  if (content['name'] !== undefined && content['name'] !== name) {
    faults.push({ path: `${name}/name`, says: "differs from the file's name" })
  }
  const description = content['description']
  if (description !== undefined && typeof description !== 'string') {
    faults.push({ path: `${name}/description`, says: 'must be a text' })
  }
  if (parsed.kind === 'refused') return undefined
  if (typeof description !== 'string') return { name, rule: parsed.rule }
  return { name, description, rule: parsed.rule }
}

/** Depth first: a segment comes after all it names. Reports each cycle where it is closed. */
function orderSegments(
  segmentByName: ReadonlyMap<string, Segment>,
  faults: RuleFault[],
): readonly Segment[] {
  const ordered: Segment[] = []
  const done = new Set<string>()
  const trail: string[] = []
  const visit = (segment: Segment): void => {
    if (done.has(segment.name)) return
    const start = trail.indexOf(segment.name)
    if (start >= 0) {
      const cycle = [...trail.slice(start), segment.name].join(' -> ')
      faults.push({ path: segment.name, says: `depends on itself: ${cycle}` })
      return
    }
    trail.push(segment.name)
    for (const name of namesOf(segment.rule).segments) {
      const named = segmentByName.get(name)
      if (named !== undefined) visit(named)
    }
    trail.pop()
    done.add(segment.name)
    ordered.push(segment)
  }
  for (const segment of segmentByName.values()) visit(segment)
  return ordered
}
