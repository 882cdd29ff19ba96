/**
 * Entry of the program: reads the command line and runs one command.
 *
 * Data goes to stdout, logs and progress to stderr. Exit 0 = done, 1 = failed, 2 = wrong use, 70 =
 * the store failed. Only the command that is named is loaded, so that a small one starts quickly.
 */

import { Command, CommanderError } from 'commander'
import { describeError } from './command/describe-error.ts'
import { keepCompiled } from './lib/compile-cache.ts'
import { OperatingError } from './lib/errors.ts'
import { keepTicksFast } from './lib/fast-ticks.ts'

keepCompiled(process.env)
keepTicksFast()

type AddCommand = (program: Command, exit: (code: number) => void) => void

const exitFailed = 1
const exitUsage = 2

/** In the order of the help. */
const commands: Readonly<Record<string, () => Promise<AddCommand>>> = {
  dev: async () => (await import('./command/dev.ts')).addDevCommand,
  start: async () => (await import('./command/start.ts')).addStartCommand,
  demo: async () => (await import('./command/demo.ts')).addDemoCommand,
  init: async () => (await import('./command/init.ts')).addInitCommand,
  validate: async () => (await import('./command/validate.ts')).addValidateCommand,
  import: async () => (await import('./command/import.ts')).addImportCommand,
  schemas: async () => (await import('./command/schemas.ts')).addSchemasCommand,
  events: async () => (await import('./command/events.ts')).addEventsCommand,
  profile: async () => (await import('./command/profile.ts')).addProfileCommand,
  segment: async () => (await import('./command/segment.ts')).addSegmentCommand,
  messages: async () => (await import('./command/messages.ts')).addMessagesCommand,
  explain: async () => (await import('./command/explain.ts')).addExplainCommand,
  keys: async () => (await import('./command/keys.ts')).addKeysCommand,
  doctor: async () => (await import('./command/doctor.ts')).addDoctorCommand,
  check: async () => (await import('./command/check.ts')).addCheckCommand,
  rebuild: async () => (await import('./command/rebuild.ts')).addRebuildCommand,
  base: async () => (await import('./command/base.ts')).addBaseCommand,
  trim: async () => (await import('./command/trim.ts')).addTrimCommand,
  backup: async () => (await import('./command/backup.ts')).addBackupCommand,
  restore: async () => (await import('./command/restore.ts')).addRestoreCommand,
  move: async () => (await import('./command/move.ts')).addMoveCommand,
  identity: async () => (await import('./command/identity.ts')).addIdentityCommand,
  skip: async () => (await import('./command/skip.ts')).addSkipCommand,
  evaluate: async () => (await import('./command/evaluate.ts')).addEvaluateCommand,
  rejected: async () => (await import('./command/rejected.ts')).addRejectedCommand,
}

const program = new Command('attune')
  .description('Turns what a person just did into what their next email says.')
  .version('0.1.0')
  .exitOverride()
  .showHelpAfterError('(attune --help shows what there is)')

const exit = (code: number): void => {
  process.exitCode = code
}

const name = process.argv[2] ?? ''
const named = Object.hasOwn(commands, name) ? commands[name] : undefined
const loads = named === undefined ? Object.values(commands) : [named]
for (const load of loads) (await load())(program, exit)

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
