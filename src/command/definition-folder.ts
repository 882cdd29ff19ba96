import { readdir, readFile } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { OperatingError } from '../lib/errors.ts'
import type { DefinitionFiles } from '../process/definition-files.ts'
import type { DefinitionFault } from '../process/definitions.ts'
import { showText } from './output.ts'

const fileCountMax = 5000
const extensions = /\.(ya?ml|json|mjml|liquid)$/
/** Folders that hold definitions; others of the shop's repository are its own business. */
const folders = /^(sources|schemas|segments|templates|campaigns|traits|recommenders|experiments)\//

/** Reads the definition files of a folder, by their path with `/`. */
export async function readDefinitionFolder(folder: string): Promise<DefinitionFiles> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(
    (error: unknown) => {
      throw new OperatingError('DEFINITIONS_INVALID', `read the folder ${folder}`, error)
    },
  )
  const files = new Map<string, string>()
  for (const entry of entries) {
    if (!entry.isFile() || !extensions.test(entry.name)) continue
    const path = join(entry.parentPath, entry.name)
    const name = relative(folder, path).split(sep).join('/')
    if (name.includes('/') && !folders.test(name)) continue
    if (files.size >= fileCountMax) {
      throw new OperatingError(
        'DEFINITIONS_INVALID',
        `read over ${fileCountMax} files of ${folder}`,
      )
    }
    files.set(name, await readFile(path, 'utf8'))
  }
  return files
}

/** Returns one line per fault: file, path, what is wrong. */
export function describeDefinitionFaults(faults: readonly DefinitionFault[]): string {
  return faults
    .map(({ file, path, says }) => [file, ...(path === '' ? [] : [path]), says].join(': '))
    .map(showText)
    .join('\n')
}
