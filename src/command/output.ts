/**
 * What commands share: where they write, and how their flags are read.
 *
 * Data goes to stdout, progress to stderr. A pipe that is closed early (`| head`) ends the command
 * quietly.
 */

import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { type Command, CommanderError, InvalidArgumentError } from 'commander'
import { processEnvironment } from '../config.ts'

export interface OutputFlags {
  readonly dataDir: string
  readonly config?: string
  readonly json?: boolean
  readonly color?: boolean
}

export type Colour = 'red' | 'green' | 'yellow' | 'dim' | 'bold'

export interface Output {
  readonly isJson: boolean
  /** Writes one line; resolves when there is room for the next. */
  line(text: string): Promise<void>
  json(value: unknown): Promise<void>
  /** Writes rows with their columns under each other. */
  table(rows: readonly (readonly string[])[]): Promise<void>
  /** Writes to stderr, where nobody reads data. */
  progress(text: string): void
  paint(colour: Colour, text: string): string
}

const codes: Readonly<Record<Colour, number>> = { red: 31, green: 32, yellow: 33, dim: 2, bold: 1 }
const exitUsage = 2
const textCharactersMax = 200
const idPattern = /^[\x20-\x7e]{1,300}$/

/** Adds the flags of every command that reads a data directory. */
export function addDataFlags(command: Command): Command {
  return command
    .option('--data-dir <dir>', 'folder of log, state and side store', '.attune')
    .option('-c, --config <file>', 'configuration file, where log and state are elsewhere')
    .option('--json', 'print JSON, one value per line')
    .option('--no-color', 'print without colours')
}

/** What JSON leaves as it is, and a terminal may obey. */
const unprintable = /[\x7f-\x9f]/g

function escapeCharacter(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}

export function createOutput(flags: Pick<OutputFlags, 'json' | 'color'>): Output {
  const { stdout, stderr } = process
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    process.exit(0)
  })
  const environment = processEnvironment()
  const isPlain = (environment['NO_COLOR'] ?? '') !== '' || flags.color === false
  const hasColour = stdout.isTTY === true && !isPlain
  const line = async (text: string): Promise<void> => {
    if (stdout.write(`${text}\n`)) return
    await new Promise<void>((resolve) => stdout.once('drain', resolve))
  }
  return {
    isJson: flags.json === true,
    line,
    json: (value) => line(JSON.stringify(value).replace(unprintable, escapeCharacter)),
    async table(rows) {
      for (const text of alignColumns(rows)) await line(text)
    },
    progress: (text) => {
      stderr.write(`${text}\n`)
    },
    paint: (colour, text) => (hasColour ? `\u001b[${codes[colour]}m${text}\u001b[0m` : text),
  }
}

/** Ends the command with the exit code for wrong use. */
export function refuseUse(says: string): never {
  process.stderr.write(`attune: ${says}\n`)
  throw new CommanderError(exitUsage, 'attune.use', says)
}

/** Refuses a folder that something is in. */
export async function assertEmptyFolder(folder: string): Promise<void> {
  const entries = existsSync(folder) ? await readdir(folder) : []
  if (entries.length > 0) refuseUse(`${folder} is not empty; give a new or an empty folder`)
}

/** Returns what reads a whole number of a flag. */
export function readWhole(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
    if (Number.isSafeInteger(value) && value >= min && value <= max) return value
    const range = max === Number.MAX_SAFE_INTEGER ? `${min} or more` : `${min} to ${max}`
    throw new InvalidArgumentError(`It must be a whole number, ${range}.`)
  }
}

export function readId(text: string): string {
  if (idPattern.test(text)) return text
  throw new InvalidArgumentError('An id has 1 to 300 printable characters.')
}

/** Returns what takes one of `choices`. */
export function readChoice<Choice extends string>(
  choices: readonly Choice[],
): (text: string) => Choice {
  return (text) => {
    const found = choices.find((choice) => choice === text)
    if (found !== undefined) return found
    throw new InvalidArgumentError(`It must be one of ${choices.join(', ')}.`)
  }
}

/** Returns text of others with nothing that a terminal would obey, and not too long. */
export function showText(text: string): string {
  const safe = text.replace(/[^\x20-\x7e\u00a1-\ud7ff\ue000-\ufffd]/g, (character) => {
    const code = character.charCodeAt(0)
    return code >= 0xd800 && code <= 0xdfff ? '?' : `\\u{${code.toString(16)}}`
  })
  return safe.length > textCharactersMax ? `${safe.slice(0, textCharactersMax)}...` : safe
}

export function showTime(atMs: number): string {
  return new Date(atMs).toISOString()
}

const byteUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

export function showBytes(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < byteUnits.length - 1) {
    value /= 1024
    unit++
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${byteUnits[unit]}`
}

function alignColumns(rows: readonly (readonly string[])[]): readonly string[] {
  const widths: number[] = []
  for (const row of rows) {
    row.forEach((cell, index) => {
      widths[index] = Math.max(widths[index] ?? 0, lengthOf(cell))
    })
  }
  return rows.map((row) =>
    row
      .map((cell, index) =>
        index === row.length - 1
          ? cell
          : cell + ' '.repeat(Math.max(0, (widths[index] ?? 0) - lengthOf(cell))),
      )
      .join('  ')
      .trimEnd(),
  )
}

/** Without the codes of colours, which take no room. */
function lengthOf(cell: string): number {
  return cell.split('\u001b').reduce((sum, part, index) => {
    return sum + (index === 0 ? part.length : part.length - part.indexOf('m') - 1)
  }, 0)
}
