/**
 * What an option is, and how one value becomes typed or is refused. A part exports a table of its
 * options; `config.ts` joins the tables and reads file, environment and flags; reference pages are
 * printed from the same tables.
 *
 * Names are `section.key` in camel case, with the unit last: `collect.lagMsMax`. An option without
 * a default is undefined unless it is set.
 */

export interface OptionSpec {
  readonly kind: 'integer' | 'string' | 'boolean' | 'url' | 'address' | 'path' | 'durationMs'
  /** One sentence for the reference page. */
  readonly says: string
  readonly default?: number | string | boolean
  readonly min?: number
  readonly max?: number
  readonly unit?: string
  /** The only values of a string. */
  readonly choices?: readonly string[]
  /** The only schemes of a URL, without colon. */
  readonly schemes?: readonly string[]
  /** Never printed; can be read from the file that `ATTUNE_..._FILE` names. */
  readonly isSecret?: boolean
}

export type OptionTable = Readonly<Record<string, OptionSpec>>

type ValueOf<S> = S extends { readonly kind: 'integer' | 'durationMs' }
  ? number
  : S extends { readonly kind: 'boolean' }
    ? boolean
    : S extends { readonly choices: readonly (infer C)[] }
      ? C
      : string

/** The values of a table: those without a default may be undefined. */
export type OptionValues<T extends OptionTable> = {
  readonly [N in keyof T]: T[N] extends { readonly default: unknown }
    ? ValueOf<T[N]>
    : ValueOf<T[N]> | undefined
}

export type OptionValue = number | string | boolean

export type ParsedOption =
  | { readonly kind: 'value'; readonly value: OptionValue }
  | { readonly kind: 'refused'; readonly says: string }

const durationUnitMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}
const addressBytesMax = 320

/** Takes a value of a file as it is, and one of the environment or a flag as text. Never throws. */
export function parseOption(spec: OptionSpec, input: unknown): ParsedOption {
  switch (spec.kind) {
    case 'integer':
      return parseNumber(spec, parseDigits(input), 'a whole number')
    case 'durationMs':
      return parseNumber(spec, parseDuration(input), 'a time such as 250, "250ms", "10s" or "5m"')
    case 'boolean':
      if (input === true || input === 'true') return { kind: 'value', value: true }
      if (input === false || input === 'false') return { kind: 'value', value: false }
      return { kind: 'refused', says: 'must be true or false' }
    default:
      if (typeof input !== 'string' || input === '') {
        return { kind: 'refused', says: 'must be text that is not empty' }
      }
      return parseText(spec, input)
  }
}

function parseText(spec: OptionSpec, input: string): ParsedOption {
  if (hasControlCharacter(input))
    return { kind: 'refused', says: 'must not hold control characters' }
  if (spec.choices !== undefined && !spec.choices.includes(input)) {
    return { kind: 'refused', says: `must be one of ${spec.choices.join(', ')}` }
  }
  if (spec.kind === 'url') return parseUrl(spec, input)
  if (spec.kind === 'address' && !isAddress(input)) {
    return { kind: 'refused', says: 'must be an address such as "Shop <news@shop.example>"' }
  }
  return { kind: 'value', value: input }
}

function parseUrl(spec: OptionSpec, input: string): ParsedOption {
  const url = URL.parse(input)
  if (url === null) return { kind: 'refused', says: 'must be a whole URL, with its scheme' }
  const scheme = url.protocol.slice(0, -1)
  if (spec.schemes !== undefined && !spec.schemes.includes(scheme)) {
    return { kind: 'refused', says: `must begin with ${spec.schemes.join(':// or ')}://` }
  }
  if (url.hostname === '') return { kind: 'refused', says: 'must name a host' }
  return { kind: 'value', value: input }
}

function parseNumber(spec: OptionSpec, value: number | undefined, form: string): ParsedOption {
  const range = rangeOf(spec)
  if (value === undefined || !Number.isSafeInteger(value)) {
    return { kind: 'refused', says: `must be ${form}${range === '' ? '' : `, ${range}`}` }
  }
  if (value < (spec.min ?? 0) || value > (spec.max ?? Number.MAX_SAFE_INTEGER)) {
    return { kind: 'refused', says: `must be ${range || '0 or more'}` }
  }
  return { kind: 'value', value }
}

/** Returns the bounds of a number in words, or an empty text. */
export function rangeOf(spec: OptionSpec): string {
  const unit = spec.kind === 'durationMs' ? ' ms' : spec.unit === undefined ? '' : ` ${spec.unit}`
  if (spec.min !== undefined && spec.max !== undefined) return `${spec.min} to ${spec.max}${unit}`
  if (spec.min !== undefined) return `${spec.min}${unit} or more`
  if (spec.max !== undefined) return `${spec.max}${unit} or less`
  return ''
}

function parseDigits(input: unknown): number | undefined {
  if (typeof input === 'number') return input
  return typeof input === 'string' && /^-?\d{1,16}$/.test(input) ? Number(input) : undefined
}

function parseDuration(input: unknown): number | undefined {
  if (typeof input === 'number') return input
  const match = typeof input === 'string' ? /^(\d{1,16})(ms|s|m|h|d)?$/.exec(input) : null
  if (match === null) return undefined
  return Number(match[1]) * (durationUnitMs[match[2] ?? 'ms'] ?? 1)
}

/** Tells whether `text` is `local@domain` in ASCII, alone or in angle brackets behind a name. */
function isAddress(text: string): boolean {
  if (text.length > addressBytesMax) return false
  const bare = /^(?:[^<>@,;:"]*|"[^"\\]*") ?<([^<>]+)>$/.exec(text)?.[1] ?? text
  return /^[\w.!#$%&'*+/=?^`{|}~-]{1,64}@[a-z\d-]+(?:\.[a-z\d-]+)*$/i.test(bare)
}

function hasControlCharacter(text: string): boolean {
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code < 0x20 || code === 0x7f) return true
  }
  return false
}

/** Returns the known name most like `name`, if it is like enough to be meant. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  const wanted = name.toLowerCase()
  let nearest: string | undefined
  let distanceMin = Math.max(2, Math.floor(wanted.length / 4)) + 1
  for (const each of known) {
    const distance = editDistance(wanted, each.toLowerCase())
    if (distance >= distanceMin) continue
    nearest = each
    distanceMin = distance
  }
  // A key given without its section, or in another one, is meant as well.
  const key = wanted.slice(wanted.lastIndexOf('.') + 1)
  return nearest ?? known.find((each) => each.toLowerCase().endsWith(`.${key}`))
}

/** Levenshtein distance, with one row. */
function editDistance(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, index) => index)
  for (let at = 1; at <= left.length; at++) {
    const next = [at]
    for (let to = 1; to <= right.length; to++) {
      const change = (row[to - 1] ?? 0) + (left[at - 1] === right[to - 1] ? 0 : 1)
      next.push(Math.min(change, (row[to] ?? 0) + 1, (next[to - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[right.length] ?? 0
}
