/**
 * `GET` of a profile with an API key, of a person drawn uniformly; against a bare server that
 * answers the same bytes, made beforehand. Then open loop at half that rate.
 */

import { type CpuUsed, describeCpu } from './attune-server.ts'
import type { BenchWorld } from './bench-world.ts'
import { filledServer, peopleCount } from './collect-batch.bench.ts'
import { itemCount, profileRequests, userIdOf } from './event-load.ts'
import { mean, printFigure } from './figure.ts'
import { type CostedReport, describeLoad, ratePerSecond, runCosted, startBare } from './run-load.ts'

const connectionCount = 64
const roundCount = 3

interface Loaded {
  readonly port: number
  cpuUsed(): Promise<CpuUsed>
}

export async function benchProfileRead(world: BenchWorld): Promise<void> {
  const attune = await filledServer(world)
  const headers = { authorization: `Bearer ${attune.apiKey}` }
  const sample = await fetch(`${attune.url}/api/v1/profiles/${userIdOf(1)}`, { headers })
  const body = await sample.text()
  const bare = await startBare(world, body)
  const userCount = peopleCount(world)
  const shared = { connectionCount, requests: profileRequests(attune.apiKey), userCount, itemCount }
  const durationMs = world.settings.isFull ? 15_000 : 3000
  const load = async (server: Loaded, rate?: number): Promise<CostedReport> => {
    const open = rate === undefined ? {} : { ratePerSecond: rate }
    const { port } = server
    const plan = { ...shared, port, firstEvent: 0, warmUpMs: 1000, durationMs, ...open }
    return await runCosted(world, plan, server)
  }
  const attuned: CostedReport[] = []
  const bared: CostedReport[] = []
  for (let round = 0; round < roundCount; round++) {
    attuned.push(await load(attune))
    bared.push(await load(bare))
  }
  await bare.close()
  const value = mean(attuned.map(ratePerSecond))
  const last = attuned.at(-1) as CostedReport
  const lastBare = bared.at(-1) as CostedReport
  printFigure({
    bench: 'profile-read',
    value,
    unit: 'requests/s',
    baseline: mean(bared.map(ratePerSecond)),
    note:
      `${connectionCount} connections, ${userCount} people, ${body.length} bytes of JSON; ` +
      `${describeLoad(last)}; ${describeCpu(last.cpu, last.sentCount)}, baseline ` +
      `${describeCpu(lastBare.cpu, lastBare.sentCount)}; latency at saturation ` +
      `p50 ${last.latencyMs.p50.toFixed(1)} ` +
      `p99 ${last.latencyMs.p99.toFixed(1)} ms`,
  })
  const half = await load(attune, value / 2)
  printFigure({
    bench: 'profile-read-p99',
    value: half.latencyMs.p99,
    unit: 'ms',
    note:
      `open loop at ${Math.round(value / 2)} requests/s, ` +
      `p50 ${half.latencyMs.p50.toFixed(2)} ms; ` +
      describeLoad(half),
  })
}
