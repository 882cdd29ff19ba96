import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Clock, systemClock } from '../lib/clock.ts'
import { createImportReport, formatCounts, shownRefusalsMax } from './import-report.ts'
import { emptyCounts } from './import-state.ts'
import type { Output } from './output.ts'

function makeReport(isQuiet: boolean) {
  const said: string[] = []
  let nowMs = 0
  const clock: Clock = { ...systemClock, monotonicMs: () => nowMs }
  const progress = (text: string): void => void said.push(text)
  const output = { progress } as unknown as Output
  const report = createImportReport({ clock, output }, isQuiet)
  const pass = (ms: number): void => {
    nowMs += ms
  }
  return { report, said, pass }
}

describe('the report of an import', () => {
  it('tells the rate of this run, and how long the rest takes at it', () => {
    const { report, said, pass } = makeReport(false)
    let readBytes = 1000
    report.begin('a.csv', { storedBytes: 11_000, readBytes: () => readBytes })
    // What an earlier run had done is no part of the rate.
    report.progress({ ...emptyCounts, rows: 500 })
    pass(2000)
    readBytes = 3000
    report.progress({ ...emptyCounts, rows: 700, refused: 3 })
    pass(10)
    report.progress({ ...emptyCounts, rows: 710 })
    assert.deepEqual(said, ['a.csv: 27%, 700 rows, 100 rows/s, 3 refused, 8 s left'])
  })

  it('tells how much was read where nobody knows the end', () => {
    const { report, said, pass } = makeReport(false)
    report.begin('stdin', { storedBytes: undefined, readBytes: () => 2048 })
    report.progress(emptyCounts)
    pass(4000)
    report.progress({ ...emptyCounts, rows: 80 })
    assert.deepEqual(said, ['stdin: 80 rows, 20 rows/s, 2.0 KiB read'])
  })

  it('shows the first refused rows by their place, and says once that there are more', () => {
    const { report, said } = makeReport(true)
    for (let line = 1; line <= shownRefusalsMax + 5; line++) {
      report.refuse({ file: 'a.csv', line, path: 'price', says: 'The text is no number.' })
    }
    assert.equal(said.length, shownRefusalsMax + 1)
    assert.equal(said[0], 'a.csv:1: price The text is no number.')
    assert.match(said.at(-1) ?? '', /attune events --rejected/)
  })

  it('counts what was left out by its reason', () => {
    const counts = { ...emptyCounts, rows: 9, accepted: 4, events: 5, refused: 1, known: 2 }
    assert.equal(
      formatCounts({ ...counts, dropped: { robot: 3, blank: 1 } }),
      '9 rows, 4 accepted as 5 events, 1 refused, 4 dropped (3 robot, 1 blank), ' +
        '2 were in the log already',
    )
  })
})
