/** Reads a small YAML file that a command was given. */

import { readFile } from 'node:fs/promises'
import { parse as parseYaml } from 'yaml'
import { OperatingError } from '../lib/errors.ts'
import { refuseUse } from './output.ts'

const fileBytesMax = 256 * 1024

/**
 * Returns what it holds. Throws CONFIG_INVALID where it cannot be read; one that is too long, or
 * no YAML, is a wrong use.
 */
export async function readYamlFile(path: string): Promise<unknown> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw new OperatingError('CONFIG_INVALID', `read ${path}`, error)
  })
  if (text.length > fileBytesMax) return refuseUse(`${path} is longer than ${fileBytesMax} bytes`)
  try {
    return parseYaml(text, { maxAliasCount: 20 })
  } catch (error) {
    const says = error instanceof Error ? error.message.split('\n')[0] : 'is not YAML'
    return refuseUse(`${path}: ${says}`)
  }
}
