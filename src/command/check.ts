import type { Command } from 'commander'
import { checkDataDir } from './check-data-dir.ts'
import { assertDataDir } from './data-reader.ts'
import { addDataFlags, createOutput, type OutputFlags, showText } from './output.ts'

export function addCheckCommand(program: Command, exit: (code: number) => void): void {
  const command = program
    .command('check')
    .description('look for damage in the files of a data directory')
    .addHelpText('after', help)
  addDataFlags(command).action(async (flags: OutputFlags) => {
    const output = createOutput(flags)
    assertDataDir(flags.dataDir)
    const findings = await checkDataDir(flags.dataDir)
    const hasErrors = findings.some(({ severity }) => severity === 'error')
    exit(hasErrors ? 1 : 0)
    if (output.isJson) {
      await output.json({ isWhole: !hasErrors, findings })
      return
    }
    await output.table(
      findings.map(({ severity, code, partition, says }) => [
        output.paint(severity === 'error' ? 'red' : 'yellow', severity),
        code,
        partition === undefined ? '' : `partition ${partition}`,
        showText(says),
      ]),
    )
    if (findings.length === 0) await output.line(output.paint('green', 'Nothing is wrong.'))
  })
}

const help = `
Example:
  attune check --data-dir data

Reads every page of every file and every record of the log. Stop the server first: what it commits
meanwhile can look like damage. Exit code 1 where there is an error.
What to do then: \`attune rebuild\` makes the state again; a damaged log needs a backup.`
