/** A log that is followed while it is written, rotated in both ways, and the follower is killed. */

import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import { systemClock } from '../../src/lib/clock.ts'
import {
  accessIndexes,
  accessLine,
  endOf,
  type ImportWorld,
  makeRandom,
  openImportWorld,
  readEvents,
  readRecords,
  runImport,
  startImport,
} from './import-harness.ts'
import type { Ran } from './run-command.ts'

const waitMsMax = 60_000
const lookMs = 50
const seed = 20_261_126

/** Writes lines with rising numbers to a log and rotates it, as a server and logrotate do. */
class LogWriter {
  readonly path: string
  count = 0

  constructor(path: string) {
    this.path = path
  }

  write(lineCount: number): void {
    let text = ''
    for (let left = lineCount; left > 0; left--) text += accessLine(this.count++)
    appendFileSync(this.path, text)
  }

  /** Moves NAME.n to NAME.n+1, so that NAME.1 is free. */
  shift(): void {
    for (let number = 20; number > 0; number--) {
      for (const ending of ['', '.gz']) {
        const from = `${this.path}.${number}${ending}`
        if (existsSync(from)) renameSync(from, `${this.path}.${number + 1}${ending}`)
      }
    }
  }

  /** The server goes on writing to the renamed file for a moment. */
  rename(): void {
    this.shift()
    renameSync(this.path, `${this.path}.1`)
    appendFileSync(`${this.path}.1`, accessLine(this.count++))
    this.write(3)
  }

  copyAndTruncate(): void {
    this.shift()
    copyFileSync(this.path, `${this.path}.1`)
    truncateSync(this.path, 0)
    this.write(3)
  }

  /** Compresses the newest file that was rotated away. */
  compress(): void {
    const from = `${this.path}.1`
    if (!existsSync(from)) return
    writeFileSync(`${from}.gz`, gzipSync(readFileSync(from)))
    rmSync(from)
  }
}

interface Following {
  readonly child: ChildProcess
  readonly ended: Promise<Ran>
}

function startFollowing(world: ImportWorld, given: readonly string[] = []): Following {
  const file = [world.path('access.log'), '--format', 'nginx', '--follow', '--quiet']
  const child = startImport([...file, '--data-dir', world.dataDir, ...given])
  return { child, ended: endOf(child) }
}

async function countEvents(world: ImportWorld): Promise<number> {
  return (await readRecords(world.dataDir, 'events')).length
}

async function untilCount(world: ImportWorld, count: number): Promise<void> {
  const deadlineMs = systemClock.monotonicMs() + waitMsMax
  while ((await countEvents(world)) < count) {
    if (systemClock.monotonicMs() > deadlineMs) {
      const found = accessIndexes(await readEvents(world.dataDir))
      const missing = Array.from({ length: count }, (_, index) => index).filter(
        (index) => !found.includes(index),
      )
      throw new Error(`missing are ${missing.slice(0, 20).join(', ')}; seed ${seed}`)
    }
    await systemClock.sleep(lookMs)
  }
}

async function assertAllOnce(world: ImportWorld, count: number): Promise<void> {
  const indexes = accessIndexes(await readEvents(world.dataDir))
  assert.equal(new Set(indexes).size, count, `seed ${seed}`)
  assert.equal(indexes.length, count, `seed ${seed}`)
}

describe('a log that is followed', () => {
  it('is read through both ways of rotation, whole lines only', async () => {
    const world = await openImportWorld('follow')
    const writer = new LogWriter(world.path('access.log'))
    writer.write(100)
    const following = startFollowing(world)
    await untilCount(world, 100)
    const line = accessLine(writer.count)
    appendFileSync(writer.path, line.slice(0, 40))
    await systemClock.sleep(600)
    assert.equal(await countEvents(world), 100)
    appendFileSync(writer.path, line.slice(40))
    writer.count++
    await untilCount(world, 101)
    writer.rename()
    await untilCount(world, writer.count)
    writer.write(50)
    await untilCount(world, writer.count)
    writer.copyAndTruncate()
    await untilCount(world, writer.count)
    // Written just before the truncation, and not read by then.
    writer.write(200)
    writer.copyAndTruncate()
    await untilCount(world, writer.count)
    following.child.kill('SIGTERM')
    const { code, stderr } = await following.ended
    assert.equal(code, 0, stderr)
    assert.equal(stderr, '')
    await assertAllOnce(world, writer.count)
    // What was followed is not imported again as a file.
    const files = ['access.log.1', 'access.log.2', 'access.log.3'].map(world.path)
    const given = [...files, '--format', 'nginx', '--data-dir', world.dataDir]
    const { stdout } = await runImport(given)
    assert.equal(stdout.match(/was imported before/g)?.length, 3, stdout)
    await assertAllOnce(world, writer.count)
    await world.close()
  })

  it('loses no line and has none twice, however often the follower is killed', async () => {
    const world = await openImportWorld('follow-kill')
    const writer = new LogWriter(world.path('access.log'))
    const between = makeRandom(seed)
    writer.write(200)
    let rotatedCount = 0
    for (let kill = 0; kill < 10; kill++) {
      const before = await countEvents(world)
      const following = startFollowing(world)
      const deadlineMs = systemClock.monotonicMs() + waitMsMax
      // It lives until it has read something, and for a random time then.
      while ((await countEvents(world)) === before && systemClock.monotonicMs() < deadlineMs) {
        writer.write(between(1, 40))
        await systemClock.sleep(between(5, 60))
      }
      for (let step = between(1, 12); step > 0; step--) {
        writer.write(between(1, 200))
        const dice = between(0, 8)
        if (dice === 0) writer.rename()
        if (dice === 1) writer.copyAndTruncate()
        if (dice < 2) rotatedCount++
        await systemClock.sleep(between(0, 120))
      }
      following.child.kill('SIGKILL')
      await following.ended
      // What happens while nobody reads.
      writer.write(between(1, 100))
      if (kill % 2 === 0) {
        writer.rename()
        rotatedCount++
      }
      if (kill % 3 === 0) {
        writer.copyAndTruncate()
        rotatedCount++
      }
      if (kill % 4 === 0) writer.compress()
    }
    assert.ok(rotatedCount >= 8, `${rotatedCount} rotations; seed ${seed}`)
    const following = startFollowing(world)
    await untilCount(world, writer.count)
    following.child.kill('SIGTERM')
    const { code, stderr } = await following.ended
    assert.equal(code, 0, stderr)
    await assertAllOnce(world, writer.count)
    await world.close()
  })

  it('says aloud that lines may be missing where the file is gone', async () => {
    const world = await openImportWorld('follow-gone')
    const writer = new LogWriter(world.path('access.log'))
    writer.write(10)
    const first = startFollowing(world)
    await untilCount(world, 10)
    first.child.kill('SIGTERM')
    await first.ended
    rmSync(writer.path)
    writer.write(5)
    const second = startFollowing(world)
    await untilCount(world, 15)
    second.child.kill('SIGTERM')
    const { stderr } = await second.ended
    assert.match(stderr, /access\.log: the file that was read up to byte \d+ is not here any more/)
    await world.close()
  })
})
