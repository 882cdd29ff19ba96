/**
 * The definitions in force, ready for the fold, delivery and collection.
 *
 * A `DefinitionsDocument` is what `apply` puts into the side store, named in the log by its hash:
 * the files as parsed, templates already compiled. Compiling a document again always gives the same
 * behaviour, so a replay decides as before.
 */

import { type Campaign, parseCampaign } from '../campaign/campaign.ts'
import { parseSource, sessionIdleMsDefault, sessionIdleMsOf } from '../event/source.ts'
import { sha256Hex } from '../lib/hash.ts'
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'
import {
  defaultIdentityRules,
  type IdentityRules,
  parseIdentityRules,
} from '../profile/identity-rules.ts'
import { defaultRules, parseRules, type RecommenderRules } from '../recommend/recommender-rules.ts'
import { type ComputedTrait, type ParsedTraits, parseTraits } from '../segment/computed-trait.ts'
import { type EvaluationPlan, planEvaluation } from '../segment/plan.ts'
import { parseSegments } from '../segment/segment.ts'
import type { Template } from '../template/template.ts'

export const documentFormat = 1

export interface Shop {
  readonly name: string
  readonly currency: string
  readonly url: string
}

export interface DefinitionsDocument {
  readonly format: typeof documentFormat
  readonly shop: JsonObject
  /** As parsed from `sources/*.yaml`, with schemas put in place of their file names. */
  readonly sources: readonly Json[]
  readonly segments: readonly { readonly name: string; readonly content: Json }[]
  readonly campaigns: readonly Json[]
  /** Absent in documents of before there were any. */
  readonly recommenders?: readonly { readonly name: string; readonly content: Json }[]
  readonly templates: Readonly<Record<string, Template>>
  /** As parsed from `identity.yaml`; absent where there is none. */
  readonly identity?: Json
  /** As parsed from `traits/*.yaml`; absent in documents from before there were any. */
  readonly traits?: readonly { readonly name: string; readonly content: Json }[]
}

export interface DefinitionFault {
  readonly file: string
  readonly path: string
  readonly says: string
}

export interface CompiledDefinitions {
  /** Of the document; '' for none. */
  readonly hash: string
  /** By name, of the rule as it was written: people are evaluated again where it changes. */
  readonly segmentHashes: ReadonlyMap<string, string>
  hasSegment(name: string): boolean
  readonly shop: Shop
  readonly plan: EvaluationPlan
  readonly campaigns: ReadonlyMap<string, Campaign>
  readonly templates: ReadonlyMap<string, Template>
  readonly recommenders: ReadonlyMap<string, RecommenderRules>
  readonly sources: readonly Json[]
  readonly identity: IdentityRules
  readonly computed: readonly ComputedTrait[]
  /** By name of a trait: sources whose word about it counts more, the first most. */
  readonly traitPriorities: ReadonlyMap<string, readonly string[]>
  /** For how long an event keeps its session open; 0 of a source whose events are no visits. */
  sessionIdleMsOf(sourceId: string): number
  campaignsStartedByEvent(event: string): readonly Campaign[]
  campaignsStartedBySegment(crossing: {
    readonly segment: string
    readonly isEntry: boolean
  }): readonly Campaign[]
  campaignsExitedBy(event: string): readonly Campaign[]
}

export const emptyDocument: DefinitionsDocument = {
  format: documentFormat,
  shop: {},
  sources: [],
  segments: [],
  campaigns: [],
  templates: {},
}

export function encodeDocument(document: DefinitionsDocument): Uint8Array {
  return Buffer.from(JSON.stringify(document))
}

export type CompileAnswer =
  | { readonly kind: 'compiled'; readonly definitions: CompiledDefinitions }
  | { readonly kind: 'refused'; readonly faults: readonly DefinitionFault[] }

