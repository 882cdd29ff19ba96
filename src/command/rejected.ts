/** `attune rejected`: what the collector rejected, as a list of work. */

import { type Command, InvalidArgumentError } from 'commander'
import type { Selection } from '../collect/read-open.ts'
import type { FailureCount, Outcomes, WorkList } from '../collect/work-list.ts'
import { parseRepair } from '../event/parse-repair.ts'
import type { Repair } from '../event/repair.ts'
import { type WorkListFlags, withWorkList } from './open-work-list.ts'
import {
  addDataFlags,
  createOutput,
  type Output,
  type OutputFlags,
  readId,
  readWhole,
  refuseUse,
} from './output.ts'
import { readYamlFile } from './read-yaml.ts'
import { linesOfExample, linesOfOutcomes, linesOfRejected, rowsOfGroups } from './rejected-lines.ts'

interface SelectionFlags extends OutputFlags, WorkListFlags {
  readonly source?: string
  readonly reason?: string
  readonly path?: string
  readonly event?: string
}

interface RepairFlags extends SelectionFlags {
  readonly file: string
  readonly sample: number
  readonly examples: number
}

interface ReplayFlags extends SelectionFlags {
  readonly file?: string
  readonly live?: boolean
}

interface DismissFlags extends SelectionFlags {
  readonly because: string
}

type Exit = (code: number) => void

const sampleCountMax = 200
const pageCount = 100
const becausePattern = /^[^\p{Cc}]{3,500}$/u

export function addRejectedCommand(program: Command, exit: Exit): void {
  const rejected = program
    .command('rejected')
    .description('rejected events: list, show, repair, replay, dismiss')
    .addHelpText('after', help)
  addList(rejected, exit)
  addShow(rejected, exit)
  addRepair(rejected, exit)
  addReplay(rejected, exit)
  addDismiss(rejected, exit)
}

function addFlags(command: Command): Command {
  return addDataFlags(command)
    .option('--url <url>', 'address of a running server, instead of the data directory')
    .option('--key-file <file>', 'file with an API key for --url')
    .option('--source <name>', 'only of this source', readWord)
    .option('--reason <code>', 'only of this reason', readWord)
    .option('--path <pointer>', 'only with the fault at this place, as in the list', readWord)
    .option('--event <name>', 'only events of this name', readWord)
}

function addList(rejected: Command, exit: Exit): void {
  const command = rejected.command('list').description('count what is open, by fault')
  addFlags(command).action(async (flags: SelectionFlags) => {
    const output = createOutput(flags)
    const { groups, otherCount } = await withWorkList(flags, 'read', (list) => list.list())
    const wanted = groups.filter((group) => isWanted(group, flags))
    exit(0)
    if (output.isJson) for (const group of wanted) await output.json(group)
    else if (wanted.length > 0) await output.table(rowsOfGroups(wanted, output))
    else output.progress('Nothing is open.')
    if (otherCount > 0) output.progress(`${otherCount} more in groups that are too many to tell.`)
  })
}

function addShow(rejected: Command, exit: Exit): void {
  const command = rejected
    .command('show')
    .description('show one with the place of its fault: by id, or the newest of a group')
    .argument('[id]', 'as in the list', readId)
  addFlags(command).action(async (id: string | undefined, flags: SelectionFlags) => {
    const output = createOutput(flags)
    const shown = await withWorkList(flags, 'read', async (list) => {
      const wanted = id ?? (await newestOf(list, flags))
      return wanted === undefined ? undefined : await list.find(wanted)
    })
    exit(shown === undefined ? 1 : 0)
    if (shown === undefined) output.progress('attune: there is no such rejected event')
    else if (output.isJson) await output.json(shown)
    else for (const line of linesOfRejected(shown, output)) await output.line(line)
  })
}

async function newestOf(list: WorkList, flags: SelectionFlags): Promise<string | undefined> {
  const { groups } = await list.list()
  const wanted = groups.filter((group) => isWanted(group, flags))
  return wanted.toSorted((left, right) => right.lastSeenMs - left.lastSeenMs)[0]?.lastId
}

function addRepair(rejected: Command, exit: Exit): void {
  const command = rejected
    .command('repair')
    .description('try a repair on a sample, and write nothing; `replay --file` does it')
    .argument('[ids...]', 'only these', readIds)
    .requiredOption('--file <file>', 'the repair, YAML or JSON')
    .option('--dry-run', 'what it does anyway')
    .option('--sample <count>', 'events to try it on', readWhole(1, sampleCountMax), pageCount)
    .option('--examples <count>', 'of which so many are shown', readWhole(1, 20), 3)
  addFlags(command).action(async (ids: readonly string[], flags: RepairFlags) => {
    const output = createOutput(flags)
    const selection = selectionOf(ids, flags)
    const repair = await readRepairFile(flags.file)
    const limits = { sampleCount: flags.sample, exampleCount: flags.examples }
    const trial = await withWorkList(flags, 'read', (list) =>
      list.tryRepair(selection, repair, limits),
    )
    exit(trial.failedCount + trial.notRepairableCount === 0 ? 0 : 1)
    if (output.isJson) return await output.json(trial)
    for (const example of trial.examples) {
      for (const line of linesOfExample(example, output)) await output.line(line)
    }
    await output.line(`Of a sample of ${trial.sampleCount}, nothing written:`)
    const words = { accepted: 'would be accepted' }
    for (const line of linesOfOutcomes(trial, words)) await output.line(line)
  })
}

