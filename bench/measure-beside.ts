/**
 * The loop that several benches share: Attune and the bare server take turns under the same load,
 * then Attune alone is loaded at half of what it could take (open loop). Where log and state are
 * services, rounds before these warm them and do not count.
 */

import { type CpuUsed, describeCpu } from './attune-server.ts'
import type { BenchWorld } from './bench-world.ts'
import { mean } from './figure.ts'
import type { LoadPlan } from './load-plan.ts'
import {
  type BareServer,
  type CostedReport,
  describeLoad,
  ratePerSecond,
  runCosted,
} from './run-load.ts'

const roundCount = 3
const warmUpMs = 1000
/** A service of Java that was started for the run compiles what it does for some 30 s of load. */
export const serviceWarmMs = 30_000

export interface Loaded {
  readonly port: number
  cpuUsed(): Promise<CpuUsed>
  /** Resolves when the work that a load left behind is done. */
  drained?(): Promise<unknown>
}

export type SharedPlan = Pick<
  LoadPlan,
  'connectionCount' | 'requests' | 'userCount' | 'itemCount'
> & { readonly durationMs: number }

export interface Beside {
  /** Answers per second at saturation, mean of all rounds, of Attune and of the bare server. */
  readonly value: number
  readonly baseline: number
  /** Load, CPU of both, latency of the last round. */
  readonly says: string
  readonly halfRate: number
  readonly half: CostedReport
}

/** Ends the bare server. */
export async function measureBeside(
  world: BenchWorld,
  shared: SharedPlan,
  servers: { readonly attune: Loaded; readonly bare: BareServer },
): Promise<Beside> {
  const { attune, bare } = servers
  let firstEvent = 0
  const load = async (server: Loaded, rate?: number): Promise<CostedReport> => {
    const open = rate === undefined ? {} : { ratePerSecond: rate }
    const { port } = server
    const report = await runCosted(
      world,
      { ...shared, port, firstEvent, warmUpMs, ...open },
      server,
    )
    firstEvent = report.nextEvent
    return report
  }
  const warmRoundCount = world.settings.stores ? Math.ceil(serviceWarmMs / shared.durationMs) : 0
  for (let round = 0; round < warmRoundCount; round++) await load(attune)
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
  const { p50, p99 } = last.latencyMs
  return {
    value,
    baseline: mean(bared.map(ratePerSecond)),
    says:
      `${describeLoad(last)}; ${describeCpu(last.cpu, last.sentCount)}, baseline ` +
      `${describeCpu(lastBare.cpu, lastBare.sentCount)}; latency at saturation ` +
      `p50 ${p50.toFixed(1)} p99 ${p99.toFixed(1)} ms`,
    halfRate: value / 2,
    half: await load(attune, value / 2),
  }
}
