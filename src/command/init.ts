import type { Command } from 'commander'
import { serverTable } from '../config.ts'
import { systemRandom } from '../lib/random.ts'
import { initDataDir, lockDataDir } from './data-dir.ts'
import { createStoreDeps } from './data-reader.ts'
import { initStores } from './init-stores.ts'
import { addDataFlags, createOutput, type OutputFlags, readWhole } from './output.ts'
import { readServerConfig } from './read-config.ts'
import { isShared, storeOptionsOf } from './store-options.ts'

interface InitFlags extends OutputFlags {
  readonly partitions?: number
}

export function addInitCommand(program: Command, exit: (code: number) => void): void {
  const { default: partitionCount, max } = serverTable['log.partitionCount']
  const command = program
    .command('init')
    .description('make a data directory: logs, state, side store, secrets; or topics and tables')
    .option(
      '--partitions <count>',
      `partitions of log and state, fixed for ever (default ${partitionCount})`,
      readWhole(1, max),
    )
    .addHelpText('after', help)
  addDataFlags(command).action(async (flags: InitFlags) => {
    const output = createOutput(flags)
    const { dataDir, partitions } = flags
    const values = await readServerConfig(flags.config, {
      'server.dataDir': dataDir,
      ...(partitions === undefined ? {} : { 'log.partitionCount': String(partitions) }),
    })
    if (isShared(storeOptionsOf(values))) {
      await initStores({ ...createStoreDeps(), random: systemRandom }, values)
      const { 'log.kind': log, 'state.kind': state } = values
      if (output.isJson) await output.json({ dataDir, log, state })
      else await output.line(`${log} and ${state} are ready; the secrets are in ${dataDir}.`)
      exit(0)
      return
    }
    const count = values['log.partitionCount']
    const lock = await lockDataDir(dataDir)
    const isNew = await initDataDir(dataDir, { partitionCount: count }, systemRandom).finally(() =>
      lock.release(),
    )
    exit(0)
    if (output.isJson) await output.json({ dataDir, isNew })
    else await output.line(isNew ? `Made ${dataDir}.` : `${dataDir} is there already; unchanged.`)
  })
}

const help = `
Examples:
  attune init --data-dir data
  attune keys create --data-dir data --name shop --scope read

  attune init --config kafka-redis.jsonc --data-dir secrets

On one machine \`attune start\` does the same where the directory is missing. Where the
configuration names Kafka, Kinesis, Redis or DynamoDB, this makes topics, streams and tables with
the settings that Attune needs, or checks those that are there; run it once, before the first start.

The secrets sign the links in emails: give the same secrets.json to every process, keep it with your
backups, and away from others.`
