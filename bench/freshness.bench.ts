/**
 * From an accepted event to its sight in the profile API, while others arrive at a steady rate.
 *
 * A probe sends one event of a person nobody has seen, and when that is answered asks for the
 * profile again and again until it is there. The first pass that folds in time is the figure.
 */

import { join } from 'node:path'
import { systemClock } from '../src/lib/clock.ts'
import { type AttuneServer, startAttune, writeKey } from './attune-server.ts'
import type { BenchWorld } from './bench-world.ts'
import { drain } from './drain.ts'
import { batchRequests, itemCount } from './event-load.ts'
import { percentile, printFigure } from './figure.ts'
import { serviceWarmMs } from './measure-beside.ts'
import { describeLoad, ratePerSecond, runLoad } from './run-load.ts'

const batchCount = 10
const eventRates = [5000, 2500, 1000] as const
/** Where log and state are services, which share the machine. */
const sharedEventRates = [2000, 1000, 500] as const
const userCount = 100_000
/** The share of the rate that must be answered and folded for the machine to hold it. */
const heldShare = 0.98
const probeEveryMs = 20
const probeMsMax = 10_000
/** Without a pause the probe alone keeps the HTTP thread busy, for which the fold gives way. */
const askAgainMs = 1
const settleMs = 3000

export async function benchFreshness(world: BenchWorld): Promise<void> {
  const folder = await world.makeFolder()
  const attune = await startAttune(world, { dataDir: join(folder, 'data') })
  const durationMs = world.settings.isFull ? 60_000 : 12_000
  let firstEvent = 0
  const rates = world.settings.stores === undefined ? eventRates : sharedEventRates
  const load = { connectionCount: 32, requests: batchRequests(batchCount), userCount, itemCount }
  if (world.settings.stores !== undefined) {
    const ratePerSecond = rates[0] / batchCount
    const plan = { ...load, port: attune.port, firstEvent, ratePerSecond, warmUpMs: 0 }
    const warm = await runLoad(world, { ...plan, durationMs: serviceWarmMs })
    firstEvent = warm.nextEvent
    await drain(attune)
  }
  for (const rate of rates) {
    const before = await attune.cpuUsed()
    const stop = new AbortController()
    const probing = probe(attune, firstEvent, stop.signal)
    const report = await runLoad(world, {
      ...{ ...load, port: attune.port, firstEvent },
      ...{ ratePerSecond: rate / batchCount, warmUpMs: settleMs, durationMs },
    })
    firstEvent = report.nextEvent
    stop.abort()
    const samples = await probing
    const cpuMs = (await attune.cpuUsed()).allMs - before.allMs
    const lagCount = await attune.lagCount()
    const answered = ratePerSecond(report) * batchCount
    const isHeld = answered >= rate * heldShare && lagCount < rate * (1 - heldShare) * 10
    const isLast = rate === rates.at(-1)
    if (isHeld || isLast) {
      const note =
        `${isHeld ? '' : 'NOT HELD: '}${Math.round(answered)} events/s in batches of ` +
        `${batchCount}, ` +
        `${samples.length} probes; ${describeLoad(report)}; lag left ${lagCount}; ` +
        `${Math.round((cpuMs * 1000) / (report.sentCount * batchCount))} us of CPU an event`
      printFigure({ bench: 'freshness-p50', value: percentile(samples, 0.5), unit: 'ms', note })
      printFigure({ bench: 'freshness-p99', value: percentile(samples, 0.99), unit: 'ms', note })
      break
    }
    await drain(attune)
  }
  await attune.stop()
  await world.removeFolder(folder)
}

async function probe(
  attune: AttuneServer,
  firstUser: number,
  signal: AbortSignal,
): Promise<readonly number[]> {
  const samples: number[] = []
  await systemClock.sleep(settleMs, signal)
  for (let index = 0; !signal.aborted; index++) {
    const userId = `probe-${firstUser}-${index}`
    await sendProbe(attune, userId)
    const acceptedAt = systemClock.monotonicMs()
    await untilVisible(attune, userId)
    const ms = systemClock.monotonicMs() - acceptedAt
    samples.push(ms)
    await systemClock.sleep(probeEveryMs - ms, signal)
  }
  return samples
}

async function sendProbe({ url }: AttuneServer, userId: string): Promise<void> {
  const answer = await fetch(`${url}/v1/track`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-write-key': writeKey },
    body: JSON.stringify({ userId, event: 'Probe Sent' }),
  })
  await answer.text()
  if (answer.status !== 200) throw new Error(`a probe was answered ${answer.status}`)
}

async function untilVisible(attune: AttuneServer, userId: string): Promise<void> {
  const headers = { authorization: `Bearer ${attune.apiKey}` }
  const startedAt = systemClock.monotonicMs()
  while (systemClock.monotonicMs() - startedAt < probeMsMax) {
    const answer = await fetch(`${attune.url}/api/v1/profiles/${userId}`, { headers })
    await answer.text()
    if (answer.status === 200) return
    await systemClock.sleep(askAgainMs)
  }
}
