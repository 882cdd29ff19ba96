/**
 * An owner that is paused for longer than its session, and goes on: the other has its partitions by
 * then. What the paused one commits is refused, what it appends has no effect, and it joins again.
 */

import assert from 'node:assert/strict'
import { it, type TestContext } from 'node:test'
import { systemClock } from '../../src/lib/clock.ts'
import { openGroupWatch } from './cluster-group.ts'
import { clusterIsMissing, figuresOf, openCluster, tell, until } from './cluster-harness.ts'

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
  })
  assert.deepEqual(result.findings, [])
  assert.ok(refused.every((line) => line['code'] === 'OWNER_FENCED'))
  assert.ok((result.states['unknown'] ?? 0) <= inHandCountMax)
}
