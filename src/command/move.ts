import type { Command } from 'commander'
import { systemClock } from '../lib/clock.ts'
import { systemRandom } from '../lib/random.ts'
import { listSqliteBlobs } from '../state/sqlite-blob-store.ts'
import { lockDataDir } from './data-dir.ts'
import { assertDataDir, createStoreDeps, type DataReader, withStores } from './data-reader.ts'
import { initStores } from './init-stores.ts'
import { type MovedPartition, type MoveProgress, markMoved, moveData } from './move-data.ts'
import { openBlobStore, openEventLog, openStateStore } from './open-stores.ts'
import { addDataFlags, createOutput, type Output, type OutputFlags, refuseUse } from './output.ts'
import { readServerConfig } from './read-config.ts'
import { isShared, type StoreOptions, storeOptionsOf } from './store-options.ts'

interface MoveFlags extends OutputFlags {
  readonly to: string
  readonly dryRun?: boolean
}

const progressMs = 1000
const shownHashCharacters = 16

export function addMoveCommand(program: Command, exit: (code: number) => void): void {
  const command = program
    .command('move')
    .description('carry a data directory over to Kafka and Redis or DynamoDB')
    .requiredOption('--to <file>', 'configuration file that names the new log and state')
    .option('--dry-run', 'say what there is to move, and move nothing')
    .addHelpText('after', help)
  addDataFlags(command).action(async (flags: MoveFlags) => {
    const output = createOutput(flags)
    const { dataDir } = flags
    assertDataDir(dataDir)
    const source: StoreOptions = {
      log: { kind: 'sqlite', dataDir },
      state: { kind: 'sqlite', dataDir },
    }
    const values = await readServerConfig(flags.to, { 'server.dataDir': dataDir })
    const target = storeOptionsOf(values)
    if (!isShared(target)) refuseUse(`${flags.to} names no log and state elsewhere; see log.kind`)
    const lock = await lockDataDir(dataDir)
    try {
      await withStores(source, async (data) => {
        if (flags.dryRun === true) return await showPlan(output, data)
        const { partitionCount } = data.log.identity
        const deps = { ...createStoreDeps(), random: systemRandom }
        await initStores(deps, { ...values, 'log.partitionCount': partitionCount })
        const moved = await moveTo(target, data, { dataDir, tell: createProgress(output) })
        await showMoved(output, moved)
        const isEqual = moved.every((each) => each.isEqual)
        if (isEqual) await markMoved(dataDir, `${target.log.kind} and ${target.state.kind}`)
        exit(isEqual ? 0 : 1)
      })
    } finally {
      lock.release()
    }
  })
}

async function moveTo(
  target: StoreOptions,
  data: DataReader,
  given: { readonly dataDir: string; readonly tell: (progress: MoveProgress) => void },
): Promise<readonly MovedPartition[]> {
  const deps = createStoreDeps()
  const opened: { close(): Promise<void> }[] = []
  const keep = <Store extends { close(): Promise<void> }>(store: Store): Store => {
    opened.push(store)
    return store
  }
  try {
    const log = keep(await openEventLog(deps, target.log, { stream: 'events' }))
    const rejected = keep(await openEventLog(deps, target.log, { stream: 'rejected' }))
    const state = keep(await openStateStore(deps, target.state))
    const blobs = keep(await openBlobStore(deps, target.state))
    const hashes = (): Iterable<string> => listSqliteBlobs(given.dataDir)
    return await moveData({ ...data, hashes }, { log, rejected, state, blobs }, given.tell)
  } finally {
    for (const one of opened.reverse()) await one.close()
  }
}

async function showPlan(output: Output, { log, rejected }: DataReader): Promise<void> {
  const countOf = async (of: typeof log): Promise<number> => {
    let count = 0
    for (let each = 0; each < of.identity.partitionCount; each++) count += await of.end(each)
    return count
  }
  const plan = {
    partitions: log.identity.partitionCount,
    records: await countOf(log),
    rejected: await countOf(rejected),
  }
  if (output.isJson) return await output.json(plan)
  await output.line(
    `To move: ${plan.records} records in ${plan.partitions} partitions, ` +
      `${plan.rejected} rejected events, the state and the side store. Nothing was moved.`,
  )
}

function createProgress(output: Output): (progress: MoveProgress) => void {
  let startedAt = systemClock.monotonicMs()
  let saidAt = startedAt
  let said: MoveProgress['what'] | undefined
  let total = 0
  return ({ what, count }) => {
    const now = systemClock.monotonicMs()
    if (what !== said) {
      said = what
      total = 0
      startedAt = now
    }
    total += count
    if (now - saidAt < progressMs) return
    saidAt = now
    const perSecond = Math.round((total * 1000) / Math.max(1, now - startedAt))
    output.progress(`${total} ${what}, ${perSecond}/s`)
  }
}

async function showMoved(output: Output, moved: readonly MovedPartition[]): Promise<void> {
  if (output.isJson) {
    await output.json({ isEqual: moved.every(({ isEqual }) => isEqual), partitions: moved })
    return
  }
  const rows = [['partition', 'records', 'keys', 'hash before', 'hash after', '']]
  for (const { partition, records, keys, hashBefore, hashAfter, isEqual } of moved) {
    rows.push([
      String(partition),
      String(records),
      String(keys),
      hashBefore.slice(0, shownHashCharacters),
      hashAfter.slice(0, shownHashCharacters),
      isEqual ? output.paint('green', 'equal') : output.paint('red', 'differs'),
    ])
  }
  await output.table(rows)
  await output.line('')
  const isEqual = moved.every((each) => each.isEqual)
  await output.line(
    isEqual
      ? 'Moved. Give secrets.json and keys.json of this directory to every process of the new ones.'
      : 'They differ: do not start on the new stores. The data directory is as it was: give ' +
          'other names (topics, keys, tables), and move again.',
  )
}

const help = `
Example:
  attune move --data-dir data --to config/kafka-redis.jsonc --dry-run
  attune move --data-dir data --to config/kafka-redis.jsonc

Stop the server first. Records keep their offsets, unfinished enrollments and messages go on where
they were. Cut off, the same command goes on; where the server ran again in between it says so: then
give names that are free. Afterwards the data directory is marked, so that its server does not start
again beside the new ones. Exit code 1 where a hash differs.`
