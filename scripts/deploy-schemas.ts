/**
 * Makes the schemas under `test/deploy/schemas` from packages that were unpacked by hand.
 *
 *     node scripts/deploy-schemas.ts --kubernetes DIR --compose FILE
 *
 * DIR is `kubernetes-json-schema` of the Python package kubernetes-validate, which has a folder
 * `v1.37.0-local-strict` for each version; FILE is `schema/compose-spec.json` of the Go module
 * compose-go. Both are under the Apache License 2.0.
 *
 * Only the kinds that our manifests have are kept, with all they refer to and without
 * descriptions. An object that lists its fields has no others, as the API server's strict mode has
 * it, and no field is null: to it null is the same as leaving the field out, but we write no such
 * field on purpose.
 */

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { isJsonObject, type Json, type JsonObject } from '../src/lib/json.ts'

/** The oldest version that the manifests are for, and the newest there is a schema of. */
export const kubernetesVersions = ['v1.30.0', 'v1.37.0'] as const

const kinds: Readonly<Record<string, string>> = {
  'v1/ConfigMap': 'io.k8s.api.core.v1.ConfigMap',
  'v1/Namespace': 'io.k8s.api.core.v1.Namespace',
  'v1/Service': 'io.k8s.api.core.v1.Service',
  'v1/ServiceAccount': 'io.k8s.api.core.v1.ServiceAccount',
  'apps/v1/Deployment': 'io.k8s.api.apps.v1.Deployment',
  'apps/v1/StatefulSet': 'io.k8s.api.apps.v1.StatefulSet',
  'autoscaling/v2/HorizontalPodAutoscaler': 'io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler',
  'networking.k8s.io/v1/Ingress': 'io.k8s.api.networking.v1.Ingress',
  'networking.k8s.io/v1/NetworkPolicy': 'io.k8s.api.networking.v1.NetworkPolicy',
  'policy/v1/PodDisruptionBudget': 'io.k8s.api.policy.v1.PodDisruptionBudget',
}
const reference = /#\/\$defs\/(.+)$/

/** Returns the schemas of the kinds, and what they refer to, as one document. */
export function trimSchemas(definitions: JsonObject): JsonObject {
  const kept = new Map<string, Json>()
  const keep = (name: string): void => {
    if (kept.has(name)) return
    kept.set(name, null)
    kept.set(name, trim(definitions[name] ?? null, keep))
  }
  for (const name of Object.values(kinds)) keep(name)
  const $defs = Object.fromEntries([...kept].sort(([a], [b]) => (a < b ? -1 : 1)))
  const roots = Object.entries(kinds).map(([kind, name]) => [kind, { $ref: `#/$defs/${name}` }])
  return { kinds: Object.fromEntries(roots), $defs }
}

function trim(schema: Json, keep: (name: string) => void): Json {
  if (Array.isArray(schema)) return schema.map((each: Json) => trim(each, keep))
  if (!isJsonObject(schema)) return schema
  const result: Record<string, Json> = {}
  for (const [name, value] of Object.entries(schema)) {
    if (name === 'description' || name.startsWith('x-kubernetes-')) continue
    if (name === '$ref') {
      const target = reference.exec(String(value))?.[1] ?? ''
      keep(target)
      result['$ref'] = `#/$defs/${target}`
    } else if (name === 'properties' && isJsonObject(value)) {
      const fields = Object.entries(value).map(([field, each]) => [field, trim(each, keep)])
      result['properties'] = Object.fromEntries(fields)
      result['additionalProperties'] = false
    } else if (name === 'type' && Array.isArray(value)) {
      const types = value.filter((type: Json) => type !== 'null') as readonly Json[]
      result['type'] = types.length === 1 ? (types[0] ?? null) : types
    } else result[name] = trim(value, keep)
  }
  return result
}

/** One definition a line, so that a change of version can be read. */
function write(name: string, value: JsonObject): void {
  const path = fileURLToPath(new URL(`../test/deploy/schemas/${name}.golden.json`, import.meta.url))
  const section = ([key, inner]: readonly [string, unknown]): string => {
    if (!isJsonObject(inner)) return `${JSON.stringify(key)}: ${JSON.stringify(inner)}`
    const lines = Object.entries(inner).map(
      (e) => `${JSON.stringify(e[0])}: ${JSON.stringify(e[1])}`,
    )
    return `${JSON.stringify(key)}: {\n${lines.join(',\n')}\n}`
  }
  writeFileSync(path, `{\n${Object.entries(value).map(section).join(',\n')}\n}\n`)
}

function readSchema(path: string): JsonObject {
  return JSON.parse(readFileSync(path, 'utf8')) as JsonObject
}

function main(): void {
  const { values } = parseArgs({
    options: { kubernetes: { type: 'string' }, compose: { type: 'string' } },
  })
  if (values.kubernetes === undefined || values.compose === undefined) {
    console.error('usage: node scripts/deploy-schemas.ts --kubernetes DIR --compose FILE')
    process.exitCode = 2
    return
  }
  for (const version of kubernetesVersions) {
    const path = join(values.kubernetes, `${version}-local-strict`, '_definitions.json')
    write(`kubernetes-${version}`, trimSchemas(readSchema(path)['$defs'] as JsonObject))
  }
  const strip = (schema: Json): Json => {
    if (Array.isArray(schema)) return schema.map(strip)
    if (!isJsonObject(schema)) return schema
    const kept = Object.entries(schema).filter(
      ([name, value]) => name !== 'description' || typeof value !== 'string',
    )
    return Object.fromEntries(kept.map(([name, value]) => [name, strip(value)]))
  }
  write('compose', strip(readSchema(values.compose)) as JsonObject)
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) main()