function addReplay(rejected: Command, exit: Exit): void {
  const command = rejected
    .command('replay')
    .description('send them through the collector again, repaired or as they are')
    .argument('[ids...]', 'only these', readIds)
    .option('--file <file>', 'a repair, YAML or JSON')
    .option('--live', 'let them trigger campaigns, as if they came now')
  addFlags(command).action(async (ids: readonly string[], flags: ReplayFlags) => {
    const output = createOutput(flags)
    const selection = selectionOf(ids, flags)
    const repair = flags.file === undefined ? undefined : await readRepairFile(flags.file)
    const sum = await withWorkList(flags, 'write', (list) =>
      replayAll(list, { selection, repair, isLive: flags.live === true }, output),
    )
    exit(sum.failedCount + sum.notRepairableCount === 0 ? 0 : 1)
    if (output.isJson) return await output.json(sum)
    for (const line of linesOfOutcomes(sum, { accepted: 'replayed' })) await output.line(line)
  })
}

interface ReplayWish {
  readonly selection: Selection
  readonly repair: Repair | undefined
  readonly isLive: boolean
}

/** Page by page, so that a Ctrl-C loses nothing that was told. */
async function replayAll(list: WorkList, wish: ReplayWish, output: Output) {
  const { selection, repair, isLive } = wish
  const sum = { acceptedCount: 0, droppedCount: 0, failedCount: 0, notRepairableCount: 0 }
  let eventCount = 0
  let failures: readonly FailureCount[] = []
  let cursor: string | undefined
  do {
    const page = await list.replay(selection, repair, { isLive, cursor, countMax: pageCount })
    sum.acceptedCount += page.acceptedCount
    sum.droppedCount += page.droppedCount
    sum.failedCount += page.failedCount
    sum.notRepairableCount += page.notRepairableCount
    eventCount += page.eventCount
    failures = addFailures(failures, page)
    cursor = page.cursor
    if (cursor !== undefined) output.progress(`${sum.acceptedCount} replayed ...`)
  } while (cursor !== undefined)
  return { ...sum, eventCount, failures }
}

function addFailures(before: readonly FailureCount[], page: Outcomes): readonly FailureCount[] {
  const sums = new Map<string, FailureCount>()
  for (const failure of [...before, ...page.failures]) {
    const { reason, path, says, count } = failure
    const key = [reason, path, says].join('\0')
    sums.set(key, { ...failure, count: count + (sums.get(key)?.count ?? 0) })
  }
  return [...sums.values()].slice(0, 20)
}

function addDismiss(rejected: Command, exit: Exit): void {
  const command = rejected
    .command('dismiss')
    .description('take them off the list; they stay in the log')
    .argument('[ids...]', 'only these', readIds)
    .requiredOption('--because <text>', 'why, for those who read the log later', readBecause)
  addFlags(command).action(async (ids: readonly string[], flags: DismissFlags) => {
    const output = createOutput(flags)
    const selection = selectionOf(ids, flags)
    const dismissedCount = await withWorkList(flags, 'write', async (list) => {
      let count = 0
      let cursor: string | undefined
      do {
        const options = { says: flags.because, cursor, countMax: pageCount }
        const page = await list.dismiss(selection, options)
        count += page.dismissedCount
        cursor = page.cursor
      } while (cursor !== undefined)
      return count
    })
    exit(0)
    if (output.isJson) await output.json({ dismissedCount })
    else await output.line(`${dismissedCount} dismissed.`)
  })
}

function isWanted(group: Required<Omit<Selection, 'ids'>>, flags: SelectionFlags): boolean {
  return (['source', 'reason', 'path', 'event'] as const).every(
    (name) => flags[name] === undefined || flags[name] === group[name],
  )
}

function selectionOf(ids: readonly string[], flags: SelectionFlags): Selection {
  const { source, reason, path, event } = flags
  const selection: Selection = {
    ...(source === undefined ? {} : { source }),
    ...(reason === undefined ? {} : { reason }),
    ...(path === undefined ? {} : { path }),
    ...(event === undefined ? {} : { event }),
    ...(ids.length === 0 ? {} : { ids }),
  }
  if (Object.keys(selection).length > 0) return selection
  return refuseUse('say which: ids, --source, --reason, --path or --event')
}

async function readRepairFile(path: string): Promise<Repair> {
  const parsed = parseRepair(await readYamlFile(path))
  if (parsed.kind === 'repair') return parsed.repair
  return refuseUse(parsed.faults.map(({ path: at, says }) => `${path} ${at}: ${says}`).join('\n'))
}

function readIds(id: string, before: readonly string[] = []): readonly string[] {
  return [...before, readId(id)]
}

function readWord(text: string): string {
  if (/^[^\p{Cc}]{1,300}$/u.test(text)) return text
  throw new InvalidArgumentError('It must have 1 to 300 characters.')
}

function readBecause(text: string): string {
  if (becausePattern.test(text)) return text
  throw new InvalidArgumentError('A reason has 3 to 500 characters.')
}

const help = `
Example:
  attune rejected list --data-dir data
  attune rejected show --source web --reason plan-mismatch --data-dir data
  attune rejected repair --file fix.yaml --source web --reason plan-mismatch --data-dir data
  attune rejected replay --file fix.yaml --source web --reason plan-mismatch \\
    --url http://127.0.0.1:8080 --key-file key

A replay keeps the time of receipt, and triggers nothing without --live. Doing it twice does it
once. Reading works while the server runs; replay and dismiss then go over its API.`
