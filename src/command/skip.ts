import { type Command, InvalidArgumentError } from 'commander'
import { systemClock } from '../lib/clock.ts'
import { systemRandom } from '../lib/random.ts'
import type { Place } from '../log/event-log.ts'
import { controlRecord } from '../process/control-record.ts'
import type { SkipSkeleton } from '../process/partition-fold.ts'
import { appendRecord, withLogLock } from './append-record.ts'
import { readStoreOptions, withDataReader } from './data-reader.ts'
import { addDataFlags, createOutput, type OutputFlags, readWhole, refuseUse } from './output.ts'
import type { StoreOptions } from './store-options.ts'

interface SkipFlags extends OutputFlags {
  readonly partition: number
  readonly offset: number
  readonly reason: string
}

const reasonPattern = /^[^\p{Cc}]{3,500}$/u

export function addSkipCommand(program: Command, exit: (code: number) => void): void {
  const command = program
    .command('skip')
    .description('let a partition pass over a record that cannot be folded')
    .requiredOption('--partition <number>', 'partition that is stopped', readWhole(0))
    .requiredOption('--offset <number>', 'offset of the record in its way', readWhole(1))
    .requiredOption('--reason <text>', 'why, for those who read the log later', readReason)
    .addHelpText('after', help)
  addDataFlags(command).action(async (flags: SkipFlags) => {
    const output = createOutput(flags)
    const { partition, offset } = flags
    const options = await readStoreOptions(flags)
    const attempted = 'append a skip record: a running server has the log; stop it first'
    await withLogLock(options, flags.dataDir, attempted, async () => {
      await assertWaiting(flags)
      const place = await appendSkip(flags, options)
      exit(0)
      if (output.isJson) await output.json({ partition, offset, skippedBy: place.offset })
      else {
        await output.line(
          `Record ${offset} of partition ${partition} is passed over (record ${place.offset}).`,
        )
      }
    })
  })
}

/**
 * A record that is not there, or was folded long ago, cannot be skipped: the log would only lie.
 */
async function assertWaiting(flags: SkipFlags): Promise<void> {
  const { partition, offset } = flags
  await withDataReader(flags, async ({ log, state, place }) => {
    if (partition >= place.partitionCount) {
      refuseUse(`there is no partition ${partition}, only 0 to ${place.partitionCount - 1}`)
    }
    const head = await state.head(partition)
    if (offset <= head.offset) {
      refuseUse(`partition ${partition} has folded record ${offset}; it is at ${head.offset}`)
    }
    const [record] = await log.read(partition, offset - 1, 1)
    if (record?.offset !== offset) refuseUse(`partition ${partition} has no record ${offset}`)
  })
}

async function appendSkip(flags: SkipFlags, options: StoreOptions): Promise<Place> {
  const { partition, offset, reason } = flags
  const skeleton: SkipSkeleton = { offset, reason }
  const given = { partition, kind: 'skip', skeleton, recordedAtMs: systemClock.nowMs() } as const
  const record = controlRecord({ random: systemRandom }, given)
  return await appendRecord(options, flags.dataDir, record)
}

function readReason(text: string): string {
  if (reasonPattern.test(text)) return text
  throw new InvalidArgumentError('A reason has 3 to 500 characters.')
}

const help = `
Example:
  attune skip --partition 7 --offset 1042 --reason "body of a broken importer" --data-dir data

Stop a server on one machine first; workers on Kafka go on meanwhile. \`attune doctor\` names the
record. The skip is a record in the log itself, so that a rebuild passes over the same one.`
