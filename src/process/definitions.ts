/**
 * The definitions in force, ready for the fold, delivery and collection.
 *
 * A `DefinitionsDocument` is what `apply` puts into the side store, named in the log by its hash:
 * the files as parsed, templates already compiled. Compiling a document again always gives the same
 * behaviour, so a replay decides as before.
 */

import { type Campaign, parseCampaign } from '../campaign/campaign.ts'
import { sha256Hex } from '../lib/hash.ts'
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'
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
  readonly templates: Readonly<Record<string, Template>>
}

export interface DefinitionFault {
  readonly file: string
  readonly path: string
  readonly says: string
}

export interface CompiledDefinitions {
  /** Of the document; '' for none. */
  readonly hash: string
  /** Of the segments alone: people are evaluated again only when these change. */
  readonly segmentsHash: string
  readonly shop: Shop
  readonly plan: EvaluationPlan
  readonly campaigns: ReadonlyMap<string, Campaign>
  readonly templates: ReadonlyMap<string, Template>
  readonly sources: readonly Json[]
  campaignsStartedByEvent(event: string): readonly Campaign[]
  campaignsStartedBySegment(segment: string): readonly Campaign[]
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
  const campaigns = compileCampaigns(document, segments, faults)
  if (faults.length > 0) return { kind: 'refused', faults }
  const byEvent = groupBy(campaigns, ({ trigger }) =>
    trigger.kind === 'event' ? [trigger.event] : [],
  )
  const bySegment = groupBy(campaigns, ({ trigger }) =>
    trigger.kind === 'segment-entry' ? [trigger.segment] : [],
  )
  const byExit = groupBy(campaigns, ({ exits }) => exits)
  const definitions: CompiledDefinitions = {
    hash,
    segmentsHash: sha256Hex(JSON.stringify(document.segments)).slice(0, 16),
    shop: readShop(document.shop),
    plan: segments,
    campaigns: new Map(campaigns.map((campaign) => [campaign.name, campaign])),
    templates: new Map(Object.entries(document.templates)),
    sources: document.sources,
    campaignsStartedByEvent: (event) => byEvent.get(event) ?? [],
    campaignsStartedBySegment: (segment) => bySegment.get(segment) ?? [],
    campaignsExitedBy: (event) => byExit.get(event) ?? [],
  }
  return { kind: 'compiled', definitions }
}

function compileSegments(document: DefinitionsDocument, faults: DefinitionFault[]): EvaluationPlan {
  const parsed = parseSegments(document.segments)
  if (parsed.kind === 'segments') return planEvaluation(parsed.segments)
  for (const { path, says } of parsed.faults) {
    const name = path.split('/')[0] ?? ''
    const inner = path.slice(name.length).replace(/^\//, '')
    faults.push({ file: `segments/${name}.yaml`, path: inner, says })
  }
  return planEvaluation([])
}

function compileCampaigns(
  document: DefinitionsDocument,
  plan: EvaluationPlan,
  faults: DefinitionFault[],
): readonly Campaign[] {
  const segments = new Set(plan.segments.map(({ name }) => name))
  const campaigns = document.campaigns.flatMap((content) => {
    const name = isJsonObject(content) && typeof content['name'] === 'string' ? content['name'] : ''
    const file = `campaigns/${name}.yaml`
    const parsed = parseCampaign(content)
    if (parsed.kind === 'refused') {
      for (const { path, says } of parsed.faults) faults.push({ file, path, says })
      return []
    }
    const { campaign } = parsed
    checkReferences(campaign, segments, document, file, faults)
    return [campaign]
  })
  return campaigns.sort((left, right) => (left.name < right.name ? -1 : 1))
}

function checkReferences(
  campaign: Campaign,
  segments: ReadonlySet<string>,
  document: DefinitionsDocument,
  file: string,
  faults: DefinitionFault[],
): void {
  const { trigger } = campaign
  if (trigger.kind === 'segment-entry' && !segments.has(trigger.segment)) {
    faults.push({ file, path: 'trigger.segment', says: `no segment ${trigger.segment}` })
  }
  campaign.steps.forEach((step, index) => {
    if (step.kind !== 'send' || Object.hasOwn(document.templates, step.template)) return
    faults.push({
      file,
      path: `steps[${index}].send.template`,
      says: `no template ${step.template}`,
    })
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
