/**
 * Reads a folder of definitions (as a map of path to text) into one document, with every fault
 * named at once.
 *
 * Forms: `shop.yaml`, `identity.yaml`, `sources/*.yaml`, `schemas/*.json` (named by sources),
 * `traits/*.yaml`, `segments/*.yaml`, `campaigns/*.yaml`, `recommenders/*.yaml`,
 * `templates/<name>/{template.mjml,subject.liquid,text.liquid}`. An overlay file changes values by
 * path; the demo uses it to shorten waits.
 */

import { parse as parseYaml } from 'yaml'
import { parseSource } from '../event/source.ts'
import { createTrackingPlan } from '../event/tracking-plan.ts'
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'
import { compileTemplate } from '../template/compile-template.ts'
import type { Template } from '../template/template.ts'
import {
  compileDefinitions,
  type DefinitionFault,
  type DefinitionsDocument,
  documentFormat,
} from './definitions.ts'

export type DefinitionFiles = ReadonlyMap<string, string>

export type DocumentAnswer =
  | { readonly kind: 'document'; readonly document: DefinitionsDocument }
  | { readonly kind: 'refused'; readonly faults: readonly DefinitionFault[] }

/**
 * Parses and checks all files. `overlay` names a file of the folder that is laid over the others.
 */
export async function parseDefinitionFiles(
  files: DefinitionFiles,
  overlay?: string,
): Promise<DocumentAnswer> {
  const faults: DefinitionFault[] = []
  const read = (path: string): Json => readYaml(files, path, faults)
  const shop = files.has('shop.yaml') ? read('shop.yaml') : {}
  const sources = listOf(files, /^sources\/[^/]+\.ya?ml$/).map((path) =>
    readSource(path, read(path), files, faults),
  )
  const segments = listOf(files, /^segments\/[^/]+\.ya?ml$/).map((path) => ({
    name: baseName(path),
    content: read(path),
  }))
  const traits = listOf(files, /^traits\/[^/]+\.ya?ml$/).map((path) => ({
    name: baseName(path),
    content: read(path),
  }))
  const laid = overlay === undefined ? {} : read(overlay)
  const campaigns = listOf(files, /^campaigns\/[^/]+\.ya?ml$/).map((path) =>
    layOver(read(path), baseName(path), laid),
  )
  const recommenders = listOf(files, /^recommenders\/[^/]+\.ya?ml$/).map((path) => ({
    name: baseName(path),
    content: read(path),
  }))
  const templates = await readTemplates(files, faults)
  const document: DefinitionsDocument = {
    format: documentFormat,
    shop: isJsonObject(shop) ? shop : {},
    sources,
    segments,
    campaigns,
    ...(recommenders.length === 0 ? {} : { recommenders }),
    templates,
    ...(files.has('identity.yaml') ? { identity: read('identity.yaml') } : {}),
    ...(traits.length > 0 ? { traits } : {}),
  }
  const compiled = compileDefinitions(document, 'check')
  const all = compiled.kind === 'refused' ? [...faults, ...compiled.faults] : faults
  return all.length > 0 ? { kind: 'refused', faults: all } : { kind: 'document', document }
}

function readYaml(files: DefinitionFiles, file: string, faults: DefinitionFault[]): Json {
  const text = files.get(file)
  if (text === undefined) {
    faults.push({ file, path: '', says: 'is not there' })
    return {}
  }
  try {
    return (parseYaml(text, { maxAliasCount: 20 }) ?? {}) as Json
  } catch (error) {
    const says = error instanceof Error ? (error.message.split('\n')[0] ?? '') : 'is not YAML'
    faults.push({ file, path: '', says })
    return {}
  }
}

