/**
 * `GET` of a profile with an API key, of a person drawn uniformly; against a bare server that
 * answers the same bytes, made beforehand. Then open loop at half that rate.
 */

import type { BenchWorld } from './bench-world.ts'
import { filledServer, peopleCount } from './collect-batch.bench.ts'
import { itemCount, profileRequests, userIdOf } from './event-load.ts'
import { printFigure } from './figure.ts'
import { measureBeside } from './measure-beside.ts'
import { describeLoad, startBare } from './run-load.ts'

const connectionCount = 64

export async function benchProfileRead(world: BenchWorld): Promise<void> {
  const attune = await filledServer(world)
  const headers = { authorization: `Bearer ${attune.apiKey}` }
  const sample = await fetch(`${attune.url}/api/v1/profiles/${userIdOf(1)}`, { headers })
  const body = await sample.text()
  const userCount = peopleCount(world)
  const durationMs = world.settings.isFull ? 15_000 : 3000
  const requests = profileRequests(attune.apiKey)
  const plan = { connectionCount, requests, userCount, itemCount, durationMs }
  const bare = await startBare(world, body)
  const beside = await measureBeside(world, plan, { attune, bare })
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
