import type { Command } from 'commander'
import { serverTable } from '../config.ts'
import { systemRandom } from '../lib/random.ts'
import { initDataDir, lockDataDir } from './data-dir.ts'
import { addDataFlags, createOutput, type OutputFlags, readWhole } from './output.ts'

interface InitFlags extends OutputFlags {
  readonly partitions: number
}

export function addInitCommand(program: Command, exit: (code: number) => void): void {
  const { default: partitionCount, max } = serverTable['log.partitionCount']
  const command = program
    .command('init')
    .description('make a data directory: logs, state, side store, secrets')
    .option(
      '--partitions <count>',
      'partitions of log and state, fixed for ever',
      readWhole(1, max),
      partitionCount,
    )
    .addHelpText('after', help)
  addDataFlags(command).action(async (flags: InitFlags) => {
    const output = createOutput(flags)
    const { dataDir, partitions } = flags
    const lock = await lockDataDir(dataDir)
    const isNew = await initDataDir(dataDir, { partitionCount: partitions }, systemRandom).finally(
      () => lock.release(),
    )
    exit(0)
    if (output.isJson) await output.json({ dataDir, isNew })
    else await output.line(isNew ? `Made ${dataDir}.` : `${dataDir} is there already; unchanged.`)
  })
}

const help = `
Example:
  attune init --data-dir data
  attune keys create --data-dir data --name shop --scope read

\`attune start\` does the same where the directory is missing. The secrets in it sign the links in
emails: keep secrets.json with your backups, and away from others.`