/** Puts schemas in place of the names of their files, and lets the event part check the whole. */
function readSource(
  file: string,
  content: Json,
  files: DefinitionFiles,
  faults: DefinitionFault[],
): Json {
  const source = inlineSchemas(content, (schema) => readYaml(files, schema, faults))
  const parsed = parseSource(source)
  const plan = parsed.kind === 'source' ? parsed.source.trackingPlan : undefined
  const created = plan === undefined ? undefined : createTrackingPlan(plan)
  for (const answer of [parsed, created]) {
    if (answer?.kind !== 'refused') continue
    for (const { path, says } of answer.faults) faults.push({ file, path, says })
  }
  return source
}

/** Takes `schema: FILE` wherever it stands in the plan, of an event or of one of its versions. */
function inlineSchemas(content: Json, read: (file: string) => Json): Json {
  const plan = isJsonObject(content) ? content['trackingPlan'] : undefined
  const events = isJsonObject(plan) ? plan['events'] : undefined
  if (!isJsonObject(content) || !isJsonObject(plan) || !isJsonObject(events)) return content
  const inline = (entry: Json): Json => {
    if (!isJsonObject(entry)) return entry
    const { schema, versions } = entry
    return {
      ...entry,
      ...(typeof schema === 'string' ? { schema: read(schema) } : {}),
      ...(isJsonObject(versions) ? { versions: mapValues(versions, inline) } : {}),
    }
  }
  return { ...content, trackingPlan: { ...plan, events: mapValues(events, inline) } }
}

function mapValues(object: JsonObject, change: (value: Json) => Json): JsonObject {
  return Object.fromEntries(Object.entries(object).map(([name, value]) => [name, change(value)]))
}

/** Lays `campaigns.<name>` of the overlay over a campaign: steps by index, other fields whole. */
function layOver(campaign: Json, name: string, overlay: Json): Json {
  const all = isJsonObject(overlay) ? overlay['campaigns'] : undefined
  const laid = isJsonObject(all) ? all[name] : undefined
  if (!isJsonObject(laid) || !isJsonObject(campaign)) return campaign
  const steps = campaign['steps']
  const laidSteps = laid['steps']
  if (!Array.isArray(steps) || !Array.isArray(laidSteps)) return { ...campaign, ...laid }
  const merged = steps.map((step: Json, index): Json => {
    const over: Json | undefined = laidSteps[index]
    return isJsonObject(over) && isJsonObject(step) ? layOverObject(step, over) : step
  })
  return { ...campaign, ...laid, steps: merged }
}

function layOverObject(below: JsonObject, above: JsonObject): JsonObject {
  const entries = Object.entries(above).map(([name, value]) => {
    const before = below[name]
    const isDeep = isJsonObject(before) && isJsonObject(value)
    return [name, isDeep ? layOverObject(before, value) : value] as const
  })
  return { ...below, ...Object.fromEntries(entries) }
}

async function readTemplates(
  files: DefinitionFiles,
  faults: DefinitionFault[],
): Promise<Readonly<Record<string, Template>>> {
  const templates: Record<string, Template> = {}
  for (const path of listOf(files, /^templates\/[^/]+\/template\.mjml$/)) {
    const folder = path.slice(0, path.lastIndexOf('/'))
    const text = files.get(`${folder}/text.liquid`)
    const subject = files.get(`${folder}/subject.liquid`)
    if (subject === undefined) {
      faults.push({ file: `${folder}/subject.liquid`, path: '', says: 'is not there' })
      continue
    }
    const name = baseName(folder)
    const mjml = files.get(path) ?? ''
    const source = { name, mjml, subject, ...(text === undefined ? {} : { text }) }
    const answer = await compileTemplate(source)
    if (answer.kind === 'compiled') templates[name] = answer.template
    else {
      for (const { file, line, says } of answer.faults) {
        faults.push({
          file: `${folder}/${file}`,
          path: line === undefined ? '' : `line ${line}`,
          says,
        })
      }
    }
  }
  return templates
}

function listOf(files: DefinitionFiles, pattern: RegExp): readonly string[] {
  return [...files.keys()].filter((path) => pattern.test(path)).sort()
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1).replace(/\.ya?ml$/, '')
}
