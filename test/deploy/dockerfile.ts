/**
 * Reads a Dockerfile and an ignore file, as far as ours go. What they do not use is refused, so
 * that a line is never taken for something else than Docker takes it for.
 */

import { readdirSync } from 'node:fs'
import { join } from 'node:path'

export interface Instruction {
  readonly name: string
  readonly rest: string
}

/** Tells whether a path goes into the build. */
export type IgnoreFile = (path: string) => boolean

const instruction = /^([A-Z]+)\s+([\s\S]+)$/

/** Returns the instructions in their order, with continued lines joined. */
export function parseDockerfile(text: string): readonly Instruction[] {
  const lines = text.split('\n').filter((line) => !/^\s*(#|$)/.test(line))
  const whole = lines.join('\n').replace(/\\\n\s*/g, '')
  return whole.split('\n').map((line) => {
    const [, name, rest] = instruction.exec(line) ?? []
    if (name === undefined || rest === undefined) throw new Error(`no instruction: ${line}`)
    return { name, rest: rest.replace(/\s+/g, ' ') }
  })
}

/** Returns the texts of the last instruction of a name, without it. */
export function lastOf(file: readonly Instruction[], name: string): string {
  return file.findLast((each) => each.name === name)?.rest ?? ''
}

/** Returns a command in its form without a shell: `["node", "x"]`. */
export function parseExec(rest: string): readonly string[] {
  const parsed: unknown = JSON.parse(rest)
  const isList = Array.isArray(parsed) && parsed.every((each) => typeof each === 'string')
  if (!isList) throw new Error(`needs a shell: ${rest}`)
  return parsed
}

/** Returns what is copied from the build's folder: sources and target. */
export function copiesOf(
  file: readonly Instruction[],
): readonly { readonly sources: readonly string[]; readonly target: string }[] {
  return file
    .filter(({ name, rest }) => name === 'COPY' && !rest.includes('--from='))
    .map(({ rest }) => {
      const words = rest.split(' ')
      const target = words.pop() ?? ''
      return { sources: words, target }
    })
}

/**
 * Reads an ignore file: the last line that names a path or a folder above it decides. Known are
 * whole names, `*` within a name, a leading `**` and `!`.
 */
export function parseIgnoreFile(text: string): IgnoreFile {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  const patterns = lines.map((line) => {
    const isKept = line.startsWith('!')
    const glob = isKept ? line.slice(1) : line
    if (!/^(\*\*\/)?[\w.*/-]+$/.test(glob) || /\*\*/.test(glob.slice(2))) {
      throw new Error(`a form of pattern that is not known here: ${line}`)
    }
    const names = glob
      .replace(/^\*\*\//, '')
      .split('/')
      .map((name) => {
        return name.replaceAll('.', '\\.').replaceAll('*', '[^/]*')
      })
    const start = glob.startsWith('**/') ? '(?:.*/)?' : ''
    return { isKept, pattern: new RegExp(`^${start}${names.join('/')}(?:/|$)`) }
  })
  return (path) => patterns.findLast(({ pattern }) => pattern.test(path))?.isKept ?? true
}

/** Returns the files below a folder that go into the build. Folders of no use are not walked. */
export function filesForBuild(root: string, isSent: IgnoreFile): readonly string[] {
  const unwalked = new Set(['.git', 'node_modules', '.attune'])
  const walk = (folder: string): readonly string[] =>
    readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`
      if (entry.isDirectory()) return unwalked.has(entry.name) ? [] : walk(path)
      return entry.isFile() && isSent(path) ? [path] : []
    })
  return walk('').toSorted()
}
