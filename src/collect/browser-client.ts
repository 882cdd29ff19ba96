/**
 * Segment's browser client out of the package `@segment/analytics-next`, where that is installed
 * beside the server: the script that a page names, and the chunks that the script loads by itself.
 *
 * The package is no dependency: it would bring 22 packages and 11 MB to every server for a file of
 * 31 KB that some pages load. It is under MIT; its bytes go out unchanged, and each answer links to
 * the licence.
 *
 * Bound: only files that were in its folder when it was opened are read, each once, and kept.
 */

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { sha256Hex } from '../lib/hash.ts'
import { isJsonObject } from '../lib/json.ts'

export const packageName = '@segment/analytics-next'
/** What the tests run. */
export const packageVersion = '1.84.3'
export const scriptName = 'standalone.js'
export const licenceName = 'LICENSE.MD'

export interface ClientFile {
  readonly bytes: Uint8Array
  readonly gzipped: Uint8Array
  /** Of the bytes as they are and of the compressed ones, which are another representation. */
  readonly etag: string
  readonly gzippedEtag: string
}

export interface BrowserClient {
  /** Resolves to undefined where the package has no such script or chunk. */
  load(name: string): Promise<ClientFile | undefined>
}

const chunkPattern = /^[\w-]{1,64}\.bundle\.[0-9a-f]{20}\.js$/
const fileCountMax = 64
const fileBytesMax = 1024 * 1024

const gzipAsync = promisify(gzip)

/** Returns the folder of the package, or undefined where it is not installed. */
export function findBrowserClient(): string | undefined {
  try {
    return dirname(createRequire(import.meta.url).resolve(`${packageName}/package.json`))
  } catch {
    return undefined
  }
}

/** Opens the client in `folder`; undefined where that is not a package under MIT that has it. */
export function openBrowserClient(folder: string | undefined): BrowserClient | undefined {
  if (folder === undefined) return undefined
  const paths = findFiles(folder)
  if (!paths.has(scriptName) || !paths.has(licenceName) || !isUnderMit(folder)) return undefined
  const loaded = new Map<string, Promise<ClientFile>>()
  const load = async (path: string): Promise<ClientFile> => {
    const bytes = await readFile(path)
    const gzipped = await gzipAsync(bytes)
    const hash = sha256Hex(bytes).slice(0, 32)
    return { bytes, gzipped, etag: `"${hash}"`, gzippedEtag: `"${hash}-gzip"` }
  }
  return {
    async load(name) {
      const path = paths.get(name)
      if (path === undefined) return undefined
      const known = loaded.get(name)
      if (known !== undefined) return await known
      const loading = load(path)
      loaded.set(name, loading)
      // A disk that fails once must not fail for ever.
      loading.catch(() => loaded.delete(name))
      return await loading
    },
  }
}

function findFiles(folder: string): ReadonlyMap<string, string> {
  const scripts = join(folder, 'dist/umd')
  const names = existsSync(scripts) ? readdirSync(scripts) : []
  const served = names.filter((name) => name === scriptName || chunkPattern.test(name))
  const found = served.map((name) => [name, join(scripts, name)] as const)
  const all = [[licenceName, join(folder, licenceName)] as const, ...found]
  const isFit = (path: string): boolean => {
    const stats = statSync(path, { throwIfNoEntry: false })
    return stats?.isFile() === true && stats.size <= fileBytesMax
  }
  return new Map(all.slice(0, fileCountMax).filter(([, path]) => isFit(path)))
}

function isUnderMit(folder: string): boolean {
  const manifest = readManifest(join(folder, 'package.json'))
  return isJsonObject(manifest) && manifest.license === 'MIT'
}

function readManifest(path: string): unknown {
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as unknown) : undefined
}
