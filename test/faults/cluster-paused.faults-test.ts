/**
 * An owner that is paused for longer than its session, and goes on: the other has its partitions by
 * then. What the paused one commits is refused, what it appends has no effect, and it joins again.
 *
 * Whether it had a claim or a tick on its way is chance; so some are appended in its name behind
 * the takeover, and each must have no effect.
 */

import assert from 'node:assert/strict'
import { it, type TestContext } from 'node:test'
import { systemClock } from '../../src/lib/clock.ts'
import { openGroupWatch } from './cluster-group.ts'
import {
  type ClusterResult,
  clusterIsMissing,
  figuresOf,
  openCluster,
  tell,
  until,
} from './cluster-harness.ts'
import { type StaleSaid, sayStale } from './cluster-stale.ts'

const seed = Number(process.env['ATTUNE_TEST_SEED'] ?? 20261126)
const ratePerSecond = 240
const lifeMs = 5_000
const noticeMsMax = 90_000
const inHandCountMax = 32

it('an owner that was paused past its session can do nothing, and comes back', goOn)

async function goOn(t: TestContext): Promise<void> {
  if (clusterIsMissing !== undefined) return t.skip(clusterIsMissing)
  const cluster = await openCluster(t, { smtpDelayMs: 100 })
  const paused = await cluster.startWorker()
  const [heir] = await Promise.all([cluster.startWorker(), cluster.startRole('collect')])
  const watch = await openGroupWatch(t, cluster.kafka.addresses)
  await watch.untilMembers(2, noticeMsMax)
  const load = cluster.startLoad(ratePerSecond, seed)
  await systemClock.sleep(lifeMs)
  const before = await cluster.heads()
  paused.signal('SIGSTOP')
  const pausedAt = systemClock.monotonicMs()
  await watch.untilMembers(1, noticeMsMax)
  const takenCount = async (): Promise<number> => {
    const heads = await cluster.heads()
    return heads.filter(({ epoch }, index) => epoch > (before[index]?.epoch ?? 0)).length
  }
  await until('taken over', async () => (await takenCount()) >= 4, noticeMsMax)
  const stale = await sayStale(cluster, before, heir)
  await systemClock.sleep(1_000)
  const pauseMs = systemClock.monotonicMs() - pausedAt
  const wokenAtMs = systemClock.nowMs()
  paused.signal('SIGCONT')
  await watch.untilMembers(2, noticeMsMax)
  await until('refused', () => paused.said('not owned', wokenAtMs).length > 0, noticeMsMax)
  await systemClock.sleep(3_000)
  // Alone it must serve all of them: it owns again.
  const { code } = await heir.stop()
  assert.equal(code, 0, heir.lastWords())
  await systemClock.sleep(2_000)
  await cluster.settle()
  const result = await cluster.examine()
  const refused = paused.said('not owned', wokenAtMs)
  tell('paused', {
    seed,
    ...figuresOf(cluster, load, result),
    pauseMs: Math.round(pauseMs),
    refused: refused.length,
    firstRefusal: refused[0]?.['cause'],
    staleClaims: stale.claimed.length,
    staleTicks: stale.ticked.length,
  })
  assert.deepEqual(result.findings, [])
  checkStale(result, stale)
  assert.ok(refused.every((line) => line['code'] === 'OWNER_FENCED'))
  assert.ok((result.states['unknown'] ?? 0) <= inHandCountMax)
}

/** What was said in the name of the paused owner is in the log, and nothing came of it. */
function checkStale({ examined }: ClusterResult, { claimed, ticked, tickedAtMs }: StaleSaid): void {
  const { log, ownerMs, messages } = examined
  assert.ok(claimed.length > 0 && log.staleClaimCount >= claimed.length)
  assert.ok(ticked.length > 0 && log.staleTickCount >= ticked.length)
  for (const atMs of ownerMs) assert.ok(atMs < tickedAtMs, 'the time is that of the newest owner')
  // One that the paused owner had been granted would not be sent: the newest owner was refused it.
  const kinds = claimed.map((messageId) => messages.get(messageId)?.state.kind ?? 'missing')
  const unclear = kinds.filter((kind) => kind !== 'accepted' && kind !== 'refused')
  // What the new owner had in hand when the paused one took partitions back.
  assert.ok(unclear.every((kind) => kind === 'unknown') && unclear.length <= inHandCountMax)
  assert.ok(kinds.includes('accepted'))
}
