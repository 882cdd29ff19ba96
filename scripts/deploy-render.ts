/**
 * Renders a folder of `deploy/kubernetes` as `kubectl kustomize` does, without needing it:
 *
 *     node scripts/deploy-render.ts deploy/kubernetes/overlays/single
 *
 * It knows what our kustomization files use and no more: resources, components, ConfigMaps from
 * files with the hash in their name, patches (strategic merge with an optional kind as target,
 * deletion, `replace` by JSON patch), namespace, labels, images. Anything else is refused aloud, so
 * that a field is never left out in silence. The test compares with the real one where it is there.
 */

import { createHash } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parse, parseAllDocuments, stringify } from 'yaml'
import { assert } from '../src/lib/assert.ts'
import { isJsonObject, type Json, type JsonObject } from '../src/lib/json.ts'

/** One object of the cluster. */
export interface Manifest extends JsonObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: JsonObject & { readonly name: string }
}

interface Patch {
  readonly path: string
  readonly target?: { readonly kind: string }
}

interface Kustomization {
  readonly apiVersion: string
  readonly kind: string
  readonly namespace?: string
  readonly resources?: readonly string[]
  readonly components?: readonly string[]
  readonly configMapGenerator?: readonly { readonly name: string; readonly files: string[] }[]
  readonly images?: readonly { readonly name: string; newName: string; newTag: string }[]
  readonly labels?: readonly { readonly pairs: Readonly<Record<string, string>> }[]
  readonly patches?: readonly Patch[]
}

/** The fields of a kustomization, with the fields of what is in them. */
const known: Readonly<Record<string, readonly string[]>> = {
  apiVersion: [],
  kind: [],
  namespace: [],
  resources: [],
  components: [],
  configMapGenerator: ['name', 'files'],
  images: ['name', 'newName', 'newTag'],
  labels: ['pairs'],
  patches: ['path', 'target'],
}
/** Lists whose elements are merged, by the field that tells them apart; others are replaced. */
const mergeKeys: Readonly<Record<string, string>> = {
  containers: 'name',
  env: 'name',
  ports: 'containerPort',
  topologySpreadConstraints: 'topologyKey',
  volumeMounts: 'mountPath',
  volumes: 'name',
}

/** Returns the objects of a folder, in the order in which they are named. */
export function renderFolder(folder: string): readonly Manifest[] {
  return applyFolder(folder, [])
}

/** Returns what a folder makes of the objects so far: a component changes them, too. */
function applyFolder(folder: string, before: readonly Manifest[]): readonly Manifest[] {
  const file = readKustomization(join(folder, 'kustomization.yaml'))
  let manifests = [...before]
  for (const path of file.resources ?? []) {
    const full = join(folder, path)
    const isFolder = statSync(full).isDirectory()
    manifests.push(...(isFolder ? renderFolder(full) : readManifests(full)))
  }
  for (const path of file.components ?? [])
    manifests = [...applyFolder(join(folder, path), manifests)]
  const maps = (file.configMapGenerator ?? []).map((each) => configMapOf(folder, each))
  manifests.push(...maps)
  for (const patch of file.patches ?? []) manifests = applyPatch(manifests, folder, patch)
  manifests = manifests.map((manifest) => finish(manifest, file))
  for (const { metadata } of maps) manifests = renameConfigMap(manifests, metadata.name)
  return manifests
}

function readKustomization(path: string): Kustomization {
  const file: unknown = parse(readFileSync(path, 'utf8'))
  assert(isJsonObject(file), `${path} is an object`)
  for (const [name, value] of Object.entries(file)) {
    assert(name in known, `${path}: ${name} is a field that this renderer knows`)
    for (const element of Array.isArray(value) ? value : []) {
      const fields = isJsonObject(element) ? Object.keys(element) : []
      const strange = fields.find((field) => known[name]?.includes(field) !== true)
      assert(
        strange === undefined,
        `${path}: ${name}.${strange} is a field that this renderer knows`,
      )
    }
  }
  // The fields were just checked; their types are checked by what the test does with the result.
  return file as unknown as Kustomization
}

function readManifests(path: string): readonly Manifest[] {
  return parseAllDocuments(readFileSync(path, 'utf8')).map((document) => {
    assert(document.errors.length === 0, `${path} is YAML: ${document.errors[0]?.message}`)
    return document.toJS() as Manifest
  })
}

function configMapOf(
  folder: string,
  { name, files }: { readonly name: string; readonly files: readonly string[] },
): Manifest {
  const texts = files.map((file) => [basename(file), readFileSync(join(folder, file), 'utf8')])
  const data = Object.fromEntries(texts) as Record<string, string>
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data }
}

function applyPatch(manifests: readonly Manifest[], folder: string, patch: Patch): Manifest[] {
  const text = readFileSync(join(folder, patch.path), 'utf8')
  const body = parse(text) as Manifest | readonly JsonObject[]
  const kind = patch.target?.kind ?? ('kind' in body ? body.kind : '')
  const isMeant = (manifest: Manifest): boolean =>
    new RegExp(`^(${kind})$`).test(manifest.kind) &&
    (patch.target !== undefined || manifest.metadata.name === (body as Manifest).metadata.name)
  assert(manifests.some(isMeant), `${patch.path} patches something`)
  return manifests.flatMap((manifest) => {
    if (!isMeant(manifest)) return [manifest]
    if (!('kind' in body)) return [body.reduce<Manifest>(replaceAt, manifest)]
    if (body['$patch'] === 'delete') return []
    const { apiVersion, metadata } = manifest
    const merged = merge(manifest, { ...body, kind: manifest.kind }, '') as Manifest
    const labels = { ...metadata, ...body.metadata, name: metadata.name }
    return [{ ...merged, apiVersion, metadata: labels }]
  })
}

