/**
 * `attune trim`: deletes what the log holds before a base.
 *
 * Order of effects: the base is hashed again and has to be what it was; the plan; then one
 * partition after another, where the log first notes how far it is trimmed and then deletes in
 * bounded pieces. Cut off anywhere, reading what is gone fails loudly, and the same call goes on.
 */

import { join } from 'node:path'
import type { Command } from 'commander'
import { systemClock } from '../lib/clock.ts'
import { OperatingError } from '../lib/errors.ts'
import { measureSqliteLog, trimSqliteLog } from '../log/sqlite-log-file.ts'
import { foldRulesVersion } from '../process/fold-rules.ts'
import { openSqliteStateStore } from '../state/sqlite-state-store.ts'
import { type Base, basesDirOf, chooseBase, lockBases } from './base-folder.ts'
import { type DataReader, readStoreOptions, withStores } from './data-reader.ts'
import {
  addDataFlags,
  createOutput,
  type Output,
  type OutputFlags,
  readWhole,
  refuseUse,
  showBytes,
} from './output.ts'
import { type StoreOptions, topicOf } from './store-options.ts'
import { planTrim, type TrimPlan } from './trim-plan.ts'

interface TrimFlags extends OutputFlags {
  readonly bases?: string
  readonly dryRun?: boolean
  readonly keepDays: number
}

const keepDaysDefault = 90
const keepDaysMax = 36_500
const dayMs = 86_400_000

export function addTrimCommand(program: Command, exit: (code: number) => void): void {
  const command = program
    .command('trim')
    .description('delete what the log holds before the newest base')
    .option('--bases <dir>', 'folder of bases; `bases` in the data directory')
    .option('--dry-run', 'tell what would be deleted, and delete nothing')
    .option(
      '--keep-days <days>',
      'keep records that are younger, which the history of profiles is made from',
      readWhole(0, keepDaysMax),
      keepDaysDefault,
    )
    .addHelpText('after', help)
  addDataFlags(command).action(async (flags: TrimFlags) => {
    const output = createOutput(flags)
    const stores = await readStoreOptions(flags)
    refuseStores(stores)
    const basesDir = basesDirOf(flags.dataDir, flags.bases)
    const lock = await lockBases(basesDir)
    try {
      await withStores(stores, async (data) => {
        const tell = (says: string): void => output.progress(`attune: ${says}`)
        const base = await findBase(data, basesDir, tell)
        const plans = await plan(data, { basesDir, base, keepDays: flags.keepDays })
        const bytes = await measure(stores, plans)
        if (flags.dryRun !== true) await trimAll(stores, plans, output)
        await show(output, { base, plans, bytes, isDryRun: flags.dryRun === true })
      })
      exit(0)
    } finally {
      lock.release()
    }
  })
}

/** Where a log cannot be trimmed, or is all that there is. */
function refuseStores({ log, state }: StoreOptions): void {
  if (log.kind === 'kinesis') {
    refuseUse('Kinesis deletes by its retention alone, 365 days at most; there is nothing to trim')
  }
  if (state.kind === 'redis') {
    refuseUse('Redis may lose every commit, and only the whole log makes them again: not trimmed')
  }
}

/**
 * The newest that is whole, of this log, and was folded: behind a copy that nothing has proven the
 * log would take its only proof along.
 */
async function findBase(
  { log, state }: DataReader,
  basesDir: string,
  tell: (says: string) => void,
): Promise<Base> {
  const { partitionCount } = log.identity
  const partitions = Array.from({ length: partitionCount }, (_, partition) => partition)
  const heads = await Promise.all(partitions.map((partition) => state.head(partition)))
  const wish = { rulesVersion: foldRulesVersion, kind: 'folded', tell } as const
  const base = await chooseBase(basesDir, log.identity, heads, wish)
  if (base !== undefined) return base
  const says = `trim the log: ${basesDir} has no base that was folded from it and is whole`
  throw new OperatingError('DATA_DIR_INVALID', `${says}; make one with \`attune base\``)
}

async function plan(
  { log }: DataReader,
  given: { readonly basesDir: string; readonly base: Base; readonly keepDays: number },
): Promise<readonly TrimPlan[]> {
  const { basesDir, base, keepDays } = given
  const folder = join(basesDir, base.name)
  const state = await openSqliteStateStore({ dataDir: folder, readOnly: true })
  try {
    return await planTrim({ log, state }, base, systemClock.nowMs() - keepDays * dayMs)
  } finally {
    await state.close()
  }
}

/** Counts bytes where that is known; a topic of Kafka does not tell. */
async function measure(
  { log }: StoreOptions,
  plans: readonly TrimPlan[],
): Promise<number | undefined> {
  if (log.kind !== 'sqlite') return undefined
  const file = { dataDir: log.dataDir, stream: 'events' } as const
  return measureSqliteLog(file, plans)
}

async function trimAll(
  { log }: StoreOptions,
  plans: readonly TrimPlan[],
  output: Output,
): Promise<void> {
  for (const { partition, through, count } of plans.filter((each) => each.count > 0)) {
    if (log.kind === 'sqlite') {
      await trimSqliteLog({ dataDir: log.dataDir, stream: 'events' }, partition, through)
    } else if (log.kind === 'kafka') {
      const { trimKafkaLog } = await import('../log/kafka-topic.ts')
      const topic = topicOf(log.prefix, 'events')
      await trimKafkaLog({ ...log.kafka, topic }, partition, through)
    }
    output.progress(`partition ${partition}: ${count} records deleted`)
  }
}

async function show(
  output: Output,
  trim: {
    readonly base: Base
    readonly plans: readonly TrimPlan[]
    readonly bytes: number | undefined
    readonly isDryRun: boolean
  },
): Promise<void> {
  const { base, plans, bytes, isDryRun } = trim
  const records = plans.reduce((sum, { count }) => sum + count, 0)
  if (output.isJson) {
    const figures = { isDryRun, base: base.name, records, bytes: bytes ?? null }
    return await output.json({ ...figures, partitions: plans })
  }
  const rows = [['partition', 'log from', 'to', 'base at', 'deleted to', 'records', 'kept by']]
  for (const each of plans) {
    const numbers = [
      each.partition,
      each.start,
      each.end,
      each.baseOffset,
      each.through,
      each.count,
    ]
    rows.push([...numbers.map(String), each.keptBy])
  }
  await output.table(rows)
  await output.line('')
  const size = bytes === undefined ? '' : ` (${showBytes(bytes)})`
  const verb = isDryRun ? 'would be deleted' : 'deleted'
  await output.line(`${records} records${size} ${verb}, behind ${base.name}.`)
  if (isDryRun || bytes === undefined) return
  output.progress('The file keeps its size: SQLite fills the room with what comes next.')
}

const help = `
Example:
  attune base --data-dir data
  attune trim --dry-run --data-dir data
  attune trim --keep-days 30 --data-dir data

Works beside a running server. Keep the base: from then on a rebuild begins with it. What stays: all
behind the base, what is younger than --keep-days, and from the oldest event on that started a
passage or a message which is not over. What is gone cannot be folded again.`
