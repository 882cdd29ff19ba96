/** Checks documents against the schemas under `schemas/`; unknown fields are faults. */

import { readFileSync } from 'node:fs'
import type { ErrorObject, ValidateFunction } from 'ajv'
import { Ajv2020 } from 'ajv/dist/2020.js'
import type { Manifest } from '../../scripts/deploy-render.ts'
import type { JsonObject } from '../../src/lib/json.ts'

/** Returns what a schema says against a document. */
export type Check<T> = (document: T) => readonly string[]

/** Kinds of other projects: the cluster knows them only once their operator is installed. */
export const foreignKinds: readonly string[] = ['keda.sh/v1alpha1/ScaledObject']

/** Checks manifests as the API server of a version does, such as `v1.30.0`. */
export function openKubernetesCheck(version: string): Check<Manifest> {
  const schema = readSchema(`kubernetes-${version}`)
  const ajv = createAjv()
  ajv.addSchema({ ...schema, $id: 'kubernetes' })
  return (manifest) => {
    const kind = `${manifest.apiVersion}/${manifest.kind}`
    if (foreignKinds.includes(kind)) return []
    const name = `kubernetes#/kinds/${kind.replaceAll('/', '~1')}`
    const validate = ajv.getSchema(name)
    const id = `${manifest.kind} ${manifest.metadata.name}`
    if (validate === undefined) return [`${id}: ${kind} is no kind of ${version}`]
    return faultsOf(validate, manifest).map((says) => `${id}${says}`)
  }
}

/** Checks a compose file, with merges and references resolved. */
export function openComposeCheck(): Check<JsonObject> {
  const { $id: _, ...schema } = readSchema('compose')
  const validate = createAjv().compile(schema)
  return (document) => faultsOf(validate, document)
}

function createAjv(): Ajv2020 {
  const ajv = new Ajv2020({ strict: false, allErrors: true })
  for (const name of ['byte', 'date-time', 'duration', 'subnet_ip_address', 'uri'])
    ajv.addFormat(name, true)
  const isInt32 = (value: number): boolean => value === (value | 0)
  ajv.addFormat('int32', { type: 'number', validate: isInt32 })
  ajv.addFormat('int64', { type: 'number', validate: Number.isSafeInteger })
  return ajv
}

function faultsOf(validate: ValidateFunction, document: unknown): readonly string[] {
  validate(document)
  const says = (error: ErrorObject): string => {
    const { additionalProperty, unevaluatedProperty } = error.params
    const extra: unknown = additionalProperty ?? unevaluatedProperty ?? ''
    return `${error.instancePath}: ${error.message} ${String(extra)}`.trim()
  }
  return (validate.errors ?? []).map(says)
}

function readSchema(name: string): JsonObject {
  const url = new URL(`schemas/${name}.golden.json`, import.meta.url)
  return JSON.parse(readFileSync(url, 'utf8')) as JsonObject
}
