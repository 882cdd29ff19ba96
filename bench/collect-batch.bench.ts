/**
 * Durable events in batches of 100, then how long the fold takes to reach the log's end, and the
 * lag at which intake answered 429, if it did. Leaves its server to the benches that read, with
 * its memory printed under load.
 */

import { join } from 'node:path'
import { systemClock } from '../src/lib/clock.ts'
import { type AttuneServer, cpuSince, describeCpu, startAttune } from './attune-server.ts'
import type { BenchWorld } from './bench-world.ts'
import { drain } from './drain.ts'
import { batchRequests, eventBytesMean, itemCount } from './event-load.ts'
import { printFigure } from './figure.ts'
import type { LoadReport } from './load-plan.ts'
import { describeLoad, ratePerSecond, runLoad, startBare } from './run-load.ts'

export const batchCount = 100
const connectionCount = 32
const bareMs = 4000
const lookMs = 500

interface Watch {
  /** Events that the fold lay behind, at the looks. */
  readonly lags: { readonly atMs: number; readonly count: number }[]
  rssMib: number
  stop(): Promise<void>
}

export function peopleCount(world: BenchWorld): number {
  return world.settings.isFull ? 1_000_000 : 100_000
}

export async function benchCollectBatch(world: BenchWorld): Promise<void> {
  const eventCount = world.settings.isFull ? 5_000_000 : 500_000
  const shared = {
    ...{ connectionCount, requests: batchRequests(batchCount), itemCount, warmUpMs: 0 },
    userCount: peopleCount(world),
  }
  const bare = await startBare(world)
  const bared = await runLoad(world, {
    ...{ ...shared, port: bare.port, firstEvent: 0, durationMs: bareMs },
  })
  await bare.close()
  const attune = await startAttune(world, { dataDir: join(await world.makeFolder(), 'data') })
  world.filled = attune
  const watch = watchServer(attune)
  const requestCountMax = eventCount / batchCount
  const plan = { ...shared, port: attune.port, firstEvent: 0, requestCountMax }
  await attune.loopDelay()
  const before = await attune.cpuUsed()
  const report = await runLoad(world, plan)
  const delay = await attune.loopDelay()
  const lagCount = await attune.lagCount()
  const drainMs = await drain(attune)
  await watch.stop()
  const cpu = cpuSince(before, await attune.cpuUsed())
  printFigure({
    bench: 'collect-batch',
    value: ratePerSecond(report) * batchCount,
    unit: 'events/s',
    baseline: ratePerSecond(bared) * batchCount,
    note:
      `${eventCount} events of ${Math.round(eventBytesMean())} bytes in batches of ` +
      `${batchCount}, ` +
      `${connectionCount} connections, uniform over ${shared.userCount} people; ` +
      `${describeLoad(report)}; per event ${describeCpu(cpu, eventCount)}; ` +
      describeRefusal(report, watch),
  })
  printFigure({
    bench: 'collect-batch-loop-delay-p99',
    value: delay.p99,
    unit: 'ms',
    note:
      `of the HTTP thread's event loop, sampled every 10 ms while it took the batches; ` +
      `p50 ${delay.p50.toFixed(1)} ms, longest ${delay.max.toFixed(0)} ms; ` +
      'an idle loop shows 10 ms, the sampling interval; it waits for no fold and no fsync',
  })
  printFigure({
    bench: 'collect-batch-drain',
    value: drainMs / 1000,
    unit: 's',
    note:
      `lag left behind ${lagCount} events; while draining ` +
      `${Math.round(lagCount / (drainMs / 1000))} events/s folded with everything on`,
  })
  await printMemory(world, attune, watch.rssMib)
}

async function printMemory(world: BenchWorld, attune: AttuneServer, rssMib: number): Promise<void> {
  const threads = await attune.threadMemory()
  const index = threads.get('recommend')
  if (index === undefined) throw new Error('the thread of the index tells what it holds')
  const says = [...threads].map(
    ([thread, { heap, external }]) => `${thread} ${Math.round(heap)} + ${Math.round(external)}`,
  )
  printFigure({
    bench: 'memory',
    value: rssMib - index.heap - index.external,
    unit: 'MiB',
    note:
      `highest RSS under load, ${peopleCount(world)} people, without heap and arrays of the ` +
      `thread of the recommendation index; ${Math.round(rssMib)} MiB with them, ` +
      `${Math.round(await attune.rssMib())} MiB at rest; heap and external memory by thread: ` +
      says.join(', '),
  })
}

function watchServer(attune: AttuneServer): Watch {
  const stop = new AbortController()
  const startedAt = systemClock.monotonicMs()
  const run = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      const count = await attune.lagCount()
      watch.lags.push({ atMs: systemClock.monotonicMs() - startedAt, count })
      watch.rssMib = await attune.rssMibMax()
      await systemClock.sleep(lookMs, stop.signal)
    }
  }
  const watch: Watch = {
    lags: [],
    rssMib: 0,
    async stop() {
      stop.abort()
      await running
    },
  }
  const running = run()
  return watch
}

function describeRefusal(report: LoadReport, watch: Watch): string {
  const { firstRefusedMs } = report
  const highest = Math.max(...watch.lags.map(({ count }) => count))
  if (firstRefusedMs === undefined) return `no answer 429; highest lag ${highest} events`
  const lag = watch.lags.findLast(({ atMs }) => atMs <= firstRefusedMs)?.count ?? 0
  return (
    `first 429 or 503 after ${(firstRefusedMs / 1000).toFixed(1)} s at a lag of ${lag} events; ` +
    `highest lag ${highest}`
  )
}

/** Returns the server with many people in its state, filling one where no bench has left it. */
export async function filledServer(world: BenchWorld): Promise<AttuneServer> {
  if (world.filled !== undefined) return world.filled
  const attune = await startAttune(world, { dataDir: join(await world.makeFolder(), 'data') })
  const userCount = peopleCount(world)
  await runLoad(world, {
    ...{ port: attune.port, connectionCount, requests: batchRequests(batchCount), userCount },
    ...{ itemCount, firstEvent: 0, warmUpMs: 0, requestCountMax: (userCount * 3) / batchCount },
  })
  await drain(attune)
  world.filled = attune
  return attune
}
