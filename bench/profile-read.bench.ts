/**
 * `GET` of a profile with an API key, of a person drawn uniformly; against a bare server that
 * answers the same bytes, made beforehand. First the reads that make what is kept, then, once
 * nearly all that fits is kept, the rate beside the bare server, and open loop at half of it.
 */

import { describeCpu } from './attune-server.ts'
import type { BenchWorld } from './bench-world.ts'
import { filledServer, peopleCount } from './collect-batch.bench.ts'
import { itemCount, profileRequests, userIdOf } from './event-load.ts'
import { printFigure } from './figure.ts'
import { measureBeside } from './measure-beside.ts'
import { describeLoad, ratePerSecond, runCosted, runLoad, startBare } from './run-load.ts'

const connectionCount = 64
/** About as many as a large machine keeps. */
const keptPeopleMax = 120_000
/** 98% of the people are drawn at least once in four draws each. */
const keptReadsEach = 4

export async function benchProfileRead(world: BenchWorld): Promise<void> {
  const attune = await filledServer(world)
  const headers = { authorization: `Bearer ${attune.apiKey}` }
  const sample = await fetch(`${attune.url}/api/v1/profiles/${userIdOf(1)}`, { headers })
  const body = await sample.text()
  const userCount = peopleCount(world)
  const durationMs = world.settings.isFull ? 15_000 : 3000
  const requests = profileRequests(attune.apiKey)
  const plan = { connectionCount, requests, userCount, itemCount }
  const bare = await startBare(world, body)
  const firstPlan = { ...plan, port: attune.port, firstEvent: 0, warmUpMs: 0 }
  const readCount = Math.min(userCount, keptPeopleMax)
  const first = await runCosted(world, { ...firstPlan, requestCountMax: readCount }, attune)
  printFigure({
    bench: 'profile-read-first',
    value: ratePerSecond(first),
    unit: 'requests/s',
    note:
      `the first ${readCount} reads, ${Math.round(100 * firstShareOf(readCount, userCount))}% of ` +
      `them of a person not read before; ${describeLoad(first)}; ` +
      describeCpu(first.cpu, first.sentCount),
  })
  await runLoad(world, { ...firstPlan, requestCountMax: readCount * keptReadsEach })
  const beside = await measureBeside(world, { ...plan, durationMs }, { attune, bare })
  const { value, baseline, half, halfRate } = beside
  printFigure({
    bench: 'profile-read',
    value,
    unit: 'requests/s',
    baseline,
    note:
      `${connectionCount} connections, ${userCount} people, ${body.length} bytes of JSON; ` +
      beside.says,
  })
  printFigure({
    bench: 'profile-read-p99',
    value: half.latencyMs.p99,
    unit: 'ms',
    note:
      `open loop at ${Math.round(halfRate)} requests/s, ` +
      `p50 ${half.latencyMs.p50.toFixed(2)} ms; ${describeLoad(half)}`,
  })
}

/** Returns the share of so many draws that are the first of their person, all drawn uniformly. */
function firstShareOf(drawCount: number, userCount: number): number {
  return (userCount * (1 - Math.exp(-drawCount / userCount))) / drawCount
}
