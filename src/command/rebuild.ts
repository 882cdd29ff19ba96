import { join } from 'node:path'
import type { Command } from 'commander'
import { systemClock } from '../lib/clock.ts'
import { foldRulesVersion } from '../process/fold-rules.ts'
import { type Base, basesDirOf, chooseBase } from './base-folder.ts'
import { assertDataDir, readStoreOptions } from './data-reader.ts'
import {
  addDataFlags,
  assertEmptyFolder,
  createOutput,
  type Output,
  type OutputFlags,
} from './output.ts'
import { type RebuiltState, rebuildState } from './rebuild-state.ts'
import { isShared } from './store-options.ts'

interface RebuildFlags extends OutputFlags {
  readonly into: string
  readonly bases?: string
  readonly fromStart?: boolean
}

const progressMs = 1000
const shownHashCharacters = 16

export function addRebuildCommand(program: Command, exit: (code: number) => void): void {
  const command = program
    .command('rebuild')
    .description('fold the log again, from a base or its start, and compare with the state')
    .requiredOption('--into <dir>', 'new or empty folder for the rebuilt state')
    .option('--bases <dir>', 'folder of bases; `bases` in the data directory')
    .option('--from-start', 'fold the whole log, and not from the newest base')
    .addHelpText('after', help)
  addDataFlags(command).action(async (flags: RebuildFlags) => {
    const output = createOutput(flags)
    const stores = await readStoreOptions(flags)
    if (!isShared(stores)) assertDataDir(flags.dataDir)
    await assertEmptyFolder(flags.into)
    const onFolded = createProgress(output)
    const basesDir = basesDirOf(flags.dataDir, flags.bases)
    let from: Base | undefined
    const rebuilt = await rebuildState({
      ...{ stores, into: flags.into, onFolded },
      async chooseBase(log, heads) {
        if (flags.fromStart === true) return undefined
        const tell = (says: string): void => output.progress(`attune: ${says}`)
        from = await chooseBase(basesDir, log, heads, { rulesVersion: foldRulesVersion, tell })
        return from && join(basesDir, from.name)
      },
    })
    if (output.isJson) await output.json({ ...rebuilt, base: from?.name ?? null })
    else {
      const begin = from === undefined ? 'the start of the log' : from.name
      await output.line(`Folded from ${begin}.`)
      await showRebuilt(output, rebuilt, flags.into)
    }
    exit(rebuilt.isEqual || !rebuilt.hasState ? 0 : 1)
  })
}

/** Returns what tells, once a second, how far the fold is. */
export function createProgress(output: Output): (count: number) => void {
  const startedAtMs = systemClock.monotonicMs()
  let saidAtMs = startedAtMs
  let folded = 0
  return (count) => {
    folded += count
    const nowMs = systemClock.monotonicMs()
    if (nowMs - saidAtMs < progressMs) return
    saidAtMs = nowMs
    const perSecond = Math.round((folded * 1000) / (nowMs - startedAtMs))
    output.progress(`${folded} records folded, ${perSecond} records/s`)
  }
}

async function showRebuilt(output: Output, rebuilt: RebuiltState, into: string): Promise<void> {
  const rows = [['partition', 'offset', 'records', 'hash of the state', 'hash rebuilt', '']]
  for (const each of rebuilt.partitions) {
    const stopped = each.stoppedAt === undefined ? '' : `stopped before ${each.stoppedAt}`
    const verdict = each.isEqual ? output.paint('green', 'equal') : output.paint('red', 'differs')
    rows.push([
      String(each.partition),
      String(each.offset),
      String(each.recordCount),
      rebuilt.hasState ? each.stateHash.slice(0, shownHashCharacters) : 'no state',
      each.rebuiltHash.slice(0, shownHashCharacters),
      rebuilt.hasState ? `${verdict} ${stopped}` : stopped,
    ])
  }
  await output.table(rows)
  await output.line('')
  if (!rebuilt.hasState) {
    await output.line(
      `There was no state to compare with. Rebuilt up to the end of the log in ${into}.`,
    )
    return
  }
  await output.line(`state    ${rebuilt.stateHash}`)
  await output.line(`rebuilt  ${rebuilt.rebuiltHash}`)
  const says = rebuilt.isEqual
    ? output.paint('green', 'Equal: the state is what its log says.')
    : output.paint(
        'red',
        'They differ: do not trust this state; keep it and look at `attune check`.',
      )
  await output.line(says)
}

const help = `
Example:
  attune rebuild --data-dir data --into /tmp/rebuilt

It begins with the newest base (\`attune base\`) that is whole and lies before the state, else with
the start of the log. Works while the server runs: it compares a copy of the state, and reads the
log up to its offsets.
It sends nothing and appends nothing. Exit code 1 where a hash differs.

To put it in the place of a damaged state: stop the server, move state.sqlite away, rebuild, and
move DIR/state.sqlite (with its -wal file, if there is one) into the data directory.`