/** Carries out one step of a JSON patch. */
function replaceAt(manifest: Manifest, step: JsonObject): Manifest {
  assert(step['op'] === 'replace', 'a JSON patch replaces')
  const copy = structuredClone(manifest)
  const names = String(step['path']).split('/').slice(1)
  const last = names.pop() ?? ''
  const parent = names.reduce<unknown>((value, name) => Reflect.get(value as object, name), copy)
  assert(Reflect.has(parent as object, last), `${step['path']} is there to be replaced`)
  Reflect.set(parent as object, last, step['value'])
  return copy
}

/** Lays `over` on `under`. New elements of a merged list come first, as kustomize has it. */
function merge(under: Json | undefined, over: Json, field: string): Json {
  if (isJsonObject(under) && isJsonObject(over)) {
    const result: Record<string, Json> = { ...under }
    for (const [name, value] of Object.entries(over)) {
      if (value === null) delete result[name]
      else result[name] = merge(under[name], value, name)
    }
    return result
  }
  const key = mergeKeys[field]
  if (key === undefined || !isObjects(under) || !isObjects(over)) return over
  const isSame = (a: JsonObject) => (b: JsonObject) => a[key] === b[key]
  const added = over.filter((each) => !under.some(isSame(each)))
  const kept = under.map((each) => merge(each, over.find(isSame(each)) ?? {}, ''))
  return [...added, ...kept]
}

function isObjects(value: Json | undefined): value is readonly JsonObject[] {
  return Array.isArray(value) && value.every(isJsonObject)
}

/** Gives an object the namespace, the labels and the images of a kustomization. */
function finish(manifest: Manifest, file: Kustomization): Manifest {
  const { namespace, labels = [], images = [] } = file
  const isNamespace = manifest.kind === 'Namespace'
  const place = namespace === undefined ? {} : isNamespace ? { name: namespace } : { namespace }
  const pairs = Object.assign({}, ...labels.map((each) => each.pairs)) as Record<string, string>
  const before = isJsonObject(manifest.metadata['labels']) ? manifest.metadata['labels'] : {}
  const joined = { ...before, ...pairs }
  const named = Object.keys(joined).length === 0 ? {} : { labels: joined }
  const withPlace = { ...manifest, metadata: { ...manifest.metadata, ...place, ...named } }
  return replaceImages(withPlace, images) as Manifest
}

function replaceImages(value: Json, images: NonNullable<Kustomization['images']>): Json {
  if (Array.isArray(value)) return value.map((each: Json) => replaceImages(each, images))
  if (!isJsonObject(value)) return value
  const entries = Object.entries(value).map(([name, inner]) => {
    const image = name === 'image' ? images.find((each) => each.name === inner) : undefined
    const text = image === undefined ? undefined : `${image.newName}:${image.newTag}`
    return [name, text ?? replaceImages(inner, images)] as const
  })
  return Object.fromEntries(entries)
}

/** Puts the hash of its content behind a ConfigMap's name, where it stands and where it is used. */
function renameConfigMap(manifests: readonly Manifest[], name: string): Manifest[] {
  const own = manifests.find((each) => each.kind === 'ConfigMap' && each.metadata.name === name)
  assert(own !== undefined, 'a generated ConfigMap is among the objects')
  const newName = `${name}-${hashOf(own)}`
  const rename = (value: Json): Json => {
    if (Array.isArray(value)) return value.map(rename)
    if (!isJsonObject(value)) return value
    const entries = Object.entries(value).map(([field, inner]) => {
      const isUse = field === 'configMap' && isJsonObject(inner) && inner['name'] === name
      return [field, isUse ? { ...inner, name: newName } : rename(inner)] as const
    })
    return Object.fromEntries(entries)
  }
  return manifests.map((each) =>
    each === own
      ? { ...each, metadata: { ...each.metadata, name: newName } }
      : (rename(each) as Manifest),
  )
}

/** The hash of kustomize: the start of a SHA-256 in letters that do not spell words. */
function hashOf(map: Manifest): string {
  // It means to take in the name, but looks for it in the wrong place. Its encoder escapes signs.
  const json = JSON.stringify({ data: map['data'], kind: map.kind, name: '' })
  const escaped = json.replace(/[<>&]/g, (c) => `\\u00${c.charCodeAt(0).toString(16)}`)
  const letters: Readonly<Record<string, string>> = { 0: 'g', 1: 'h', 3: 'k', a: 'm', e: 't' }
  const hex = createHash('sha256').update(escaped).digest('hex').slice(0, 10)
  return hex.replace(/[013ae]/g, (digit) => letters[digit] ?? digit)
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const folder = process.argv[2]
  if (folder === undefined) {
    console.error('usage: node scripts/deploy-render.ts deploy/kubernetes/overlays/NAME')
    process.exitCode = 2
  } else
    process.stdout.write(
      renderFolder(folder)
        .map((each) => stringify(each))
        .join('---\n'),
    )
}
