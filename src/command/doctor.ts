import type { Command } from 'commander'
import type { ServerValues } from '../config.ts'
import { systemClock } from '../lib/clock.ts'
import { readSecrets } from './data-dir.ts'
import { assertDataDir, isServerRunning, withDataReader } from './data-reader.ts'
import { type FindingLook, lookAtFindings, rowsOfFindings } from './doctor-findings.ts'
import {
  type FileUse,
  freeBytesOf,
  lookAtFiles,
  lookAtPartitions,
  lookAtRetention,
  measureFsync,
  type PartitionsLook,
  type Retention,
} from './doctor-look.ts'
import { lookAtMissing } from './doctor-missing.ts'
import {
  addDataFlags,
  createOutput,
  type Output,
  type OutputFlags,
  showBytes,
  showText,
  showTime,
} from './output.ts'
import { readServerConfig } from './read-config.ts'
import { lackedToSend } from './start.ts'

type Diagnosis = Awaited<ReturnType<typeof examine>>

const nodeMajorMin = 24
const freeBytesMin = 1024 ** 3
/** Above this a single event waits so long for the disk that clients notice. */
const fsyncMsHigh = 20
/** A record from the future: a clock was wrong when it was written, or is now. */
const aheadMsMax = 60_000

export function addDoctorCommand(program: Command, exit: (code: number) => void): void {
  const command = program
    .command('doctor')
    .description('look at a data directory and its machine, and say what needs care')
    .addHelpText('after', help)
  addDataFlags(command).action(async (flags: OutputFlags) => {
    const output = createOutput(flags)
    assertDataDir(flags.dataDir)
    const values = await readServerConfig(flags.config, { 'server.dataDir': flags.dataDir })
    const diagnosis = await examine(flags.dataDir, values)
    exit(diagnosis.care.length === 0 ? 0 : 1)
    if (output.isJson) await output.json(diagnosis)
    else await showDiagnosis(output, diagnosis)
  })
}

async function examine(dataDir: string, values: ServerValues) {
  const files = await lookAtFiles(dataDir)
  const bytesOf = (stream: string): number =>
    files.find(({ name }) => name === `${stream}.sqlite`)?.bytes ?? 0
  const looked = await withDataReader({ dataDir }, async (data) => ({
    retention: {
      events: await lookAtRetention(data.log, bytesOf('events')),
      rejected: await lookAtRetention(data.rejected, bytesOf('rejected')),
    },
    partitions: await lookAtPartitions(data),
    findings: await lookAtFindings(data),
    missing: await lookAtMissing(data),
  }))
  const lacked = lackedToSend(values)
  const found = {
    dataDir,
    node: process.version,
    isServerRunning: await isServerRunning(dataDir),
    files,
    freeBytes: await freeBytesOf(dataDir),
    fsync: await measureFsync(dataDir),
    ...looked,
    sending: { isPossible: lacked.length === 0, missing: lacked },
    hasSecrets: await readSecrets(dataDir).then(
      () => true,
      () => false,
    ),
    clock: { nowMs: systemClock.nowMs(), newestRecordAtMs: looked.retention.events.newestAtMs },
  }
  return { ...found, care: listCare(found) }
}

