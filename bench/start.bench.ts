/** `attune start` on a data directory that is there: to its line on stdout and 200 at /readyz. */

import { systemClock } from '../src/lib/clock.ts'
import { startAttune } from './attune-server.ts'
import type { BenchWorld } from './bench-world.ts'
import { filledServer, peopleCount } from './collect-batch.bench.ts'
import { percentile, printFigure } from './figure.ts'

const startCount = 3

export async function benchStart(world: BenchWorld): Promise<void> {
  const { dataDir, apiKey, stop } = await filledServer(world)
  await stop()
  world.filled = undefined
  const started: number[] = []
  const bare: number[] = []
  for (let count = 0; count < startCount; count++) {
    bare.push(await measureBare(world))
    const attune = await startAttune(world, { dataDir, apiKey })
    started.push(attune.startMs)
    await attune.stop()
  }
  printFigure({
    bench: 'start',
    value: percentile(started, 0.5),
    unit: 'ms',
    baseline: percentile(bare, 0.5),
    note:
      `${peopleCount(world)} people, 64 partitions, recommendation index filled from the feed; ` +
      `median of ${startCount}; the baseline is node doing nothing`,
  })
}

async function measureBare(world: BenchWorld): Promise<number> {
  const startedAt = systemClock.monotonicMs()
  const child = world.spawnNode(['-e', '0'], {})
  await new Promise((resolve) => child.once('exit', resolve))
  return systemClock.monotonicMs() - startedAt
}
