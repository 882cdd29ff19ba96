/**
 * `npm run bench [-- name...] [--full] [--stores LOG,STATE] [--cpu-prof DIR]`: one JSON line per
 * figure on stdout. With `--stores kafka,redis` the servers use real services, started for the run.
 *
 * Each bench runs `attune start` as its own process with everything on, or says that it does not.
 * Whatever happens, the processes it started are ended and its folders removed.
 */

import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs'
import { cpus, loadavg, totalmem } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../src/lib/clock.ts'
import { BenchWorld } from './bench-world.ts'
import { benchCollectBatch } from './collect-batch.bench.ts'
import { benchCollectSingle } from './collect-single.bench.ts'
import { percentile } from './figure.ts'
import { benchFold } from './fold.bench.ts'
import { benchFoldShared } from './fold-shared.bench.ts'
import { benchFreshness } from './freshness.bench.ts'
import { benchDeliver, benchTriggerToHandover } from './handover.bench.ts'
import { benchHistory } from './history.bench.ts'
import { benchImport } from './import.bench.ts'
import { benchProfileRead } from './profile-read.bench.ts'
import { benchRecommend } from './recommend.bench.ts'
import { benchIndexRestart, benchRecommendServing } from './recommend-serving.bench.ts'
import { benchRender } from './render.bench.ts'
import { benchSegments } from './segments.bench.ts'
import { benchStart } from './start.bench.ts'
import { benchTimers } from './timers.bench.ts'
import { benchValidate } from './validate.bench.ts'

/** In the order in which they run: `start` ends the server that `collect-batch` has filled. */
const benches: ReadonlyMap<string, (world: BenchWorld) => Promise<void>> = new Map([
  ['fold', benchFold],
  ['fold-shared', benchFoldShared],
  ['history', benchHistory],
  ['segments', benchSegments],
  ['import', benchImport],
  ['collect-single', benchCollectSingle],
  ['freshness', benchFreshness],
  ['trigger-to-handover', benchTriggerToHandover],
  ['deliver', benchDeliver],
  ['collect-batch', benchCollectBatch],
  ['profile-read', benchProfileRead],
  ['recommend-serving', benchRecommendServing],
  ['index-restart', benchIndexRestart],
  ['timers', benchTimers],
  ['recommend', benchRecommend],
  ['render', benchRender],
  ['validate', benchValidate],
  ['start', benchStart],
])
const syncCount = 200
const syncBytes = 4096

async function main(words: readonly string[]): Promise<number> {
  const profileAt = words.indexOf('--cpu-prof')
  const profileDir = profileAt < 0 ? undefined : words[profileAt + 1]
  const storesAt = words.indexOf('--stores')
  const storesText = storesAt < 0 ? undefined : words[storesAt + 1]
  const values = [profileDir, storesText]
  const names = words.filter((word) => !word.startsWith('--') && !values.includes(word))
  const unknown = names.filter((name) => !benches.has(name))
  if (unknown.length > 0) {
    const known = [...benches.keys()].join(', ')
    process.stderr.write(
      `no bench ${unknown.join(', ')}; there are ${known}; memory is in collect-batch\n`,
    )
    return 2
  }
  const isFull = words.includes('--full')
  const [log, state] = storesText?.split(',') ?? []
  const world = new BenchWorld({
    isFull,
    ...(profileDir === undefined ? {} : { profileDir }),
    ...(log === undefined || state === undefined ? {} : { stores: { log, state } }),
  })
  const end = (): void => void world.close().then(() => process.exit(1))
  process.once('SIGINT', end)
  process.once('SIGTERM', end)
  // What runs beside a bench fails with the server that it looks at.
  process.on('unhandledRejection', (error) => {
    process.stderr.write(`${String(error)}\n`)
    end()
  })
  try {
    await printMachine(world)
    for (const [name, bench] of benches) {
      if (names.length > 0 && !names.includes(name)) continue
      const startedAt = systemClock.monotonicMs()
      await bench(world)
      const seconds = ((systemClock.monotonicMs() - startedAt) / 1000).toFixed(0)
      process.stderr.write(`${name}: ${seconds} s\n`)
    }
    return 0
  } finally {
    await world.close()
  }
}

/** The disk decides what durable costs: the time of a sync stands beside all figures. */
async function printMachine(world: BenchWorld): Promise<void> {
  const folder = await world.makeFolder()
  const file = openSync(join(folder, 'sync'), 'w')
  const samples = Array.from({ length: syncCount }, () => {
    const startedAt = systemClock.monotonicMs()
    writeSync(file, new Uint8Array(syncBytes).fill(1))
    fdatasyncSync(file)
    return systemClock.monotonicMs() - startedAt
  })
  closeSync(file)
  await world.removeFolder(folder)
  const machine = {
    bench: 'machine',
    cores: cpus().length,
    cpu: cpus()[0]?.model,
    memoryMib: Math.round(totalmem() / 2 ** 20),
    node: process.version,
    syncMsP50: Number(percentile(samples, 0.5).toFixed(3)),
    syncMsP99: Number(percentile(samples, 0.99).toFixed(3)),
    loadAverage: loadavg(),
    note: 'clients, servers and baselines share these cores',
  }
  process.stdout.write(`${JSON.stringify(machine)}\n`)
}

process.exitCode = await main(process.argv.slice(2))
