/** `attune identity`: who is who, put right by hand. */

import type { Command } from 'commander'
import { systemClock } from '../lib/clock.ts'
import { systemRandom } from '../lib/random.ts'
import {
  type OrderDeps,
  type PlannedOrder,
  planJoin,
  planSplit,
} from '../process/identity-order.ts'
import { appendRecord, withLogLock } from './append-record.ts'
import { readStoreOptions, withDataReader } from './data-reader.ts'
import { addDataFlags, createOutput, type OutputFlags, readId, refuseUse } from './output.ts'
import { askAgain, type Problem, readTarget, refusalOf } from './remote-work-list.ts'

interface IdentityFlags extends OutputFlags {
  readonly url?: string
  readonly keyFile?: string
}

interface SplitFlags extends IdentityFlags {
  readonly from?: string
}

type Exit = (code: number) => void

const okStatus = 200

export function addIdentityCommand(program: Command, exit: Exit): void {
  const identity = program
    .command('identity')
    .description('who is who: take a key out of a person, join two')
    .addHelpText('after', help)
  const split = identity
    .command('split')
    .description('take a wrongly merged key out of the person it joined')
    .argument('<key>', 'user:ID, anonymous:ID, or a key as a profile shows it', readId)
    .option('--from <key>', 'only where this key leads the person', readId)
  addFlags(split).action(async (key: string, flags: SplitFlags) => {
    const { from } = flags
    const body = from === undefined ? { key } : { key, from }
    await order(
      flags,
      exit,
      { path: '/api/v1/identity/split', body },
      {
        plan: (deps) => planSplit(deps, key, from),
        says: ({ leaderKey }) => `${key} is taken out of ${leaderKey}, and stays apart.`,
      },
    )
  })
  const join = identity
    .command('join')
    .description('join two keys, also where they were taken apart')
    .argument('<key>', 'as above', readId)
    .argument('<other>', 'as above', readId)
  addFlags(join).action(async (left: string, right: string, flags: IdentityFlags) => {
    await order(
      flags,
      exit,
      { path: '/api/v1/identity/join', body: { keys: [left, right] } },
      {
        plan: (deps) => planJoin(deps, [left, right]),
        says: () => `${left} and ${right} are joined, unless a limit refuses it.`,
      },
    )
  })
}

function addFlags(command: Command): Command {
  return addDataFlags(command)
    .option('--url <url>', 'address of a running server, instead of the data directory')
    .option('--key-file <file>', 'file with an API key for --url')
}

async function order(
  flags: IdentityFlags,
  exit: Exit,
  request: { readonly path: string; readonly body: object },
  given: {
    plan(deps: OrderDeps): Promise<PlannedOrder>
    says(planned: { readonly leaderKey: string }): string
  },
): Promise<void> {
  const output = createOutput(flags)
  const target = await readTarget(flags, 'write')
  if (target !== undefined) {
    const answer = await askAgain(systemClock, target, request)
    const told = await answer.json().catch(() => ({}))
    if (answer.status !== okStatus) throw refusalOf(target, answer.status, told as Problem)
    exit(0)
    if (output.isJson) return await output.json(told)
    const { takenOutOf: leaderKey = '' } = told as { readonly takenOutOf?: string }
    return await output.line(given.says({ leaderKey }))
  }
  const options = await readStoreOptions(flags)
  const attempted = 'write to a log that a running server has; give its --url and a --key-file'
  await withLogLock(options, flags.dataDir, attempted, async () => {
    const planned = await withDataReader(flags, ({ place }) =>
      given.plan({ place, clock: systemClock, random: systemRandom }),
    )
    if (planned.kind === 'refused') return refuseUse(planned.says)
    const { partition, offset } = await appendRecord(options, flags.dataDir, planned.record)
    exit(0)
    const { key, leaderKey } = planned
    if (output.isJson) return await output.json({ key, leaderKey, partition, offset })
    await output.line(given.says(planned))
    output.progress('It takes effect when a server folds the record.')
  })
}

const help = `
Examples:
  attune identity split anonymous:5f2c --from user:ada --data-dir data
  attune identity join user:ada user:ada-old --url https://attune.example --key-file key

What is taken out keeps what it did itself, and does not join the same person again unless asked.
On one machine stop the server first, or give its --url.`
