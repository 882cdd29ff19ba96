/**
 * Checks a configuration that we ship against the options of the server.
 *
 * To adapt: an option that a shipped configuration uses and `src/config.ts` does not have yet
 * stands in `comingOptions`. Once the server has it, its value is checked like all others, and its
 * name can leave the list.
 */

import { parseServerConfig } from '../../src/config.ts'
import { isJsonObject, type JsonObject } from '../../src/lib/json.ts'
import { parseJsonc } from '../../src/lib/jsonc.ts'
import { variableOf } from '../../src/lib/parse-config.ts'

/** Options of many machines. */
const comingOptions: readonly string[] = [
  'dynamodb.endpoint',
  'dynamodb.region',
  'kafka.brokers',
  'log.kind',
  'redis.isCluster',
  'redis.urls',
  'state.kind',
]

/** Returns what is wrong with a configuration file and an environment, one line each. */
export function configFaults(
  file: string,
  environment: Readonly<Record<string, string>>,
): readonly string[] {
  const own = Object.entries(environment).filter(([name]) => name.startsWith('ATTUNE_'))
  const parsed = parseServerConfig({ file, environment: Object.fromEntries(own) })
  if (parsed.kind === 'config') return []
  return parsed.faults
    .filter(({ name, says }) => !says.startsWith('is no option') || !isComing(name))
    .map(({ name, value, says }) => `${name} = ${value}: ${says}`)
}

/** Whether a name is that of a coming option, of its section, or of its variable. */
function isComing(name: string): boolean {
  return comingOptions.some((option) => {
    const variable = variableOf(option)
    const isInFile = option === name || option.startsWith(`${name}.`)
    return isInFile || variable === name || `${variable}_FILE` === name
  })
}

/** Returns a configuration's value at a path such as `log.kafka.brokers`. */
export function configValue(file: string, path: string): unknown {
  const parsed = parseJsonc(file)
  if (parsed.kind === 'refused') throw new Error(parsed.says)
  const step = (value: unknown, name: string): unknown =>
    isJsonObject(value) ? (value as JsonObject)[name] : undefined
  return path.split('.').reduce(step, parsed.value)
}
