/** What an import tells while it runs: rows that are refused, how fast it is, how much is left. */

import type { Clock } from '../lib/clock.ts'
import type { ImportCounts } from './import-state.ts'
import { type Output, showBytes, showText } from './output.ts'

export interface RefusedRow {
  readonly file: string
  readonly line: number
  readonly path: string
  readonly says: string
}

export interface ImportReport {
  refuse(row: RefusedRow): void
  progress(counts: ImportCounts): void
  /** Names the file whose progress is told from now on. */
  begin(name: string, input: ProgressInput): void
  say(text: string): void
}

export interface ProgressInput {
  readonly storedBytes: number | undefined
  readBytes(): number
}

/** How many refused rows are shown; all are counted and kept. */
export const shownRefusalsMax = 20
const progressMs = 2000

export function createImportReport(
  deps: { readonly clock: Clock; readonly output: Output },
  isQuiet: boolean,
): ImportReport {
  const { clock, output } = deps
  let shownCount = 0
  let name = ''
  let input: ProgressInput | undefined
  let startedAtMs = 0
  let startedBytes = 0
  let startedRows: number | undefined
  let saidAtMs = 0
  return {
    refuse(row) {
      shownCount++
      if (shownCount <= shownRefusalsMax) output.progress(formatRefusal(row))
      else if (shownCount === shownRefusalsMax + 1) {
        output.progress('... more rows are refused; `attune events --rejected` shows all')
      }
    },
    begin(nextName, nextInput) {
      name = nextName
      input = nextInput
      startedAtMs = clock.monotonicMs()
      saidAtMs = startedAtMs
      startedBytes = nextInput.readBytes()
      startedRows = undefined
    },
    progress(counts) {
      startedRows ??= counts.rows
      const nowMs = clock.monotonicMs()
      if (isQuiet || input === undefined || nowMs - saidAtMs < progressMs) return
      saidAtMs = nowMs
      const seconds = (nowMs - startedAtMs) / 1000
      const rate = Math.round((counts.rows - startedRows) / seconds)
      const bytesPerSecond = (input.readBytes() - startedBytes) / seconds
      output.progress(`${name}: ${formatProgress(counts, rate, { input, bytesPerSecond })}`)
    },
    say: (text) => output.progress(text),
  }
}

function formatRefusal({ file, line, path, says }: RefusedRow): string {
  return `${file}:${line}: ${path === '' ? '' : `${showText(path)} `}${showText(says)}`
}

function formatProgress(
  counts: ImportCounts,
  rate: number,
  from: { readonly input: ProgressInput; readonly bytesPerSecond: number },
): string {
  const { storedBytes, readBytes } = from.input
  const rows = `${counts.rows} rows, ${rate} rows/s`
  const refused = counts.refused === 0 ? '' : `, ${counts.refused} refused`
  if (storedBytes === undefined) return `${rows}${refused}, ${showBytes(readBytes())} read`
  const done = readBytes()
  const share = storedBytes === 0 ? 100 : Math.min(100, Math.floor((100 * done) / storedBytes))
  const left = Math.max(0, storedBytes - done) / Math.max(1, from.bytesPerSecond)
  return `${share}%, ${rows}${refused}, ${formatSeconds(Math.ceil(left))} left`
}

function formatSeconds(seconds: number): string {
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  return minutes < 60
    ? `${minutes} min ${seconds % 60} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

/** Returns what became of the rows, in words. */
export function formatCounts(counts: ImportCounts): string {
  const dropped = Object.entries(counts.dropped)
  const droppedCount = dropped.reduce((sum, [, count]) => sum + count, 0)
  const reasons = dropped.map(([reason, count]) => `${count} ${reason}`).join(', ')
  return [
    `${counts.rows} rows`,
    `${counts.accepted} accepted as ${counts.events} events`,
    `${counts.refused} refused`,
    `${droppedCount} dropped${reasons === '' ? '' : ` (${reasons})`}`,
    ...(counts.known === 0 ? [] : [`${counts.known} were in the log already`]),
  ].join(', ')
}
