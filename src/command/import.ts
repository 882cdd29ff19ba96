/**
 * `attune import`: events of the past, from files, logs and taps, into the log; and catalogs.
 *
 * Exit codes: 0 all rows were taken, dropped on purpose, or known already; 1 some rows were
 * refused (all others are imported), the run was stopped, or it failed; 2 wrong use, a file whose
 * columns cannot be read included. A followed log that is stopped ends with 0.
 */

import { readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { parse as parseYaml } from 'yaml'
import { csvDelimiters } from '../collect/csv-record.ts'
import { type ImportMap, parseImportMap, plainMap } from '../collect/import-map.ts'
import { systemClock } from '../lib/clock.ts'
import { OperatingError } from '../lib/errors.ts'
import { systemRandom } from '../lib/random.ts'
import { readSecrets } from './data-dir.ts'
import { openDryTarget, openEmbeddedTarget } from './import-embedded.ts'
import { followFile } from './import-follow.ts'
import { catalogFormats, createFormat, type ImportFormat, importFormats } from './import-format.ts'
import { importHelp } from './import-help.ts'
import { createEventWire, createHttpTarget } from './import-http.ts'
import { catalogSourceId, createItemWire } from './import-items.ts'
import { createImportReport, formatCounts, type ImportReport } from './import-report.ts'
import { type ImportedFile, type ImportRun, importFile } from './import-run.ts'
import { importSinger } from './import-singer.ts'
import { type ImportState, importStatePath, openImportState, visitorKeyOf } from './import-state.ts'
import type { ImportTarget } from './import-target.ts'
import { createOutput, type Output, readChoice, refuseUse } from './output.ts'

export interface ImportFlags {
  readonly format: ImportFormat
  readonly dataDir?: string
  readonly url?: string
  readonly writeKey?: string
  readonly apiKey?: string
  readonly source?: string
  readonly map?: string
  readonly delimiter?: string
  readonly state?: string
  readonly visitorKeyFile?: string
  readonly live?: boolean
  readonly follow?: boolean
  readonly again?: boolean
  readonly dryRun?: boolean
  readonly json?: boolean
  readonly quiet?: boolean
  readonly color?: boolean
}

const deps = { clock: systemClock, random: systemRandom }
const dataDirDefault = '.attune'
const stateDefault = '.attune-import.sqlite'
const visitorKeyBytesMin = 16

export function addImportCommand(program: Command, exit: (code: number) => void): void {
  program
    .command('import')
    .description('import events from CSV, NDJSON, access logs, a Singer tap; or a catalog')
    .argument('<file...>', 'files, also compressed by gzip; - is standard input')
    .requiredOption('--format <format>', importFormats.join(', '), readChoice(importFormats))
    .option('--map <file>', 'definition of columns, paths or streams, in YAML')
    .option('--data-dir <dir>', `data directory without a running server (${dataDirDefault})`)
    .option('--url <url>', 'server that takes the events instead; works while it runs')
    .option('--write-key <key>', 'write key of the source, with --url')
    .option('--api-key <key>', 'API key with the scope write, with --url, for a catalog')
    .option('--source <name>', 'source of the events, with --data-dir (import)')
    .option('--live', 'the events may trigger campaigns; without it they are of the past')
    .option('-f, --follow', 'go on with what is written to the log, through its rotations')
    .option('--again', 'read files from their start that were imported before')
    .option('--dry-run', 'read and judge all rows, and write nothing')
    .option('--delimiter <name>', 'of CSV: comma, semicolon, tab or pipe; else it is found')
    .option('--state <file>', 'where the places in the files are kept')
    .option('--visitor-key-file <file>', 'secret of the ids of visitors that a log does not name')
    .option('--json', 'print the result as JSON')
    .option('-q, --quiet', 'no progress')
    .option('--no-color', 'print without colours')
    .addHelpText('after', importHelp)
    .action(async (files: readonly string[], flags: ImportFlags) => {
      checkUse(files, flags)
      exit(await runImport(files, flags))
    })
}

function checkUse(files: readonly string[], flags: ImportFlags): void {
  const { url, dataDir, writeKey, format } = flags
  if (url !== undefined && dataDir !== undefined) refuseUse('give --data-dir or --url, not both')
  if (url !== undefined && !/^https?:\/\//.test(url))
    refuseUse('--url is like http://127.0.0.1:8080')
  const needsKey = url !== undefined && flags.dryRun !== true
  if (isCatalog(flags)) checkCatalogUse(flags, needsKey)
  else if (needsKey && writeKey === undefined) {
    refuseUse('--url needs the --write-key of a source')
  }
  if (!isCatalog(flags) && flags.apiKey !== undefined) refuseUse('--api-key is for a catalog')
  if (url === undefined && writeKey !== undefined) refuseUse('--write-key is for --url')
  if (url !== undefined && flags.source !== undefined) {
    refuseUse('with --url the write key names the source')
  }
  const isLog = format === 'nginx' || format === 'apache' || format === 'json-lines'
  if (flags.follow === true && !(isLog || format === 'ndjson')) {
    refuseUse('--follow is for logs: nginx, apache, json-lines, ndjson')
  }
  const isOneFile = files.length === 1 && files[0] !== '-'
  if (flags.follow === true && (!isOneFile || flags.dryRun === true)) {
    refuseUse('--follow takes one file, and writes what it reads')
  }
  if (format === 'singer' && (files.length !== 1 || files[0] !== '-')) {
    refuseUse('a tap is read from standard input: tap | attune import - --format singer')
  }
  if (files.filter((file) => file === '-').length > 1) refuseUse('standard input is read once')
  if (flags.delimiter !== undefined) delimiterOf(flags.delimiter)
}

function isCatalog({ format }: ImportFlags): boolean {
  return catalogFormats.some((each) => each === format)
}

function checkCatalogUse(flags: ImportFlags, needsKey: boolean): void {
  if (flags.writeKey !== undefined) refuseUse('a catalog is no source: give --api-key')
  if (needsKey && flags.apiKey === undefined) {
    refuseUse('--url needs an --api-key with the scope write')
  }
  if (flags.url === undefined && flags.apiKey !== undefined) refuseUse('--api-key is for --url')
  if (flags.source !== undefined) refuseUse('a catalog has no --source')
  if (flags.map !== undefined) refuseUse('a catalog has no --map; its columns have fixed names')
}

async function runImport(files: readonly string[], flags: ImportFlags): Promise<number> {
  const output = createOutput(flags)
  const stop = new AbortController()
  const onSignal = (): void => stop.abort()
  process.once('SIGINT', onSignal)
  process.once('SIGTERM', onSignal)
  const report = createImportReport({ ...deps, output }, flags.quiet === true)
  const map = await readMap(flags.map)
  const target = await openTarget(flags, { report, signal: stop.signal })
  let state: ImportState | undefined
  try {
    state = openState(flags)
    const shared = { ...deps, target, report, signal: stop.signal }
    if (flags.format === 'singer') {
      const printState = (value: unknown): Promise<void> => output.json(value)
      const done = await importSinger({ ...shared, map, printState }, process.stdin)
      report.say(formatCounts(done.counts))
      return codeOf([done])
    }
    const visitorKey = await readVisitorKey(flags, state)
    const delimiter = flags.delimiter === undefined ? undefined : delimiterOf(flags.delimiter)
    const format = createFormat({ format: flags.format, map, delimiter, visitorKey })
    const run: ImportRun = {
      ...shared,
      ...{ state, format, formatName: flags.format, isAgain: flags.again === true },
    }
    return await importAll(run, { files, flags, output })
  } finally {
    state?.close()
    await target.close()
    process.off('SIGINT', onSignal)
    process.off('SIGTERM', onSignal)
  }
}

async function importAll(
  run: ImportRun,
  given: {
    readonly files: readonly string[]
    readonly flags: ImportFlags
    readonly output: Output
  },
): Promise<number> {
  const { files, flags, output } = given
  const [first = ''] = files
  if (flags.follow === true) {
    const done = await followFile(run, first)
    for (const each of done) await showFile(output, each, flags)
    return 0
  }
  const done: ImportedFile[] = []
  for (const file of files) {
    if (run.signal.aborted) break
    const imported = await importFile(run, file)
    done.push(imported)
    await showFile(output, imported, flags)
  }
  return run.signal.aborted ? 1 : codeOf(done)
}

function codeOf(done: readonly ImportedFile[]): number {
  return done.some(({ refusedNow, outcome }) => refusedNow > 0 || outcome === 'stopped') ? 1 : 0
}

async function showFile(output: Output, done: ImportedFile, flags: ImportFlags): Promise<void> {
  if (output.isJson) return await output.json(done)
  const { file, outcome, counts } = done
  const would = flags.dryRun === true ? ' (dry run: nothing was written)' : ''
  if (outcome === 'unchanged') {
    const says = 'was imported before, and nothing came to it; --again reads it from its start'
    return await output.line(`${file}: ${says}`)
  }
  const how = outcome === 'stopped' ? 'stopped; the same command goes on. ' : ''
  await output.line(`${file}: ${how}${formatCounts(counts)}${would}`)
}

async function openTarget(
  flags: ImportFlags,
  given: { readonly report: ImportReport; readonly signal: AbortSignal },
): Promise<ImportTarget> {
  const { url, writeKey = '', source } = flags
  const isBackfill = flags.live !== true
  const kind = { source, isBackfill, isCatalog: isCatalog(flags) }
  if (flags.dryRun === true) return await openDryTarget(deps, { dataDir: flags.dataDir, ...kind })
  if (url !== undefined) {
    const { report, signal } = given
    const way = isCatalog(flags)
      ? { sourceId: catalogSourceId, wire: createItemWire(flags.apiKey ?? '') }
      : { sourceId: writeKey, wire: createEventWire(writeKey, isBackfill) }
    return createHttpTarget(deps, { url, ...way, signal, say: report.say })
  }
  return await openEmbeddedTarget(deps, { dataDir: flags.dataDir ?? dataDirDefault, ...kind })
}

function openState(flags: ImportFlags): ImportState | undefined {
  if (flags.dryRun === true || flags.format === 'singer') return undefined
  const ownPath =
    flags.url === undefined ? importStatePath(flags.dataDir ?? dataDirDefault) : stateDefault
  return openImportState(deps, flags.state ?? ownPath)
}

async function readVisitorKey(
  flags: ImportFlags,
  state: ImportState | undefined,
): Promise<Uint8Array> {
  const { visitorKeyFile, url } = flags
  if (visitorKeyFile !== undefined) {
    const key = await readFile(visitorKeyFile).catch((error: unknown) => {
      throw new OperatingError('INPUT_UNREADABLE', `read ${visitorKeyFile}`, error)
    })
    if (key.length >= visitorKeyBytesMin) return key
    return refuseUse(`${visitorKeyFile} holds less than ${visitorKeyBytesMin} bytes`)
  }
  if (url === undefined && flags.dryRun !== true) {
    const { addressSecret } = await readSecrets(flags.dataDir ?? dataDirDefault)
    return visitorKeyOf(addressSecret)
  }
  return state?.visitorKey ?? systemRandom.bytes(visitorKeyBytesMin)
}

async function readMap(path: string | undefined): Promise<ImportMap> {
  if (path === undefined) return plainMap
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw new OperatingError('INPUT_UNREADABLE', `read ${path}`, error)
  })
  const parsed = parseImportMap(parseMapText(path, text))
  if (parsed.kind === 'map') return parsed.map
  return refuseUse(parsed.faults.map(({ path: at, says }) => `${path}: ${at}: ${says}`).join('\n'))
}

function parseMapText(path: string, text: string): unknown {
  try {
    return parseYaml(text, { maxAliasCount: 20 }) as unknown
  } catch (error) {
    const says = error instanceof Error ? error.message.split('\n')[0] : 'not YAML'
    return refuseUse(`${path}: ${says}`)
  }
}

function delimiterOf(text: string): (typeof csvDelimiters)[number] {
  const names = { comma: ',', semicolon: ';', tab: '\t', pipe: '|' } as const
  const named = Object.entries(names).find(([name]) => name === text)?.[1]
  const found = named ?? csvDelimiters.find((delimiter) => delimiter === text)
  return found ?? refuseUse('--delimiter is comma, semicolon, tab or pipe')
}