/** Compiles a document, or says all that is wrong with it. `hash` is that of its bytes. */
export function compileDefinitions(document: DefinitionsDocument, hash: string): CompileAnswer {
  const faults: DefinitionFault[] = []
  const segments = compileSegments(document, faults)
  const recommenders = compileRecommenders(document, faults)
  const campaigns = compileCampaigns(document, { segments, recommenders }, faults)
  const identity = compileIdentity(document, faults)
  const { computed, priorities } = compileTraits(document, faults)
  if (faults.length > 0) return { kind: 'refused', faults }
  const segmentHashes = new Map(
    document.segments.map(({ name, content }) => [name, hashRule(content)]),
  )
  const byEvent = groupBy(campaigns, ({ trigger }) =>
    trigger.kind === 'event' ? [trigger.event] : [],
  )
  const bySegment = groupBy(campaigns, ({ trigger }) =>
    trigger.kind === 'segment-entry' ? [trigger.segment] : [],
  )
  const bySegmentLeft = groupBy(campaigns, ({ trigger }) =>
    trigger.kind === 'segment-exit' ? [trigger.segment] : [],
  )
  const byExit = groupBy(campaigns, ({ exits }) => exits)
  const idleMs = readIdleMs(document)
  const definitions: CompiledDefinitions = {
    hash,
    segmentHashes,
    hasSegment: (name) => segmentHashes.has(name),
    shop: readShop(document.shop),
    plan: segments,
    campaigns: new Map(campaigns.map((campaign) => [campaign.name, campaign])),
    templates: new Map(Object.entries(document.templates)),
    recommenders,
    sources: document.sources,
    identity,
    computed,
    traitPriorities: priorities,
    sessionIdleMsOf: (sourceId) => idleMs.get(sourceId) ?? sessionIdleMsDefault,
    campaignsStartedByEvent: (event) => byEvent.get(event) ?? [],
    campaignsStartedBySegment: ({ segment, isEntry }) =>
      (isEntry ? bySegment : bySegmentLeft).get(segment) ?? [],
    campaignsExitedBy: (event) => byExit.get(event) ?? [],
  }
  return { kind: 'compiled', definitions }
}

/** By source; what is wrong with one is told where its file is read. */
function readIdleMs({ sources }: DefinitionsDocument): ReadonlyMap<string, number> {
  const ofSources = sources.flatMap((content): (readonly [string, number])[] => {
    const parsed = parseSource(content)
    return parsed.kind === 'refused'
      ? []
      : [[parsed.source.sourceId, sessionIdleMsOf(parsed.source)]]
  })
  // What became of an email is no visit.
  return new Map([...ofSources, ['delivery', 0]])
}

/** A description says nothing of who is in the segment. */
function hashRule(content: Json): string {
  const isWrapped = isJsonObject(content) && Object.hasOwn(content, 'rule')
  return sha256Hex(JSON.stringify(isWrapped ? content['rule'] : content)).slice(0, 16)
}

function compileSegments(document: DefinitionsDocument, faults: DefinitionFault[]): EvaluationPlan {
  const parsed = parseSegments(document.segments)
  if (parsed.kind === 'segments') return planEvaluation(parsed.segments)
  faults.push(...faultsOfFiles('segments', parsed.faults))
  return planEvaluation([])
}

/** Their paths begin with the name of the file; one of all files has none. */
function faultsOfFiles(
  folder: string,
  faults: readonly Pick<DefinitionFault, 'path' | 'says'>[],
): readonly DefinitionFault[] {
  return faults.map(({ path, says }) => {
    const [name = '', ...inner] = path.split('/')
    const file = name === '' ? folder : `${folder}/${name}.yaml`
    return { file, path: inner.join('/'), says }
  })
}

function compileIdentity(
  { identity }: DefinitionsDocument,
  faults: DefinitionFault[],
): IdentityRules {
  if (identity === undefined) return defaultIdentityRules
  const parsed = parseIdentityRules(identity)
  if (parsed.kind === 'rules') return parsed.rules
  for (const { path, says } of parsed.faults) faults.push({ file: 'identity.yaml', path, says })
  return defaultIdentityRules
}

