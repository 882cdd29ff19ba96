import { type CpuUsed, cpuSince, readCpuUsed } from './attune-server.ts'
import type { BenchWorld } from './bench-world.ts'
import { ask, endChild } from './bench-world.ts'
import type { LoadPlan, LoadReport } from './load-plan.ts'

/** Runs one load in a process of its own. */
export async function runLoad(world: BenchWorld, plan: LoadPlan): Promise<LoadReport> {
  const child = world.fork('./load-process.ts')
  const report = await ask<LoadReport>(child, plan)
  await endChild(child, 'SIGKILL')
  return report
}

export interface BareServer {
  readonly port: number
  cpuUsed(): Promise<CpuUsed>
  close(): Promise<void>
}

/** Starts the bare baseline; `getBody` is what it answers to any GET. */
export async function startBare(world: BenchWorld, getBody = '{}'): Promise<BareServer> {
  const child = world.fork('./bare-process.ts')
  const { port } = await ask<{ readonly port: number }>(child, { getBody })
  return { port, cpuUsed: () => readCpuUsed(child), close: () => endChild(child, 'SIGKILL') }
}

export function ratePerSecond(report: LoadReport): number {
  return report.okCount / report.seconds
}

/** Says what else happened: other answers, broken connections, the cost of the load itself. */
export function describeLoad(report: LoadReport): string {
  const { '200': _, ...others } = report.statuses
  const odd = Object.entries(others).map(([status, count]) => `${count} answers ${status}`)
  if (report.errorCount > 0) odd.push(`${report.errorCount} connections broken`)
  return [`load process ${report.cpuShare.toFixed(2)} of a core`, ...odd].join(', ')
}

export interface CostedReport extends LoadReport {
  readonly cpu: CpuUsed
}

/** Runs one load and tells what it cost the server, the fold up to the log's end included. */
export async function runCosted(
  world: BenchWorld,
  plan: LoadPlan,
  server: { cpuUsed(): Promise<CpuUsed>; drained?(): Promise<unknown> },
): Promise<CostedReport> {
  const before = await server.cpuUsed()
  const report = await runLoad(world, plan)
  await server.drained?.()
  return { ...report, cpu: cpuSince(before, await server.cpuUsed()) }
}
