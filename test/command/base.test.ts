/** Bases, trimming behind them, and rebuilding from them, on what a real server has written. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cp, mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, describe, it } from 'node:test'
import { openSqliteEventLogReader } from '../../src/log/sqlite-log-reader.ts'
import { freePort, openServerProcess, stopServerProcess } from '../faults/server-process.ts'
import {
  copyDataDir,
  openWorld,
  parseLines,
  runCommand,
  type World,
  waitUntil,
} from './run-command.ts'

interface BaseLine {
  readonly name: string
  readonly kind: string
  readonly from?: string
  readonly verdict?: string
  readonly partitions: readonly { readonly offset: number }[]
}

interface TrimLine {
  readonly base: string
  readonly records: number
  readonly bytes: number
  readonly partitions: readonly {
    readonly start: number
    readonly end: number
    readonly through: number
    readonly count: number
    readonly keptBy: string
  }[]
}

interface RebuildLine {
  readonly base: string | null
  readonly isEqual: boolean
  readonly recordCount: number
  readonly stateHash: string
  readonly rebuiltHash: string
}

interface DoctorLine {
  readonly files: readonly { readonly name: string; readonly bytes: number }[]
  readonly retention: {
    readonly events: {
      readonly records: number
      readonly oldestAtMs: number
      readonly newestAtMs: number
    }
  }
}

const readCountMax = 10_000
/** What du counts for folders themselves, and what is open only while somebody looks. */
const folderBytes = 128 * 1024