function compileRecommenders(
  { recommenders = [] }: DefinitionsDocument,
  faults: DefinitionFault[],
): ReadonlyMap<string, RecommenderRules> {
  const compiled = new Map<string, RecommenderRules>()
  for (const { name, content } of recommenders) {
    const file = `recommenders/${name}.yaml`
    if (!/^[a-z0-9][a-z0-9-]{0,63}$/.test(name)) {
      faults.push({ file, path: '', says: 'must be named by a-z, 0-9 and -, at most 64' })
    }
    const parsed = parseRules(content, name)
    if (parsed.kind === 'rules') compiled.set(name, parsed.rules)
    else for (const { path, says } of parsed.faults) faults.push({ file, path, says })
    // Whoever names it is not wrong because it is.
    if (parsed.kind === 'refused') compiled.set(name, defaultRules)
  }
  return compiled
}

interface Known {
  readonly segments: EvaluationPlan
  readonly recommenders: ReadonlyMap<string, RecommenderRules>
}

function compileTraits(
  document: DefinitionsDocument,
  faults: DefinitionFault[],
): Pick<Extract<ParsedTraits, { kind: 'traits' }>, 'computed' | 'priorities'> {
  const parsed = parseTraits(document.traits ?? [], sha256Hex)
  if (parsed.kind === 'traits') return parsed
  faults.push(...faultsOfFiles('traits', parsed.faults))
  return { computed: [], priorities: new Map() }
}

function compileCampaigns(
  document: DefinitionsDocument,
  known: Known,
  faults: DefinitionFault[],
): readonly Campaign[] {
  const campaigns = document.campaigns.flatMap((content) => {
    const name = isJsonObject(content) && typeof content['name'] === 'string' ? content['name'] : ''
    const file = `campaigns/${name}.yaml`
    const parsed = parseCampaign(content)
    if (parsed.kind === 'refused') {
      for (const { path, says } of parsed.faults) faults.push({ file, path, says })
      return []
    }
    const { campaign } = parsed
    checkReferences(campaign, { document, ...known }, file, faults)
    return [campaign]
  })
  return campaigns.sort((left, right) => (left.name < right.name ? -1 : 1))
}

function checkReferences(
  campaign: Campaign,
  known: Known & { readonly document: DefinitionsDocument },
  file: string,
  faults: DefinitionFault[],
): void {
  const { trigger } = campaign
  const { segments, recommenders, document } = known
  const hasSegment = (name: string): boolean => segments.segments.some((one) => one.name === name)
  if (trigger.kind !== 'event' && !hasSegment(trigger.segment)) {
    faults.push({ file, path: 'trigger.segment', says: `no segment ${trigger.segment}` })
  }
  campaign.steps.forEach((step, index) => {
    if (step.kind !== 'send') return
    const path = `steps[${index}].send`
    if (!Object.hasOwn(document.templates, step.template)) {
      faults.push({ file, path: `${path}.template`, says: `no template ${step.template}` })
    }
    const { recommender, slots = [] } = step
    const used = [
      ...(recommender === undefined ? [] : [{ at: 'recommendations', recommender }]),
      ...slots.map((slot) => ({ at: `slots.${slot.name}`, recommender: slot.recommender })),
    ]
    for (const each of used) {
      if (each.recommender === '' || recommenders.has(each.recommender)) continue
      const says = `no recommender ${each.recommender}`
      faults.push({ file, path: `${path}.${each.at}.using`, says })
    }
  })
}

function readShop(input: JsonObject): Shop {
  const text = (name: string, fallback: string): string => {
    const value = Object.hasOwn(input, name) ? input[name] : undefined
    return typeof value === 'string' ? value : fallback
  }
  return { name: text('name', 'Shop'), currency: text('currency', 'EUR'), url: text('url', '') }
}

function groupBy(
  campaigns: readonly Campaign[],
  namesOf: (campaign: Campaign) => readonly string[],
): ReadonlyMap<string, readonly Campaign[]> {
  const groups = new Map<string, Campaign[]>()
  for (const campaign of campaigns) {
    for (const name of namesOf(campaign)) {
      const group = groups.get(name)
      if (group === undefined) groups.set(name, [campaign])
      else if (!group.includes(campaign)) group.push(campaign)
    }
  }
  return groups
}

/** What is in force before anything was applied. */
export function noDefinitions(): CompiledDefinitions {
  const answer = compileDefinitions(emptyDocument, '')
  if (answer.kind === 'refused') throw new Error('broken belief: the empty document compiles')
  return answer.definitions
}
