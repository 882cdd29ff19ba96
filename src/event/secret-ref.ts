/**
 * Where a secret is. Definitions are copied, shown and kept in version control, so they name the
 * place of a secret and never hold one.
 */

import type { JsonObject } from '../lib/json.ts'
import type { DefinitionFault } from './definition-fault.ts'

export type SecretRef =
  | { readonly kind: 'file'; readonly file: string }
  | { readonly kind: 'variable'; readonly variable: string }

export const secretNames = ['secretFile', 'secretVariable'] as const

const filePattern = /^(?!.*\/\.\.?(?:\/|$))\/[\w./ -]{1,254}$/
const variablePattern = /^(?!ATTUNE_)[A-Z][A-Z0-9_]{0,99}$/

/** Reads `secretFile` or `secretVariable` of a mapping; undefined where neither is given. */
export function parseSecretRef(
  input: JsonObject,
  path: string,
  faults: DefinitionFault[],
): SecretRef | undefined {
  const { secretFile, secretVariable } = input
  if (input.secret !== undefined) {
    const says = 'A secret has no place in a definition: name a secretFile or a secretVariable.'
    faults.push({ path: `${path}/secret`, says })
  }
  if (secretFile !== undefined && secretVariable !== undefined) {
    faults.push({ path, says: 'Give secretFile or secretVariable, not both.' })
    return undefined
  }
  if (secretFile !== undefined) {
    if (typeof secretFile === 'string' && filePattern.test(secretFile)) {
      return { kind: 'file', file: secretFile }
    }
    const says = 'Must be the absolute path of a file, such as /run/secrets/shop, without `..`.'
    faults.push({ path: `${path}/secretFile`, says })
  }
  if (secretVariable !== undefined) {
    if (typeof secretVariable === 'string' && variablePattern.test(secretVariable)) {
      return { kind: 'variable', variable: secretVariable }
    }
    const says = 'Must be a variable such as SHOP_SECRET; those of ATTUNE_ are options.'
    faults.push({ path: `${path}/secretVariable`, says })
  }
  return undefined
}
