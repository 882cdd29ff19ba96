/**
 * Durable single events: parsed, limited, authenticated, checked by the tracking plan, on the disk
 * before the answer; against a bare server that only parses the JSON. Client and servers share the
 * machine's cores, the fold and the index run beside. Attune and the baseline take turns.
 */

import { join } from 'node:path'
import { startAttune } from './attune-server.ts'
import type { BenchWorld } from './bench-world.ts'
import { drain } from './drain.ts'
import { eventBytesMean, itemCount, singleRequests } from './event-load.ts'
import { mean, printFigure } from './figure.ts'
import { measureBeside } from './measure-beside.ts'
import { describeLoad, ratePerSecond, startBare } from './run-load.ts'

const connectionCount = 128
const userCount = 100_000

export async function benchCollectSingle(world: BenchWorld): Promise<void> {
  const folder = await world.makeFolder()
  const server = await startAttune(world, { dataDir: join(folder, 'data') })
  const drainedMs: number[] = []
  const drained = async (): Promise<number> => drainedMs.push(await drain(server))
  const durationMs = world.settings.isFull ? 15_000 : 4000
  const plan = { connectionCount, requests: singleRequests(), userCount, itemCount, durationMs }
  const bare = await startBare(world)
  const beside = await measureBeside(world, plan, { attune: { ...server, drained }, bare })
  const { value, baseline, half, halfRate } = beside
  printFigure({
    bench: 'collect-single',
    value,
    unit: 'requests/s',
    baseline,
    note:
      `${connectionCount} connections, ${Math.round(eventBytesMean())} bytes of JSON, ` +
      `uniform over ${userCount} people; ${beside.says}; fold behind by ` +
      `${Math.round(mean(drainedMs.slice(0, -1)))} ms at the end of a round`,
  })
  const note =
    `open loop at ${Math.round(halfRate)} requests/s, latency from the scheduled time; ` +
    `${Math.round(ratePerSecond(half))} answered/s; ${describeLoad(half)}; ` +
    `fold at the end within ${Math.round(drainedMs.at(-1) ?? 0)} ms`
  printFigure({ bench: 'collect-single-p50', value: half.latencyMs.p50, unit: 'ms', note })
  printFigure({ bench: 'collect-single-p99', value: half.latencyMs.p99, unit: 'ms', note })
  await server.stop()
  await world.removeFolder(folder)
}