describe('bases', () => {
  let world: World
  let rebuiltCount = 0
  before(async () => {
    world = await openWorld()
  })
  after(() => world.close())

  const runIn = async <Line>(dataDir: string, ...given: readonly string[]) => {
    const ran = await runCommand([...given, '--data-dir', dataDir, '--json'])
    return { ...ran, lines: parseLines<Line>(ran.stdout) }
  }
  const rebuildIn = (dataDir: string, ...given: readonly string[]) => {
    const into = join(world.folder, `rebuilt-${++rebuiltCount}`)
    return runIn<RebuildLine>(dataDir, 'rebuild', '--into', into, ...given)
  }
  const buy = async (userId: string): Promise<void> => {
    const properties = { product_id: 'cup', price: 4 }
    assert.equal(await world.send({ userId, event: 'Product Viewed', properties }), 200)
  }
  const viewsOf = async (userId: string): Promise<number> => {
    const { lines } = await runIn<{ totals: Record<string, { count: number }> }>(
      world.dataDir,
      ...['profile', 'get', userId],
    )
    return lines[0]?.totals['Product Viewed']?.count ?? 0
  }

  it('are made beside a running server, each folded from the one before', async () => {
    const first = await runIn<BaseLine>(world.dataDir, 'base')
    assert.equal(first.code, 0, first.stderr)
    assert.equal(first.lines[0]?.kind, 'folded')
    assert.equal(first.lines[0].from, undefined)
    await buy('ada')
    await waitUntil(async () => (await viewsOf('ada')) === 2)
    const second = await runIn<BaseLine>(world.dataDir, 'base')
    assert.equal(second.lines[0]?.from, first.lines[0].name)
    const { code, lines } = await runIn<BaseLine>(world.dataDir, 'base', 'list', '--verify')
    assert.equal(code, 0)
    assert.deepEqual(
      lines.map(({ name, verdict }) => [name, verdict]),
      [second, first].map((made) => [made.lines[0]?.name, 'whole']),
    )
  })

  it('a rebuild begins with the newest, and gives what one from the start gives', async () => {
    await buy('bob')
    await waitUntil(async () => (await viewsOf('bob')) === 2)
    const [short] = (await rebuildIn(world.dataDir)).lines
    const [long] = (await rebuildIn(world.dataDir, '--from-start')).lines
    assert.equal(short?.isEqual, true)
    assert.equal(long?.isEqual, true)
    assert.equal(short.rebuiltHash, long.rebuiltHash)
    assert.equal(long.base, null)
    assert.ok(short.recordCount < long.recordCount / 2, `${short.recordCount} records`)
  })

  it('the log is trimmed behind one while the server goes on', async () => {
    const dry = await runIn<TrimLine>(world.dataDir, 'trim', '--dry-run', '--keep-days', '0')
    assert.equal(dry.code, 0, dry.stderr)
    const [planned] = dry.lines
    assert.ok((planned?.records ?? 0) > 64, `${planned?.records} records`)
    assert.ok((planned?.bytes ?? 0) > 1000)
    const young = await runIn<TrimLine>(world.dataDir, 'trim', '--dry-run')
    assert.equal(young.lines[0]?.records, 0)
    assert.ok(young.lines[0]?.partitions.some(({ keptBy }) => keptBy === 'age'))

    const trimmed = await runIn<TrimLine>(world.dataDir, 'trim', '--keep-days', '0')
    assert.equal(trimmed.lines[0]?.records, planned?.records)
    assert.match(trimmed.stderr, /partition \d+: \d+ records deleted/)
    await buy('cyd')
    await waitUntil(async () => (await viewsOf('cyd')) === 2)
    const [short] = (await rebuildIn(world.dataDir)).lines
    assert.equal(short?.isEqual, true)
    const long = await rebuildIn(world.dataDir, '--from-start')
    assert.equal(long.code, 1)
    assert.match(long.stderr, /LOG_OFFSET_LOST/)
    const again = await runIn<TrimLine>(world.dataDir, 'trim', '--keep-days', '0')
    assert.equal(again.lines[0]?.records, 0)
  })

  it('a server starts behind a trimmed log, and all is whole', async () => {
    await world.stop()
    assert.equal((await runIn(world.dataDir, 'check')).code, 0)
    const dataDir = await copyDataDir(world, 'started-again')
    const { definitionsDir, catcher } = world
    const port = await freePort()
    await stopServerProcess(
      await openServerProcess({ dataDir, definitionsDir, port, smtpPort: catcher.port }),
    )
    const [proof] = (await rebuildIn(dataDir)).lines
    assert.equal(proof?.isEqual, true)
  })

  it('what is defined behind it counts from the base on, and says so', async () => {
    const dataDir = await copyDataDir(world, 'counting')
    const definitionsDir = join(world.folder, 'counting-shop')
    await cp(world.definitionsDir, definitionsDir, { recursive: true })
    for (const folder of ['traits', 'segments']) await mkdir(join(definitionsDir, folder))
    const where = 'where: { properties: { price: { atLeast: 3 } } }'
    const files = {
      'traits/views.yaml': 'kind: count\nevent: Product Viewed\n',
      'traits/views_lately.yaml': 'kind: count\nevent: Product Viewed\nwithin: 1s\n',
      'segments/keen.yaml': 'trait: views\natLeast: 1\n',
      'segments/priced.yaml': `event: Product Viewed\n${where}\nwithin: 30d\n`,
    }
    for (const [name, text] of Object.entries(files))
      await writeFile(join(definitionsDir, name), text)
    const port = await freePort()
    const given = { dataDir, definitionsDir, port, smtpPort: world.catcher.port }
    const server = await openServerProcess(given)
    interface SegmentLine {
      readonly name: string
      readonly state: string
      readonly memberCount: number
      readonly eventsFrom?: string
    }
    let segments: readonly SegmentLine[] = []
    await waitUntil(async () => {
      segments = (await runIn<SegmentLine>(dataDir, 'segment', 'list')).lines
      return segments.length === 2 && segments.every(({ state }) => state === 'in-force')
    })
    await stopServerProcess(server)
    const [{ eventsFrom = '' } = {}] = segments
    assert.deepEqual(segments, [
      { name: 'keen', state: 'in-force', memberCount: 3, eventsFrom },
      { name: 'priced', state: 'in-force', memberCount: 3, eventsFrom },
    ])
    assert.match(eventsFrom, /^20\d\d-.*Z$/)
    const { stdout } = await runCommand([
      ...['segment', 'explain', 'priced', 'user:cyd', '--data-dir', dataDir],
    ])
    assert.match(stdout, /user:cyd is in priced/)
    assert.ok(stdout.includes(`The rule sees events from ${eventsFrom} on`), stdout)
    const doctor = await runCommand(['doctor', '--data-dir', dataDir])
    for (const name of ['views', 'Product Viewed/price']) {
      assert.ok(doctor.stdout.includes(`${name} sees events from ${eventsFrom} on`), doctor.stdout)
    }
    // Everybody viewed one thing before the base and one behind it.
    const { lines } = await runIn<{
      readonly totals: Readonly<Record<string, { readonly count: number }>>
      readonly computedTraits: Readonly<Record<string, Readonly<Record<string, unknown>>>>
    }>(dataDir, 'profile', 'get', 'bob')
    assert.equal(lines[0]?.totals['Product Viewed']?.count, 2)
    const { views, views_lately: lately } = lines[0].computedTraits
    const about = { kind: 'count', state: 'ready', definitionVersion: 2, eventsFrom }
    assert.deepEqual(views, { ...about, value: 1, isExact: false })
    assert.equal(Date.parse(`${lately?.['exactSince']}`), Date.parse(eventsFrom) + 1000)
  })

  it('doctor tells the bytes that du tells, and the records that a trim leaves', async () => {
    const dataDir = await copyDataDir(world, 'looked-at')
    const look = async (): Promise<DoctorLine> => {
      const [found] = (await runIn<DoctorLine>(dataDir, 'doctor')).lines
      assert.ok(found)
      return found
    }
    assert.equal((await runIn(dataDir, 'base')).code, 0)
    const before = await look()
    const total = before.files.reduce((sum, { bytes }) => sum + bytes, 0)
    assertNear(total, diskUseOf(dataDir))
    const bases = before.files.find(({ name }) => name === 'bases/')
    assertNear(bases?.bytes ?? 0, diskUseOf(join(dataDir, 'bases')))

    const [trimmed] = (await runIn<TrimLine>(dataDir, 'trim', '--keep-days', '0')).lines
    const after = await look()
    assert.ok(trimmed !== undefined && trimmed.records > 0)
    assert.equal(after.retention.events.records, before.retention.events.records - trimmed.records)
    const left = await readTimes(dataDir)
    assert.deepEqual(
      [after.retention.events.records, after.retention.events.oldestAtMs],
      [left.length, Math.min(...left)],
    )
    assert.equal(after.retention.events.newestAtMs, Math.max(...left))
  })

  it('one in which a byte has changed is passed over, and nothing trimmed behind it', async () => {
    const dataDir = await copyDataDir(world, 'changed')
    const bases = join(dataDir, 'bases')
    const names = (await readdir(bases)).filter((name) => name.startsWith('base-')).sort()
    for (const name of names) changeValue(join(bases, name, 'state.sqlite'))
    const { code, stderr } = await rebuildIn(dataDir)
    assert.equal(code, 1)
    assert.match(stderr, /base passed over: .*has changed/)
    const trim = await runIn(dataDir, 'trim', '--keep-days', '0')
    assert.equal(trim.code, 1)
    assert.match(trim.stderr, /has no base/)
  })

  it('none is made of a state that is not what its log says', async () => {
    const dataDir = await copyDataDir(world, 'differs')
    changeValue(join(dataDir, 'state.sqlite'))
    const { code, stderr } = await runIn(dataDir, 'base')
    assert.equal(code, 1)
    assert.match(stderr, /STATE_DIFFERS/)
    const copied = await runIn<BaseLine>(dataDir, 'base', '--as-is')
    assert.equal(copied.lines[0]?.kind, 'as-is')
  })
})

