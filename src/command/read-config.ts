import { readFile } from 'node:fs/promises'
import { parseServerConfig, processEnvironment, type ServerValues } from '../config.ts'
import { OperatingError } from '../lib/errors.ts'
import { describeFaults } from '../lib/parse-config.ts'

/** Reads file, environment and flags; all faults at once. */
export async function readServerConfig(
  configPath: string | undefined,
  flags: Readonly<Record<string, string>>,
): Promise<ServerValues> {
  const environment = processEnvironment()
  const path = configPath ?? environment['ATTUNE_CONFIG']
  const file = path === undefined ? undefined : await readConfigFile(path)
  const parsed = parseServerConfig({ environment, flags, ...(file === undefined ? {} : { file }) })
  if (parsed.kind === 'config') return parsed.values
  throw new OperatingError(
    'CONFIG_INVALID',
    `read the configuration:\n${describeFaults(parsed.faults)}`,
  )
}

async function readConfigFile(path: string): Promise<string> {
  return await readFile(path, 'utf8').catch((error: unknown) => {
    throw new OperatingError('CONFIG_INVALID', `read ${path}`, error)
  })
}
