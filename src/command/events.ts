import type { Command } from 'commander'
import type { LogRecord } from '../log/record.ts'
import { recordKinds } from '../log/record.ts'
import { type DataReader, withDataReader } from './data-reader.ts'
import {
  byTime,
  describeRecord,
  formatEvent,
  type LogCursor,
  mergeRecords,
  openAtEnd,
  openAtStart,
  partitionsOf,
  readNewest,
} from './event-lines.ts'
import {
  addDataFlags,
  createOutput,
  type OutputFlags,
  readChoice,
  readWhole,
  refuseUse,
} from './output.ts'

interface EventFlags extends OutputFlags {
  readonly follow?: boolean
  readonly fromStart?: boolean
  readonly rejected?: boolean
  readonly count?: number
  readonly kind: string
}

type Show = (record: LogRecord, isRejected: boolean) => Promise<void>

const countDefault = 20
const kinds = [...recordKinds, 'rejected', 'all'] as const

export function addEventsCommand(program: Command, exit: (code: number) => void): void {
  const command = program
    .command('events')
    .description('show events, and rejected ones with the reason')
    .option('-f, --follow', 'go on with what comes, until Ctrl-C or --count')
    .option('--from-start', 'begin with the oldest record kept')
    .option(
      '-n, --count <count>',
      `show so many and end (default ${countDefault}; without bound with --follow or --from-start)`,
      readWhole(1),
    )
    .option('--kind <kind>', `${kinds.join(', ')}`, readChoice(kinds), 'event')
    .option('--rejected', 'only rejected events')
    .addHelpText('after', help)
  addDataFlags(command).action(async (flags: EventFlags) => {
    if (flags.rejected === true && flags.kind !== 'event') refuseUse('--rejected and --kind differ')
    const output = createOutput(flags)
    const stop = new AbortController()
    const onSignal = (): void => stop.abort()
    process.once('SIGINT', onSignal)
    process.once('SIGTERM', onSignal)
    const show: Show = async (record, isRejected) => {
      const shown = describeRecord(record, isRejected)
      await (output.isJson ? output.json(shown) : output.line(formatEvent(shown, output)))
    }
    await withDataReader(flags, (data) => showEvents(data, flags, show, stop.signal))
    process.off('SIGINT', onSignal)
    process.off('SIGTERM', onSignal)
    exit(0)
  })
}

async function showEvents(
  data: DataReader,
  flags: EventFlags,
  show: Show,
  signal: AbortSignal,
): Promise<void> {
  const wants = wantedBy(flags)
  const isOpen = flags.follow === true || flags.fromStart === true
  const countMax = flags.count ?? (isOpen ? Number.POSITIVE_INFINITY : countDefault)
  if (!isOpen) {
    const accepted = await readNewest(data.log, false, { wants, countMax })
    const rejected = await readNewest(data.rejected, true, { wants, countMax })
    const all = new Map<LogRecord, boolean>([
      ...accepted.map((record) => [record, false] as const),
      ...rejected.map((record) => [record, true] as const),
    ])
    const newest = [...all.keys()].sort(byTime).slice(-countMax)
    for (const record of newest) await show(record, all.get(record) === true)
    return
  }
  const open = flags.fromStart === true ? openAtStart : openAtEnd
  const cursors = [await open(data.log, false), await open(data.rejected, true)]
  let left = countMax
  do {
    for await (const [record, isRejected] of mergeRecords(cursors, { wants, countMax: left })) {
      if (signal.aborted) return
      await show(record, isRejected)
      left--
    }
    if (flags.follow === true && left > 0) await waitForMore(cursors, signal)
  } while (flags.follow === true && left > 0 && !signal.aborted)
}

/** Resolves when either log has more, or `signal` aborts. */
async function waitForMore(cursors: readonly LogCursor[], signal: AbortSignal): Promise<void> {
  const done = new AbortController()
  const either = AbortSignal.any([signal, done.signal])
  const waits = cursors.map(({ log, after }) => log.wait(partitionsOf(log), after, either))
  await Promise.race(waits)
  done.abort()
  await Promise.all(waits)
}

function wantedBy(flags: EventFlags): (record: LogRecord, isRejected: boolean) => boolean {
  const { kind } = flags
  if (flags.rejected === true || kind === 'rejected') {
    return (record, isRejected) => isRejected && record.kind === 'event'
  }
  if (kind === 'all') return () => true
  return (record) => record.kind === kind
}

const help = `
Example:
  attune events --follow --data-dir data
  attune events --from-start --json --kind result | jq .name

Each line: time, source, person, name, and partition:offset. Works while the server runs.`