it('a log is not trimmed where that cannot be, or where it is all that there is', async () => {
  const region = { ATTUNE_DYNAMODB__REGION: 'eu-west-1', ATTUNE_KINESIS__REGION: 'eu-west-1' }
  const environment = { ATTUNE_LOG__KIND: 'kinesis', ATTUNE_STATE__KIND: 'dynamodb', ...region }
  const { code, stderr } = await runCommand(['trim'], { environment })
  assert.equal(code, 2)
  assert.match(stderr, /Kinesis deletes by its retention alone/)
})

/** Changes one letter in a value of the state, where the file itself stays readable. */
function changeValue(path: string): void {
  const db = new DatabaseSync(path)
  const sql = "UPDATE entry SET value = CAST(value || ' ' AS BLOB) WHERE key = 'part/meta'"
  db.exec(sql)
  db.exec('PRAGMA wal_checkpoint(TRUNCATE)')
  db.close()
}

function assertNear(bytes: number, expected: number): void {
  assert.ok(Math.abs(bytes - expected) <= folderBytes, `${bytes}, not ${expected} bytes`)
}

function diskUseOf(path: string): number {
  const { stdout } = spawnSync('du', ['-s', '--bytes', path], { encoding: 'utf8' })
  return Number(/^\d+/.exec(stdout)?.[0])
}

/** Returns when each record that is left was recorded. */
async function readTimes(dataDir: string): Promise<readonly number[]> {
  const log = await openSqliteEventLogReader({ dataDir, stream: 'events' })
  const times: number[] = []
  for (let partition = 0; partition < log.identity.partitionCount; partition++) {
    const start = await log.start(partition)
    const records = start === 0 ? [] : await log.read(partition, start - 1, readCountMax)
    times.push(...records.map(({ recordedAtMs }) => recordedAtMs))
  }
  await log.close()
  return times
}
