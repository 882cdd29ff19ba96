/**
 * Entry of the program: reads the command line and runs one command.
 *
 * Data goes to stdout, logs and progress to stderr. Exit 0 = done, 1 = failed, 2 = wrong use, 70 =
 * the store failed.
 */

import { Command, CommanderError } from 'commander'
import { addDemoCommand } from './command/demo.ts'
import { addDevCommand } from './command/dev.ts'
import { describeError, exitUsage } from './command/run-server.ts'
import { addStartCommand } from './command/start.ts'
import { OperatingError } from './lib/errors.ts'

const exitFailed = 1

const program = new Command('attune')
  .description('Turns what a person just did into what their next email says.')
  .version('0.1.0')
  .exitOverride()
  .showHelpAfterError('(attune --help shows what there is)')

const exit = (code: number): void => {
  process.exitCode = code
}

addDevCommand(program, exit)
addStartCommand(program, exit)
addDemoCommand(program, exit)

try {
  await program.parseAsync()
} catch (error) {
  if (error instanceof CommanderError) exit(error.exitCode === 0 ? 0 : exitUsage)
  else {
    process.stderr.write(describeError(error))
    const isUsage = error instanceof OperatingError && error.code === 'CONFIG_INVALID'
    exit(isUsage ? exitUsage : exitFailed)
  }
}
