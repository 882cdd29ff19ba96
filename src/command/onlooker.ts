/**
 * What a process without folds knows of the state: for the roles `collect` and `api`. It has the
 * form of the owner, so that the rest of the server need not know the difference.
 */

import { MessageChannel } from 'node:worker_threads'
import { assert } from '../lib/assert.ts'
import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import { createPortCaller } from '../lib/port-call.ts'
import type { OwnerMeasures } from '../monitor/owner-measures.ts'
import { openStateFollower } from '../process/follow-state.ts'
import { createFreshness, createFreshnessBuffer } from '../process/freshness.ts'
import { openRenderPool } from '../template/render-pool.ts'
import { createAdvise, pageAnswerMsMax } from './advise-port.ts'
import { type Owner, type OwnerOptions, renderOptionsOf } from './owner-thread.ts'
import { startRecommendThread } from './recommend-thread.ts'
import { lookMsOf } from './store-options.ts'

const noMeasures: OwnerMeasures = {
  recordCount: 0,
  yieldedSeconds: 0,
  commitSeconds: [],
  renderSeconds: [],
  handOverSeconds: [],
  results: {},
  findings: {},
}

/** Opens what the role needs: the API asks the index and renders, a collector does neither. */
export async function openOnlooker(
  deps: { readonly clock: Clock; readonly logger: Logger },
  options: OwnerOptions,
): Promise<Owner> {
  const { values, stores, secrets, log } = options
  const { partitionCount } = log.identity
  const freshness = createFreshness(createFreshnessBuffer(partitionCount))
  const lookMs = lookMsOf(values)
  const follower = await openStateFollower({ ...deps, ...options, freshness }, { lookMs })
  const isApi = values['server.role'] === 'api'
  const { port1, port2 } = new MessageChannel()
  const index = { values, stores, partitionCount, ports: [port1] }
  const recommend = isApi ? await startRecommendThread(deps, index) : undefined
  const renderer = isApi
    ? await openRenderPool(renderOptionsOf(values), secrets.signingKeys)
    : undefined
  const advisor = createPortCaller(port2)
  return {
    freshness,
    failed: Promise.race([follower.failed, ...(recommend === undefined ? [] : [recommend.failed])]),
    advise: createAdvise(advisor, deps, pageAnswerMsMax),
    indexState: async () => await recommend?.state(),
    async render(input) {
      assert(renderer !== undefined, 'only the API renders')
      return await renderer.render(input)
    },
    waitCommitted: (places, msMax) => follower.waitCommitted(places, msMax),
    health: async () => ({
      unready: follower.isAway ? ['log or state cannot be reached'] : [],
      partitions: { owned: 0, stopped: [] },
      lagCount: follower.lagCount,
      ownedLagCount: 0,
      messagesWaiting: 0,
    }),
    takeMeasures: async () => noMeasures,
    readMemory: async () =>
      (await Promise.all([recommend?.readMemory(), renderer?.readMemory()])).flatMap(
        (each) => each ?? [],
      ),
    onDefinitions: (listener) => follower.onDefinitions(listener),
    async close() {
      await recommend?.close()
      port2.close()
      await renderer?.close()
      await follower.close()
    },
  }
}
