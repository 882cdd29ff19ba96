/**
 * Joins a configuration file, an environment and flags, each over the one before, and returns a
 * frozen object or all faults at once, each with the name as it was given, the value (never a
 * secret one) and the bound.
 *
 *     file          { "server": { "port": 8080 } }      JSON with comments
 *     environment   ATTUNE_SERVER__PORT=8080
 *                   ATTUNE_DELIVERY__SMTP_URL_FILE=/run/secrets/smtp for secrets
 *     flags         names as in the table, given by the command line
 *
 * A name that nobody knows is a fault: a typing error must not run with the default in silence.
 */

import { readFileSync } from 'node:fs'
import { isJsonObject } from './json.ts'
import { parseJsonc } from './jsonc.ts'
import {
  nearestName,
  type OptionSpec,
  type OptionTable,
  type OptionValue,
  type OptionValues,
  parseOption,
} from './option.ts'

export interface ConfigFault {
  /** As the operator wrote it: `server.port`, `ATTUNE_SERVER__PORT` or `--server.port`. */
  readonly name: string
  readonly value: string
  readonly says: string
}

export type OptionSource = 'default' | 'file' | 'environment' | 'flag'

export type ParsedConfig<T extends OptionTable> =
  | {
      readonly kind: 'config'
      readonly values: OptionValues<T>
      readonly sources: Readonly<Record<keyof T & string, OptionSource>>
    }
  | { readonly kind: 'refused'; readonly faults: readonly ConfigFault[] }

export interface ConfigInput<T extends OptionTable> {
  readonly table: T
  /** Text of the file, JSON with comments. */
  readonly file?: string
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Values by option name; undefined ones are not given. */
  readonly flags?: Readonly<Record<string, unknown>>
  /** Variables that begin with `ATTUNE_` and are no options. */
  readonly otherVariables?: readonly string[]
  /** Says what is wrong between values that are right each by itself. */
  readonly relations?: (values: OptionValues<T>) => readonly ConfigFault[]
}

interface Given {
  readonly name: string
  readonly source: OptionSource
  readonly written: string
  readonly value: unknown
}

const prefix = 'ATTUNE_'

export function parseConfig<const T extends OptionTable>(input: ConfigInput<T>): ParsedConfig<T> {
  const faults: ConfigFault[] = []
  const given = [
    ...readFile(input.table, input.file, faults),
    ...readEnvironment(input, faults),
    ...readFlags(input.table, input.flags ?? {}, faults),
  ]
  const values: Record<string, OptionValue | undefined> = {}
  const sources: Record<string, OptionSource> = {}
  for (const [name, spec] of Object.entries(input.table)) {
    values[name] = spec.default
    sources[name] = 'default'
  }
  for (const { name, source, written, value } of given) {
    const spec = specOf(input.table, name)
    if (spec === undefined) continue
    const parsed = parseOption(spec, value)
    if (parsed.kind === 'refused') {
      faults.push({ name: written, value: shown(spec, value), says: parsed.says })
      continue
    }
    values[name] = parsed.value
    sources[name] = source
  }
  // Every name of the table has a value of its kind now; the types cannot follow the loop.
  const typed = Object.freeze(values) as unknown as OptionValues<T>
  faults.push(...(input.relations?.(typed) ?? []))
  if (faults.length > 0) return { kind: 'refused', faults }
  return { kind: 'config', values: typed, sources: Object.freeze(sources) as ParsedSources<T> }
}

type ParsedSources<T extends OptionTable> = Readonly<Record<keyof T & string, OptionSource>>

/** Returns the variable of an option: `server.dataDir` is `ATTUNE_SERVER__DATA_DIR`. */
export function variableOf(name: string): string {
  const snake = name.replace(/[A-Z]/g, (letter) => `_${letter}`)
  return prefix + snake.replaceAll('.', '__').toUpperCase()
}

/** Returns a table of the faults for the operator, one line each. */
export function describeFaults(faults: readonly ConfigFault[]): string {
  return faults.map((fault) => `${fault.name} = ${fault.value}: ${fault.says}`).join('\n')
}

