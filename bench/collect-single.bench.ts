/**
 * Durable single events: parsed, limited, authenticated, checked by the tracking plan, on the disk
 * before the answer; against a bare server that only parses the JSON. Client and servers share the
 * machine's cores, the fold and the index run beside. Attune and the baseline take turns.
 */

import { join } from 'node:path'
import { type CpuUsed, describeCpu, drain, startAttune } from './attune-server.ts'
import type { BenchWorld } from './bench-world.ts'
import { eventBytesMean, itemCount, singleRequests } from './event-load.ts'
import { mean, printFigure } from './figure.ts'
import { type CostedReport, describeLoad, ratePerSecond, runCosted, startBare } from './run-load.ts'

const connectionCount = 128
const userCount = 100_000
const roundCount = 3

interface Loaded {
  readonly port: number
  cpuUsed(): Promise<CpuUsed>
  drained?(): Promise<unknown>
}

export async function benchCollectSingle(world: BenchWorld): Promise<void> {
  const folder = await world.makeFolder()
  const attune = await startAttune(world, { dataDir: join(folder, 'data') })
  const bare = await startBare(world)
  const requests = singleRequests()
  const shared = { connectionCount, requests, userCount, itemCount }
  const durationMs = world.settings.isFull ? 15_000 : 4000
  let firstEvent = 0
  const load = async (server: Loaded, rate?: number): Promise<CostedReport> => {
    const open = rate === undefined ? {} : { ratePerSecond: rate }
    const { port } = server
    const plan = { ...shared, port, firstEvent, warmUpMs: 1000, durationMs, ...open }
    const report = await runCosted(world, plan, server)
    firstEvent = report.nextEvent
    return report
  }
  const attuned: CostedReport[] = []
  const bared: CostedReport[] = []
  const drainedMs: number[] = []
  const drained = async (): Promise<number> => drainedMs.push(await drain(attune))
  const loaded = { ...attune, drained }
  for (let round = 0; round < roundCount; round++) {
    attuned.push(await load(loaded))
    bared.push(await load(bare))
  }
  await bare.close()
  const value = mean(attuned.map(ratePerSecond))
  const last = attuned.at(-1) as CostedReport
  const lastBare = bared.at(-1) as CostedReport
  printFigure({
    bench: 'collect-single',
    value,
    unit: 'requests/s',
    baseline: mean(bared.map(ratePerSecond)),
    note:
      `${connectionCount} connections, ${Math.round(eventBytesMean())} bytes of JSON, ` +
      'uniform over ' +
      `${userCount} people; ${describeLoad(last)}; ${describeCpu(last.cpu, last.sentCount)}, ` +
      `baseline ${describeCpu(lastBare.cpu, lastBare.sentCount)}; latency at saturation p50 ` +
      `${last.latencyMs.p50.toFixed(1)} p99 ${last.latencyMs.p99.toFixed(1)} ms; fold behind by ` +
      `${Math.round(mean(drainedMs))} ms at the end of a round`,
  })
  const half = await load(loaded, value / 2)
  const note =
    `open loop at ${Math.round(value / 2)} requests/s, latency from the scheduled time; ` +
    `${Math.round(ratePerSecond(half))} answered/s; ${describeLoad(half)}; ` +
    'fold at the end within ' +
    `${Math.round(drainedMs.at(-1) ?? 0)} ms`
  printFigure({ bench: 'collect-single-p50', value: half.latencyMs.p50, unit: 'ms', note })
  printFigure({ bench: 'collect-single-p99', value: half.latencyMs.p99, unit: 'ms', note })
  await attune.stop()
  await world.removeFolder(folder)
}