/** Returns what an operator should do something about, in sentences. */
function listCare(found: {
  readonly node: string
  readonly freeBytes: number
  readonly fsync: { readonly p99Ms: number }
  readonly partitions: PartitionsLook
  readonly findings: readonly FindingLook[]
  readonly hasSecrets: boolean
  readonly clock: { readonly nowMs: number; readonly newestRecordAtMs: number | null }
}): readonly string[] {
  const care: string[] = []
  const major = Number(/^v(\d+)/.exec(found.node)?.[1] ?? 0)
  if (major < nodeMajorMin) care.push(`Node ${found.node} is too old: ${nodeMajorMin} is needed.`)
  if (found.freeBytes < freeBytesMin) {
    care.push(`Only ${showBytes(found.freeBytes)} are free: a full disk stops intake.`)
  }
  if (found.fsync.p99Ms > fsyncMsHigh) {
    care.push(`The disk takes ${found.fsync.p99Ms} ms to keep a page: events wait for it.`)
  }
  for (const { partition, offset, says } of found.partitions.stopped) {
    care.push(
      `Partition ${partition} is stopped before record ${offset} (${showText(says)}): ` +
        `look at it with \`attune events --kind all\`, then \`attune skip\` it.`,
    )
  }
  if (found.partitions.definitions.length > 1) {
    care.push('Not all partitions have the same definitions: start the server, and they follow.')
  }
  const conflicts = found.findings.find(({ kind }) => kind === 'id-conflict')
  if (conflicts !== undefined) {
    care.push(
      `${conflicts.count} times another event came under a known id: its producer gives the same ` +
        `id to different events. They are in the log at the places above.`,
    )
  }
  if (!found.hasSecrets) care.push('secrets.json is missing or damaged: restore it from a backup.')
  const { nowMs, newestRecordAtMs } = found.clock
  if (newestRecordAtMs !== null && newestRecordAtMs > nowMs + aheadMsMax) {
    care.push(`The newest record is of ${showTime(newestRecordAtMs)}, which is ahead of the clock.`)
  }
  return care
}

async function showDiagnosis(output: Output, found: Diagnosis): Promise<void> {
  const { partitions, fsync, retention, sending } = found
  const [definitions] = partitions.definitions
  const inForce =
    definitions === undefined || definitions.hash === ''
      ? 'none'
      : `version ${definitions.version}, ${definitions.hash.slice(0, 12)}`
  const total = found.files.reduce((sum, { bytes }) => sum + bytes, 0)
  const rows: (readonly string[])[] = [
    ['Node', found.node],
    ['server', found.isServerRunning ? 'running' : 'not running'],
    ['clock', showTime(found.clock.nowMs)],
    ['disk', `${showBytes(total)} used, ${showBytes(found.freeBytes)} free`],
    ...found.files.filter(isShown).map(({ name, bytes }) => [`  ${name}`, showBytes(bytes)]),
    ['fsync', `p50 ${fsync.p50Ms} ms, p99 ${fsync.p99Ms} ms (${fsync.count} times)`],
    ['events', describeRetention(retention.events)],
    ['rejected', describeRetention(retention.rejected)],
    ['partitions', `${partitions.count}, ${partitions.stopped.length} stopped`],
    ['lag', `${partitions.lagCount} records in ${partitions.lagging} partitions`],
    ['definitions', inForce],
    ...rowsOfFindings(found.findings),
    ...found.missing.map(({ name, eventsFrom }) => [
      'trimmed',
      `${showText(name)} sees events from ${eventsFrom} on`,
    ]),
    ['sending', sending.isPossible ? 'possible' : `not configured: ${sending.missing.join(', ')}`],
  ]
  await output.table(rows.map(([name = '', says = '']) => [output.paint('dim', name), says]))
  await output.line('')
  for (const says of found.care) await output.line(output.paint('yellow', `! ${says}`))
  if (found.care.length === 0) await output.line(output.paint('green', 'All is well.'))
}

function isShown({ name, bytes }: FileUse): boolean {
  return bytes > 0 && !name.endsWith('-shm')
}

function describeRetention({ records, oldestAtMs, newestAtMs, bytesPerDay }: Retention): string {
  if (oldestAtMs === null || newestAtMs === null) return 'none'
  const perDay = bytesPerDay === null ? '' : `, ${showBytes(bytesPerDay)} a day`
  return `${records} from ${showTime(oldestAtMs)} to ${showTime(newestAtMs)}${perDay}`
}

const help = `
Example:
  attune doctor --data-dir data --config attune.jsonc

Works while the server runs. Whether sending is possible is read from the configuration given here.
Exit code 1 where something needs care.`
