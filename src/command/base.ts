import type { Command } from 'commander'
import { systemClock } from '../lib/clock.ts'
import { systemRandom } from '../lib/random.ts'
import type { LogThread } from '../log/sqlite-log-thread.ts'
import { startLogThread } from '../log/sqlite-log-thread.ts'
import { type Base, basesDirOf, listBases, lockBases, verifyBase } from './base-folder.ts'
import { lockDataDir } from './data-dir.ts'
import { assertDataDir, createStoreDeps, readStoreOptions } from './data-reader.ts'
import { enterRules } from './enter-rules.ts'
import { makeAsIsBase, makeFoldedBase } from './make-base.ts'
import { openEventLog, openStateStore } from './open-stores.ts'
import { addDataFlags, createOutput, type Output, type OutputFlags, showTime } from './output.ts'
import { createProgress } from './rebuild.ts'
import { isShared, type StoreOptions } from './store-options.ts'

interface BaseFlags extends OutputFlags {
  readonly bases?: string
  readonly fromStart?: boolean
  readonly asIs?: boolean
  readonly enterRules?: boolean
}

interface ListFlags extends OutputFlags {
  readonly bases?: string
  readonly verify?: boolean
}

type Exit = (code: number) => void

export const basesFlag = [
  '--bases <dir>',
  'folder of bases; `bases` in the data directory',
] as const
const hashCharacters = 12

export function addBaseCommand(program: Command, exit: Exit): void {
  const base = program
    .command('base')
    .description('hashed states that a rebuild begins with and the log is trimmed behind')
  addMake(base, exit)
  addList(base, exit)
}

function addMake(base: Command, exit: Exit): void {
  const command = base
    .command('make', { isDefault: true })
    .description('fold the log from the newest base, compare with the state, and keep the result')
    .option(...basesFlag)
    .option('--from-start', 'fold the whole log, and not from the newest base')
    .option('--as-is', 'copy the state without a proof, where the log before it is gone')
    .option('--enter-rules', 'let the newer rules of this program count from here on')
    .addHelpText('after', help)
  addDataFlags(command).action(async (flags: BaseFlags) => {
    const output = createOutput(flags)
    const stores = await readStoreOptions(flags)
    if (!isShared(stores)) assertDataDir(flags.dataDir)
    const made = await makeBase(stores, flags, output)
    exit(0)
    if (made === undefined) output.progress('The state is of the rules of this program already.')
    else if (output.isJson) await output.json(made)
    else await showBase(made, output)
  })
}

function addList(base: Command, exit: Exit): void {
  const command = base
    .command('list')
    .description('show the bases, the newest first')
    .option(...basesFlag)
    .option('--verify', 'hash each of them again')
  addDataFlags(command).action(async (flags: ListFlags) => {
    const output = createOutput(flags)
    const basesDir = basesDirOf(flags.dataDir, flags.bases)
    const bases = await listBases(basesDir)
    exit(0)
    const rows = [['name', 'kind', 'made', 'rules', 'from', 'records', '']]
    for (const each of bases) {
      const fault = flags.verify === true ? await faultOf(basesDir, each) : undefined
      if (fault !== undefined) exit(1)
      const verdict = flags.verify === true ? (fault ?? 'whole') : ''
      if (output.isJson) await output.json({ ...each, ...(verdict === '' ? {} : { verdict }) })
      rows.push([
        ...[each.name, each.kind, showTime(each.createdAtMs), String(each.rulesVersion)],
        ...[fromOf(each), String(recordCountOf(each)), verdict],
      ])
    }
    if (output.isJson) return
    if (bases.length === 0) output.progress('There are no bases.')
    else await output.table(rows)
  })
}

async function makeBase(
  stores: StoreOptions,
  flags: BaseFlags,
  output: Output,
): Promise<Base | undefined> {
  const basesDir = basesDirOf(flags.dataDir, flags.bases)
  if (flags.enterRules === true) return await enterNewRules(stores, flags, basesDir)
  const lock = await lockBases(basesDir)
  try {
    if (flags.asIs === true) return await makeAsIsBase(systemClock, { stores, basesDir })
    return await makeFoldedBase(systemClock, {
      ...{ stores, basesDir, isFromStart: flags.fromStart === true },
      tell: (says) => output.progress(says),
      onFolded: createProgress(output),
    })
  } finally {
    lock.release()
  }
}

/** On one machine the server must be stopped; elsewhere whoever owns a partition is fenced. */
async function enterNewRules(
  stores: StoreOptions,
  flags: BaseFlags,
  basesDir: string,
): Promise<Base | undefined> {
  const closers: (() => unknown)[] = []
  try {
    let thread: LogThread | undefined
    if (!isShared(stores)) {
      const lock = await lockDataDir(flags.dataDir)
      closers.push(() => lock.release())
      const started = await startLogThread(flags.dataDir)
      closers.push(() => started.close())
      thread = started
    }
    const deps = createStoreDeps()
    const log = await openEventLog(deps, stores.log, { stream: 'events', port: thread?.connect() })
    closers.push(() => log.close())
    const state = await openStateStore(deps, stores.state)
    closers.push(() => state.close())
    const given = { clock: systemClock, random: systemRandom, log, state }
    return await enterRules(given, { stores, basesDir })
  } finally {
    for (const close of closers.reverse()) await close()
  }
}

async function faultOf(basesDir: string, base: Base): Promise<string | undefined> {
  try {
    await verifyBase(basesDir, base)
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

function fromOf({ kind, from }: Base): string {
  return kind === 'as-is' ? '-' : (from ?? 'start of the log')
}

function recordCountOf({ partitions }: Base): number {
  return partitions.reduce((sum, { offset }) => sum + offset, 0)
}

async function showBase(base: Base, output: Output): Promise<void> {
  const rows = [['partition', 'offset', 'hash']]
  for (const { partition, offset, hash } of base.partitions) {
    rows.push([String(partition), String(offset), hash.slice(0, hashCharacters)])
  }
  await output.table(rows)
  await output.line('')
  const how = base.kind === 'as-is' ? 'a copy of the state' : `folded from ${fromOf(base)}`
  await output.line(`${base.name}: ${how}, rules ${base.rulesVersion}.`)
}

const help = `
Example:
  attune base --data-dir data
  attune base list --verify --data-dir data

Works beside a running server: the log is folded again by this process, and nothing is written but
the base. It needs room for the state two times more while it is made. --enter-rules is for stores
elsewhere, after all workers of the older program were stopped; \`attune start\` on one machine does
it by itself.`