function specOf(table: OptionTable, name: string): OptionSpec | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined
}

function shown(spec: OptionSpec | undefined, value: unknown): string {
  if (spec?.isSecret === true) return '(secret)'
  const text = typeof value === 'string' ? JSON.stringify(value) : String(JSON.stringify(value))
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}

function unknownName(written: string, value: unknown, nearest: string | undefined): ConfigFault {
  const says = nearest === undefined ? 'is no option' : `is no option; did you mean ${nearest}?`
  // What an unknown name holds may be a secret under a mistyped name.
  const isPlain = typeof value === 'number' || typeof value === 'boolean'
  return { name: written, value: isPlain ? String(value) : '(not shown)', says }
}

/**
 * Reads `{ section: { key } }` and top-level keys; a section may also be written as
 * `"section.key"`.
 */
function readFile(table: OptionTable, file: string | undefined, faults: ConfigFault[]): Given[] {
  if (file === undefined) return []
  const parsed = parseJsonc(file)
  if (parsed.kind === 'refused') {
    faults.push({ name: 'the configuration file', value: '(not shown)', says: parsed.says })
    return []
  }
  const given: Given[] = []
  const take = (name: string, value: unknown): void => {
    if (specOf(table, name) !== undefined) {
      given.push({ name, source: 'file', written: name, value })
      return
    }
    const isSection = Object.keys(table).some((each) => each.startsWith(`${name}.`))
    if (isSection && isJsonObject(value)) {
      for (const [key, inner] of Object.entries(value)) take(`${name}.${key}`, inner)
      return
    }
    if (isSection) {
      faults.push({ name, value: '(not shown)', says: 'is a section: give an object in braces' })
      return
    }
    faults.push(unknownName(name, value, nearestName(name, Object.keys(table))))
  }
  // `$schema` is for editors.
  for (const [name, value] of Object.entries(parsed.value as object)) {
    if (name !== '$schema') take(name, value)
  }
  return given
}

function readEnvironment<T extends OptionTable>(
  input: ConfigInput<T>,
  faults: ConfigFault[],
): Given[] {
  const names = new Map(Object.keys(input.table).map((name) => [variableOf(name), name]))
  const given: Given[] = []
  for (const [variable, text] of Object.entries(input.environment)) {
    if (text === undefined || !variable.startsWith(prefix)) continue
    if (input.otherVariables?.includes(variable) === true) continue
    const name = names.get(variable)
    if (name !== undefined) {
      given.push({ name, source: 'environment', written: variable, value: text })
      continue
    }
    const secretName = variable.endsWith('_FILE') ? names.get(variable.slice(0, -5)) : undefined
    if (secretName !== undefined && specOf(input.table, secretName)?.isSecret === true) {
      given.push(...readSecret(input, { variable, path: text, name: secretName }, faults))
      continue
    }
    faults.push(unknownName(variable, text, nearestName(variable, [...names.keys()])))
  }
  return given
}

function readSecret<T extends OptionTable>(
  input: ConfigInput<T>,
  secret: { readonly variable: string; readonly path: string; readonly name: string },
  faults: ConfigFault[],
): Given[] {
  const { variable, path, name } = secret
  if (input.environment[variableOf(name)] !== undefined) {
    const says = `is given beside ${variableOf(name)}; give one of the two`
    faults.push({ name: variable, value: path, says })
    return []
  }
  try {
    const value = readFileSync(path, 'utf8').trimEnd()
    return [{ name, source: 'environment', written: variable, value }]
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
    faults.push({ name: variable, value: path, says: `names a file that cannot be read (${code})` })
    return []
  }
}

function readFlags(
  table: OptionTable,
  flags: Readonly<Record<string, unknown>>,
  faults: ConfigFault[],
): Given[] {
  const given: Given[] = []
  for (const [name, value] of Object.entries(flags)) {
    if (value === undefined) continue
    if (specOf(table, name) !== undefined) {
      given.push({ name, source: 'flag', written: `--${name}`, value })
    } else {
      faults.push(unknownName(`--${name}`, value, nearestName(name, Object.keys(table))))
    }
  }
  return given
}
