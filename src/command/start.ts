import type { Command } from 'commander'
import { readServerConfig } from './read-config.ts'
import { createServerDeps, runServer, untilAborted } from './run-server.ts'

/** Flags of the server's options; the name of each option follows. */
export const serverFlags = [
  ['--role <role>', 'server.role', 'all, collect, work or api (default all)'],
  ['--data-dir <dir>', 'server.dataDir', 'folder of log, state and side store (default .attune)'],
  ['--host <address>', 'server.host', 'address to listen on (default 127.0.0.1)'],
  ['--port <number>', 'server.port', 'port to listen on (default 8080; 0 = any free one)'],
  ['--definitions <dir>', 'server.definitionsDir', 'folder of definitions, applied where changed'],
  ['--public-url <url>', 'server.publicUrl', 'where links in emails reach this server'],
  ['--from <address>', 'delivery.from', 'sender of the emails'],
  ['--smtp <url>', 'delivery.smtpUrl', 'SMTP relay, such as smtp://127.0.0.1:2525'],
  ['--log-level <level>', 'logLevel', 'debug, info, warn or error (default info)'],
] as const

const neededToSend = ['server.publicUrl', 'delivery.from', 'delivery.smtpUrl'] as const
type NeededToSend = (typeof neededToSend)[number]

/** Returns the names of the options without which nothing is sent, as far as they are not given. */
export function lackedToSend(
  values: Readonly<Partial<Record<NeededToSend, unknown>>>,
): readonly NeededToSend[] {
  return neededToSend.filter((name) => values[name] === undefined)
}

export function addServerFlags(command: Command): Command {
  command.option('-c, --config <file>', 'configuration file (JSONC); see docs/reference')
  for (const [flag, , says] of serverFlags) command.option(flag, says)
  return command
}

/** Returns the flags given, by the names of their options. */
export function flagsOf(options: Readonly<Record<string, unknown>>): Record<string, string> {
  const flags: Record<string, string> = {}
  for (const [flag, name] of serverFlags) {
    const long = /^--([a-z-]+)/.exec(flag)?.[1] ?? ''
    const camel = long.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())
    const value = options[camel]
    if (typeof value === 'string') flags[name] = value
  }
  return flags
}

export function addStartCommand(program: Command, exit: (code: number) => void): void {
  const command = program
    .command('start')
    .description('run the server: collect, fold, deliver, answer')
    .addHelpText('after', startHelp)
  addServerFlags(command).action(async (options: Record<string, unknown>) => {
    const config = typeof options['config'] === 'string' ? options['config'] : undefined
    const values = await readServerConfig(config, flagsOf(options))
    const deps = createServerDeps(values.logLevel)
    const missing = lackedToSend(values)
    const isSender = values['server.role'] === 'all' || values['server.role'] === 'work'
    if (missing.length > 0 && isSender) {
      const flags = serverFlags.filter(([, name]) => missing.some((each) => each === name))
      const says = flags.map(([flag]) => flag).join(', ')
      deps.logger.warn(
        { missing },
        `nothing is sent, and messages stay due, until you give ${says}`,
      )
    }
    const code = await runServer(deps, { values }, async (server, signal) => {
      process.stdout.write(`${JSON.stringify({ url: server.url, dataDir: server.dataDir })}\n`)
      await untilAborted(signal)
      return 0
    })
    exit(code)
  })
}

const startHelp = `
Examples:
  attune start --config config/kafka-redis.jsonc --role work --port 8081
  attune start --data-dir data --port 8080 --definitions shop \\
    --public-url https://mail.shop.example --from "Shop <hello@shop.example>" \\
    --smtp smtp://127.0.0.1:2525

When it listens it prints one JSON line with its address on stdout; its log goes to stderr.
SIGTERM stops it cleanly: a worker gives its partitions up first. Every option can also stand in a
file (--config) or in the environment (ATTUNE_SERVER__PORT=8080).`
