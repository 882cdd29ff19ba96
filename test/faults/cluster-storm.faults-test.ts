/**
 * Workers that join and leave every two seconds under load, told to stop as an operator does. Each
 * hands over cleanly: no message is left unclear, and the lag is gone soon after it is calm.
 */

import assert from 'node:assert/strict'
import { it, type TestContext } from 'node:test'
import { systemClock } from '../../src/lib/clock.ts'
import { createSeededRandom } from '../../src/lib/random.ts'
import { type Cluster, clusterIsMissing, figuresOf, openCluster, tell } from './cluster-harness.ts'
import type { ClusterProcess } from './cluster-process.ts'

const seed = Number(process.env['ATTUNE_TEST_SEED'] ?? 20261125)
const ratePerSecond = 60
/** A relay that takes longer for a message than a partition is drained for by default. */
const smtpDelayMs = 150
const stormMs = 60_000
const stormMsMax = 110_000
const stopCountMin = 5
const beatMs = 2_000
const workerCountMax = 3
const calmMsMax = 150_000
/** Of one worker; the bound of a hand-over is longer, so that a busy machine meets it. */
const stopMsMax = 30_000

it('workers that come and go hand over without an unclear message', goOn)

async function goOn(t: TestContext): Promise<void> {
  if (clusterIsMissing !== undefined) return t.skip(clusterIsMissing)
  const settings = { 'process.handOverMsMax': '20s' }
  const cluster = await openCluster(t, { smtpDelayMs, settings })
  await cluster.startWorker()
  await cluster.startRole('collect')
  const load = cluster.startLoad(ratePerSecond, seed)
  const storm = await runStorm(cluster)
  const calmAt = systemClock.monotonicMs()
  await cluster.settle()
  const calmMs = systemClock.monotonicMs() - calmAt
  const result = await cluster.examine()
  const tookMs = storm.stops.map((ms) => Math.round(ms)).sort((one, other) => one - other)
  const lines = (msg: string): number =>
    cluster.processes.reduce((sum, each) => sum + each.said(msg).length, 0)
  tell('storm', {
    seed,
    ...figuresOf(cluster, load, result),
    joins: storm.joinCount,
    stops: tookMs.length,
    stopMsMiddle: tookMs[Math.floor(tookMs.length / 2)],
    stopMsMax: tookMs.at(-1),
    calmMs: Math.round(calmMs),
    notOwned: lines('not owned'),
    joinedAnew: lines('joining anew'),
  })
  assert.deepEqual(result.findings, [])
  assert.equal(result.states['unknown'] ?? 0, 0, 'a clean hand-over leaves nothing unclear')
  assert.ok(tookMs.length >= stopCountMin, `${tookMs.length} workers left`)
  assert.ok((tookMs.at(-1) ?? 0) <= stopMsMax)
  assert.ok(calmMs < calmMsMax)
}

/** Starts and stops workers, one change every beat; a worker serves before it may go. */
async function runStorm(
  cluster: Cluster,
): Promise<{ readonly joinCount: number; readonly stops: readonly number[] }> {
  const random = createSeededRandom(seed)
  const serving: ClusterProcess[] = cluster.processes.filter(({ name }) => name.startsWith('work'))
  const stops: number[] = []
  const changes: Promise<void>[] = []
  let joinCount = 0
  let joining = 0
  const join = async (): Promise<void> => {
    joinCount++
    joining++
    try {
      serving.push(await cluster.startWorker())
    } finally {
      joining--
    }
  }
  const leave = async (worker: ClusterProcess): Promise<void> => {
    const { code, tookMs } = await worker.stop()
    assert.equal(code, 0, `${worker.name} stops cleanly:\n${worker.lastWords()}`)
    stops.push(tookMs)
  }
  const beganAt = systemClock.monotonicMs()
  const stormedMs = (): number => systemClock.monotonicMs() - beganAt
  // A slow machine takes longer to start a worker: it has more time.
  while (stormedMs() < stormMs || (stops.length < stopCountMin && stormedMs() < stormMsMax)) {
    await systemClock.sleep(beatMs)
    const isFull = serving.length + joining >= workerCountMax
    const shouldLeave = serving.length > 1 && (isFull || random.unit() < 0.5)
    const worker = shouldLeave ? serving.shift() : undefined
    if (worker !== undefined) changes.push(leave(worker))
    else if (!isFull) changes.push(join())
  }
  await Promise.all(changes)
  return { joinCount, stops }
}
