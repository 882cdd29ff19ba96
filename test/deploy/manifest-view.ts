/** Typed looks into manifests, for the rules. What is absent is an empty object or list. */

import type { Manifest } from '../../scripts/deploy-render.ts'
import { isJsonObject, type Json, type JsonObject } from '../../src/lib/json.ts'

/** A Deployment or StatefulSet with its one container. */
export interface Workload {
  readonly id: string
  readonly manifest: Manifest
  readonly spec: JsonObject
  readonly pod: JsonObject
  readonly labels: JsonObject
  readonly container: JsonObject
  readonly mounts: readonly JsonObject[]
  readonly env: Readonly<Record<string, string>>
}

/** Returns the value at a path, or undefined. */
export function at(value: Json | undefined, path: string): Json | undefined {
  return path.split('.').reduce<Json | undefined>((inner, name) => {
    if (Array.isArray(inner)) return inner[Number(name)] as Json | undefined
    return isJsonObject(inner) ? inner[name] : undefined
  }, value)
}

export function objectAt(value: Json | undefined, path: string): JsonObject {
  const inner = at(value, path)
  return isJsonObject(inner) ? inner : {}
}

export function objectsAt(value: Json | undefined, path: string): readonly JsonObject[] {
  const inner = at(value, path)
  return Array.isArray(inner) ? inner.filter(isJsonObject) : []
}

export function textAt(value: Json | undefined, path: string): string {
  return String(at(value, path) ?? '')
}

export function idOf(manifest: Manifest): string {
  return `${manifest.kind} ${manifest.metadata.name}`
}

export function ofKind(manifests: readonly Manifest[], ...kinds: readonly string[]): Manifest[] {
  return manifests.filter(({ kind }) => kinds.includes(kind))
}

export function workloadsOf(manifests: readonly Manifest[]): readonly Workload[] {
  return ofKind(manifests, 'Deployment', 'StatefulSet').map((manifest) => {
    const pod = objectAt(manifest, 'spec.template.spec')
    const container = objectAt(pod, 'containers.0')
    const env = objectsAt(container, 'env').map((each) => [
      textAt(each, 'name'),
      textAt(each, 'value'),
    ])
    return {
      id: idOf(manifest),
      manifest,
      spec: objectAt(manifest, 'spec'),
      pod,
      labels: objectAt(manifest, 'spec.template.metadata.labels'),
      container,
      mounts: objectsAt(container, 'volumeMounts'),
      env: Object.fromEntries(env) as Record<string, string>,
    }
  })
}

/** Tells whether labels fulfil a selector, with `matchLabels` and `In`. */
export function isSelected(labels: JsonObject, selector: JsonObject): boolean {
  const pairs = Object.entries(objectAt(selector, 'matchLabels'))
  const within = objectsAt(selector, 'matchExpressions')
  return (
    pairs.length + within.length > 0 &&
    pairs.every(([name, value]) => labels[name] === value) &&
    within.every(
      (each) =>
        each['operator'] === 'In' &&
        (at(each, 'values') as readonly Json[]).includes(labels[textAt(each, 'key')] ?? null),
    )
  )
}

/** Returns the text of the `attune.jsonc` among the manifests. */
export function configOf(manifests: readonly Manifest[]): string {
  const map = ofKind(manifests, 'ConfigMap').find((each) => objectAt(each, 'data')['attune.jsonc'])
  return String(objectAt(map, 'data')['attune.jsonc'] ?? '{}')
}

/** Returns a quantity of memory in bytes: `512Mi`, `2Gi`. */
export function bytesOf(quantity: string): number {
  const [, count, unit = ''] = /^(\d+)(Ki|Mi|Gi)?$/.exec(quantity) ?? []
  const power = { Ki: 1, Mi: 2, Gi: 3 }[unit] ?? 0
  return count === undefined ? Number.NaN : Number(count) * 1024 ** power
}
