/**
 * `attune import` of an access log and of a CSV file into a data directory, in this process, with
 * the collector, the durable log and the state of the import, and without a fold: that is the
 * server's, later.
 *
 * The bare baseline reads the same file and splits it into lines and fields, and keeps nothing.
 */

import { createReadStream } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type ImportMap, parseImportMap } from '../src/collect/import-map.ts'
import { initDataDir, readSecrets } from '../src/command/data-dir.ts'
import { openEmbeddedTarget } from '../src/command/import-embedded.ts'
import { createFormat, type FileFormat } from '../src/command/import-format.ts'
import { type ImportRun, importFile } from '../src/command/import-run.ts'
import { importStatePath, openImportState, visitorKeyOf } from '../src/command/import-state.ts'
import { systemClock } from '../src/lib/clock.ts'
import { systemRandom } from '../src/lib/random.ts'
import type { BenchWorld } from './bench-world.ts'
import { printFigure } from './figure.ts'

const partitionCount = 64
const personCount = 100_000
const itemCount = 5_000
const deps = { clock: systemClock, random: systemRandom }

interface Case {
  readonly format: FileFormat
  readonly unit: string
  readonly delimiter: string
  row(index: number): string
  readonly header: string
  readonly map: unknown
}

const userAgents = [
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) ' +
    'Chrome/131.0.0.0 Safari/537.36',
  'Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0',
]

const cases: readonly Case[] = [
  {
    format: 'nginx',
    unit: 'lines/s',
    delimiter: ' ',
    header: '',
    map: {
      rules: [
        { path: '/products/:id', event: 'Product Viewed', properties: { product_id: ':id' } },
      ],
    },
    row(index) {
      const ip = `10.${index % 200}.${(index * 7) % 250}.${(index * 13) % 250}`
      const time = `26/Nov/2026:18:${String(index % 60).padStart(2, '0')}:36 +0000`
      const request = `GET /products/item-${index % itemCount}?from=list HTTP/1.1`
      const agent = userAgents[index % userAgents.length]
      return `${ip} - - [${time}] "${request}" 200 5120 "https://shop.example/" "${agent}"\n`
    },
  },
  {
    format: 'csv',
    unit: 'rows/s',
    delimiter: ',',
    header:
      'userId,event,timestamp,properties.product_id,properties.name,properties.price,' +
      'properties.quantity,properties.currency\n',
    map: {},
    row(index) {
      const day = String(1 + (index % 25)).padStart(2, '0')
      const item = index % itemCount
      return (
        `customer-${(index * 31) % personCount},Product Added,2026-11-${day}T10:00:00Z,` +
        `item-${item},"Cup, blue, no. ${item}",${(index % 900) / 10},${1 + (index % 3)},GBP\n`
      )
    },
  },
]

export async function benchImport(world: BenchWorld): Promise<void> {
  for (const each of cases) await benchCase(world, each)
}

async function benchCase(world: BenchWorld, each: Case): Promise<void> {
  const rowCount = world.settings.isFull ? 2_000_000 : 300_000
  const folder = await world.makeFolder()
  const path = join(folder, 'rows')
  const rows = Array.from({ length: rowCount }, (_, index) => each.row(index))
  await writeFile(path, [each.header, ...rows].join(''))
  rows.length = 0
  const bare = await measured(rowCount, () => splitFile(path, each.delimiter))
  const imported = await measured(rowCount, () => importInto(join(folder, 'data'), path, each))
  const micros = (one: Measured): string => one.cpuMicros.toFixed(1)
  printFigure({
    bench: `import-${each.format}`,
    value: imported.rate,
    unit: each.unit,
    baseline: bare.rate,
    note:
      `${rowCount} rows into a new data directory, in process, opening included, no fold; ` +
      `${micros(imported)} us of CPU a row on all threads; the baseline reads and splits the ` +
      `same file, ${micros(bare)} us`,
  })
  await world.removeFolder(folder)
}

interface Measured {
  readonly rate: number
  /** CPU time of one row; does not depend on who else uses the machine. */
  readonly cpuMicros: number
}

async function measured(count: number, work: () => Promise<void>): Promise<Measured> {
  const cpu = process.cpuUsage()
  const startedAt = systemClock.monotonicMs()
  await work()
  const seconds = (systemClock.monotonicMs() - startedAt) / 1000
  const used = process.cpuUsage(cpu)
  return { rate: count / seconds, cpuMicros: (used.user + used.system) / count }
}

async function splitFile(path: string, delimiter: string): Promise<void> {
  let rest = ''
  let fieldCount = 0
  for await (const chunk of createReadStream(path, { highWaterMark: 256 * 1024 })) {
    const lines = (rest + (chunk as Buffer).toString('utf8')).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) fieldCount += line.split(delimiter).length
  }
  if (fieldCount === 0) throw new Error('the file has fields')
}

async function importInto(dataDir: string, path: string, each: Case): Promise<void> {
  await initDataDir(dataDir, { partitionCount }, systemRandom)
  const options = { dataDir, source: undefined, isBackfill: true }
  const target = await openEmbeddedTarget(deps, options)
  const state = openImportState(deps, importStatePath(dataDir))
  const { addressSecret } = await readSecrets(dataDir)
  const visitorKey = visitorKeyOf(addressSecret)
  const format = createFormat({
    ...{ format: each.format, map: mapOf(each.map), delimiter: undefined, visitorKey },
  })
  const report = { refuse() {}, progress() {}, begin() {}, say() {} }
  const run: ImportRun = {
    ...{ ...deps, state, target, report, format, formatName: each.format },
    ...{ isAgain: false, signal: new AbortController().signal },
  }
  const { counts } = await importFile(run, path)
  if (counts.accepted !== counts.rows || counts.rows === 0) throw new Error('each row is accepted')
  state.close()
  await target.close()
}

function mapOf(input: unknown): ImportMap {
  const parsed = parseImportMap(input)
  if (parsed.kind === 'refused') throw new Error('the definitions of the bench are good')
  return parsed.map
}
