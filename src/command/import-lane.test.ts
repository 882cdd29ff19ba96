import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { ImportRow } from '../collect/import-row.ts'
import { type Clock, systemClock } from '../lib/clock.ts'
import { systemRandom } from '../lib/random.ts'
import { initDataDir } from './data-dir.ts'
import { openEmbeddedTarget } from './import-embedded.ts'
import { ImportLane, type LanePlace } from './import-lane.ts'
import type { ImportReport } from './import-report.ts'
import { emptyCounts } from './import-state.ts'
import type { ImportTarget, KnownItems } from './import-target.ts'

const rowCount = 12_000
const rowBytes = 10
const report: ImportReport = { refuse() {}, progress() {}, begin() {}, say() {} }
const idOf = (index: number): string => `row-${index}`

const rows = Array.from({ length: rowCount }, (_, index): ImportRow => {
  const item = { type: 'track', event: 'Seen', userId: `u${index % 100}`, messageId: idOf(index) }
  const outcome = { kind: 'events' as const, items: [item] }
  return { line: index + 1, endOffset: (index + 1) * rowBytes, outcome }
})

/** A clock by which a place is saved whenever one may be. */
function createFastClock(): Clock {
  let nowMs = 0
  return {
    ...systemClock,
    monotonicMs() {
      nowMs += 10_000
      return nowMs
    },
  }
}

describe('the lane of an import', () => {
  let folder = ''
  let target: ImportTarget
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'attune-lane-'))
    await initDataDir(folder, { partitionCount: 4 }, systemRandom)
    const deps = { clock: systemClock, random: systemRandom }
    target = await openEmbeddedTarget(deps, {
      ...{ dataDir: folder, source: undefined, isBackfill: true },
    })
  })
  after(async () => {
    await target.close()
    await rm(folder, { recursive: true })
  })

  const pass = async (given: {
    readonly until: number
    readonly known: KnownItems
    readonly knownEnds: readonly number[]
    readonly step?: number
  }): Promise<{ readonly places: readonly LanePlace[]; readonly lane: ImportLane }> => {
    const places: LanePlace[] = []
    const save = (place: LanePlace): void => {
      places.push({ ...place, counts: { ...place.counts } })
    }
    const from = { offset: 0, line: 1 }
    const options = { name: 'rows', identity: 'rows', from, counts: emptyCounts, ...given }
    const lane = new ImportLane({ clock: createFastClock(), target, report, save }, options)
    const taken = rows.slice(0, given.until)
    const isTaken = (index: number): boolean => index % (given.step ?? 1) === 0
    await lane.add(
      taken.filter((_row, index) => isTaken(index)),
      given.until + 1,
    )
    await lane.finish(given.until === rowCount)
    return { places, lane }
  }

  it('saves no place behind which rows of a killed run lie before its ends', async () => {
    const begin = await target.ends()
    // A run that was killed before it saved anything, with every second row durable.
    const until = 9_000
    const durable = until / 2
    await pass({ until, known: new Map(), knownEnds: begin, step: 2 })
    const known = await target.knownBehind(begin)
    assert.equal(known.size, durable)
    const { places, lane } = await pass({ until: rowCount, known, knownEnds: begin })
    assert.ok(places.length >= 5, `${places.length} places were saved`)
    assert.equal(lane.counts.known, durable)
    assert.equal(lane.counts.events, rowCount - durable)
    for (const place of places) {
      const found = await target.knownBehind(place.ends)
      for (let index = place.offset / rowBytes; index < rowCount; index++) {
        assert.ok(found.has(idOf(index)), `row ${index} is not found from byte ${place.offset}`)
      }
    }
    assert.deepEqual(places.at(-1)?.ends, await target.ends())
  })

  it('counts a row by what became of it, when it is durable', async () => {
    const { lane } = await pass({
      until: 100,
      known: new Map([
        [idOf(0), 'accepted'],
        [idOf(1), 'rejected'],
      ]),
      knownEnds: [],
    })
    const { rows: count, accepted, refused, known, events } = lane.counts
    assert.deepEqual([count, accepted, refused, known, events], [100, 99, 1, 2, 98])
    assert.equal(lane.offset, 100 * rowBytes)
  })
})
