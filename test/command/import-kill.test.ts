/**
 * Kills the import with SIGKILL, at random and right after a commit of the log, runs it again each
 * time, and counts what the logs hold then: each row once.
 */

import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { systemClock } from '../../src/lib/clock.ts'
import { openSqliteEventLogReader } from '../../src/log/sqlite-log-reader.ts'
import {
  endOf,
  type ImportWorld,
  makeRandom,
  openImportWorld,
  readEvents,
  readRejected,
  runImport,
  startImport,
} from './import-harness.ts'

const rowCount = 60_000
const killCount = 10
const badEvery = 97
const seed = 20_261_126

const isBad = (index: number): boolean => index % badEvery === 0

function rowOf(index: number): string {
  const name = `row-${index}`
  // Every third refused row is refused by the collector, not by the reader.
  if (isBad(index)) return index % 3 === 0 ? `guest,Seen,2026-11-01,${name}\n` : `${name},short\n`
  return `customer-${index % 5000},Seen,2026-11-01T10:00:00Z,${name}\n`
}

async function countRecords(dataDir: string): Promise<number> {
  const log = await openSqliteEventLogReader({ dataDir, stream: 'events' })
  let count = 0
  for (let partition = 0; partition < log.identity.partitionCount; partition++) {
    count += await log.end(partition)
  }
  await log.close()
  return count
}

describe('an import that is killed', () => {
  let world: ImportWorld
  before(async () => {
    world = await openImportWorld('kill')
    const rows = Array.from({ length: rowCount }, (_, index) => rowOf(index))
    const header = 'userId,event,timestamp,properties.row\n'
    await writeFile(world.path('rows.csv'), header + rows.join(''))
  })
  after(() => world.close())

  it('has each row in the logs once when it has ended, accepted or refused', async () => {
    const between = makeRandom(seed)
    const given = [world.path('rows.csv'), '--format', 'csv', '--data-dir', world.dataDir]
    let killedWithin = 0
    for (let kill = 0; kill < killCount; kill++) {
      const atStart = await countRecords(world.dataDir)
      // Right after a commit the rows are durable, and nobody has noted it yet. These kills come
      // first and soon, so that rows are left for all of them, however late the others come.
      const isAtCommit = kill < killCount / 2
      const failpoint = isAtCommit ? `log-after-commit:${between(2, 5)}` : undefined
      const child = startImport(given, failpoint === undefined ? {} : { failpoint })
      const ended = endOf(child)
      let isOver = false
      void ended.then(() => {
        isOver = true
      })
      const wanted = atStart + between(0, 2 * Math.floor(rowCount / killCount))
      while (!isOver && !isAtCommit && (await countRecords(world.dataDir)) <= wanted) {
        await systemClock.sleep(5)
      }
      child.kill(isAtCommit ? 0 : 'SIGKILL')
      const { code, stderr } = await ended
      // Null is a process that was killed. On a slow machine the import may end before the last.
      assert.ok(code === null || code === 0 || code === 1, stderr)
      if (code === null && (await countRecords(world.dataDir)) > atStart) killedWithin++
    }
    const { code, stdout, stderr } = await runImport([...given, '--json'])
    assert.ok(code === 0 || code === 1, stderr)
    assert.ok(killedWithin >= 5, `only ${killedWithin} kills came within the import; seed ${seed}`)
    const good = Array.from({ length: rowCount }, (_, index) => index).filter(
      (index) => !isBad(index),
    )
    const rows = (await readEvents(world.dataDir)).map(({ properties }) => properties?.['row'])
    assert.equal(rows.length, good.length, `seed ${seed}`)
    assert.deepEqual(new Set(rows), new Set(good.map((index) => `row-${index}`)))
    const rejected = await readRejected(world.dataDir)
    const names = rejected.map(({ item }) => /row-\d+/.exec(JSON.stringify(item))?.[0])
    assert.equal(names.length, rowCount - good.length, `seed ${seed}`)
    assert.equal(new Set(names).size, names.length)
    const { counts } = JSON.parse(stdout) as { counts: { rows: number; accepted: number } }
    assert.equal(counts.rows, rowCount)
    assert.equal(counts.accepted, good.length)
  })

  it('keeps the place behind what is durable, never before it is', async () => {
    const folder = await mkdtemp(join(world.folder, 'stopped-'))
    const given = [world.path('rows.csv'), '--format', 'csv', '--data-dir', world.dataDir]
    // Killed before a commit: none of those rows may be taken for imported.
    const state = ['--state', join(folder, 'state.sqlite'), '--source', 'second']
    const child = startImport([...given, ...state], { failpoint: 'log-before-commit:4' })
    assert.equal((await endOf(child)).code, null)
    const { stdout } = await runImport([...given, ...state, '--json'])
    const { counts } = JSON.parse(stdout) as { counts: { rows: number } }
    assert.equal(counts.rows, rowCount)
    const second = (await readEvents(world.dataDir)).filter((each) => each.sourceId === 'second')
    const ids = new Set(second.map(({ eventId }) => eventId))
    assert.equal(ids.size, rowCount - Math.ceil(rowCount / badEvery))
    await rm(folder, { recursive: true })
  })
})
