/** Checks a configuration that we ship against the options of the server. */

import { parseServerConfig } from '../../src/config.ts'
import { isJsonObject, type JsonObject } from '../../src/lib/json.ts'
import { parseJsonc } from '../../src/lib/jsonc.ts'

/** Returns what is wrong with a configuration file and an environment, one line each. */
export function configFaults(
  file: string,
  environment: Readonly<Record<string, string>>,
): readonly string[] {
  const own = Object.entries(environment).filter(([name]) => name.startsWith('ATTUNE_'))
  const parsed = parseServerConfig({ file, environment: Object.fromEntries(own) })
  if (parsed.kind === 'config') return []
  return parsed.faults.map(({ name, value, says }) => `${name} = ${value}: ${says}`)
}

/** Returns a configuration's value at a path such as `log.kafka.brokers`. */
export function configValue(file: string, path: string): unknown {
  const parsed = parseJsonc(file)
  if (parsed.kind === 'refused') throw new Error(parsed.says)
  const step = (value: unknown, name: string): unknown =>
    isJsonObject(value) ? (value as JsonObject)[name] : undefined
  return path.split('.').reduce(step, parsed.value)
}
