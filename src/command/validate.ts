import type { Command } from 'commander'
import { parseDefinitionFiles } from '../process/definition-files.ts'
import { readDefinitionFolder } from './definition-folder.ts'
import { createOutput, type OutputFlags, showText } from './output.ts'

interface ValidateFlags extends OutputFlags {
  readonly overlay?: string
}

export function addValidateCommand(program: Command, exit: (code: number) => void): void {
  program
    .command('validate')
    .description('check a folder of definitions, and name every fault at once')
    .argument('<dir>', 'folder of definitions, such as examples/shop')
    .option('--overlay <file>', 'file of the folder that is laid over the others')
    .option('--json', 'print JSON')
    .option('--no-color', 'print without colours')
    .addHelpText('after', help)
    .action(async (dir: string, flags: ValidateFlags) => {
      const output = createOutput(flags)
      const answer = await parseDefinitionFiles(await readDefinitionFolder(dir), flags.overlay)
      const faults = answer.kind === 'refused' ? answer.faults : []
      const counts = answer.kind === 'refused' ? undefined : countsOf(answer.document)
      exit(faults.length === 0 ? 0 : 1)
      if (output.isJson) {
        await output.json({ isValid: faults.length === 0, faults, ...counts })
        return
      }
      await output.table(
        faults.map(({ file, path, says }) => [output.paint('bold', file), path, showText(says)]),
      )
      const parts = Object.entries(counts ?? {}).map(([name, count]) => `${count} ${name}`)
      const verdict =
        counts === undefined
          ? output.paint('red', `${faults.length} ${faults.length === 1 ? 'fault' : 'faults'}`)
          : output.paint('green', `Valid: ${parts.join(', ')}.`)
      await output.line(verdict)
    })
}

function countsOf(document: {
  readonly sources: readonly unknown[]
  readonly segments: readonly unknown[]
  readonly campaigns: readonly unknown[]
  readonly recommenders?: readonly unknown[]
  readonly templates: Readonly<Record<string, unknown>>
}): Readonly<Record<string, number>> {
  return {
    sources: document.sources.length,
    segments: document.segments.length,
    campaigns: document.campaigns.length,
    recommenders: document.recommenders?.length ?? 0,
    templates: Object.keys(document.templates).length,
  }
}

const help = `
Example:
  attune validate examples/shop --overlay demo.yaml

Prints file, path in it, and what is wrong. Exit code 1 where anything is.`
