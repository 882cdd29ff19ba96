import { deepStrictEqual, equal, rejects } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { MessageChannel } from 'node:worker_threads'
import { systemClock } from '../lib/clock.ts'
import { type Logger, silentLogger } from '../lib/logger.ts'
import { createPortCaller, servePort } from '../lib/port-call.ts'
import type { Advice, AdviceRequest } from '../recommend/advisor.ts'
import { defaultRules } from '../recommend/recommender-rules.ts'
import { type AdviceQuestion, answerAdvise, createAdvise, orNothing } from './advise-port.ts'

const activity = [
  { itemId: 'pegs', kind: 'view', occurredAtMs: 1_000 },
  { itemId: 'jars', kind: 'purchase', occurredAtMs: 2_000 },
] as const
const deps = { clock: systemClock }
const answerMsMax = 20
const waitMsMax = 60_000
const nothing: Advice = { learnedCount: 0, recommendations: [] }
const asked = { activity, excludeItemIds: ['jars'], nowMs: 3_000, countMax: 5 }

describe('advise port', () => {
  it('brings questions and answers to the other side as they were', async (t) => {
    const requests: readonly AdviceRequest[] = [
      asked,
      { ...asked, activity: [], currency: 'GBP' },
      { ...asked, rules: { ...defaultRules, kind: 'similar', pins: ['pegs'] } },
    ]
    const advice: Advice = {
      learnedCount: 7,
      recommendations: [
        {
          itemId: 'a',
          score: 0.5,
          reason: { kind: 'because-viewed', itemId: 'pegs', algorithm: 'two-steps', share: 0.75 },
          weights: { base: 0.25, boost: 2 },
        },
        {
          itemId: 'b',
          score: 0.1,
          reason: { kind: 'trending', category: 'Garden' },
          weights: { base: 0.1 },
        },
        { itemId: 'c', score: 1, reason: { kind: 'pinned' }, weights: { base: 0 } },
      ],
    }
    const heard: AdviceRequest[] = []
    const advise = connect(t, (request) => {
      heard.push(request)
      return advice
    })
    for (const request of requests) deepStrictEqual(await advise(request), advice)
    deepStrictEqual(heard, requests)
  })

  it('does not send the rules that hold without a definition', async (t) => {
    let heard: AdviceRequest | undefined
    const advise = connect(t, (request) => {
      heard = request
      return { learnedCount: 0, recommendations: [] }
    })
    await advise({ ...asked, rules: defaultRules })
    equal(heard?.rules, undefined)
  })

  it('refuses in time where none answers, then at once, until the index answers', async (t) => {
    const held: PromiseWithResolvers<void>[] = []
    const hold = (): Promise<void> => {
      const answer = Promise.withResolvers<void>()
      held.push(answer)
      return answer.promise
    }
    const advise = connect(t, () => nothing, { answerMsMax, hold })
    await rejects(advise(asked), { code: 'INDEX_SILENT', retryable: true })
    await rejects(advise(asked), { code: 'INDEX_SILENT' })
    equal(held.length, 1, 'what cannot be taken does not pile up')
    held[0]?.resolve()
    await systemClock.sleep(answerMsMax)
    const answer = advise(asked)
    while (held.length < 2) await systemClock.sleep(1)
    held[1]?.resolve()
    deepStrictEqual(await answer, nothing)
  })

  it('fills an email with nothing where none answers, and says so once a minute', async (t) => {
    const told: string[] = []
    const logger: Logger = { ...silentLogger, warn: (_fields, says) => told.push(says) }
    const hold = (): Promise<void> => new Promise(() => {})
    const silent = connect(t, () => nothing, { answerMsMax, hold })
    const advise = orNothing(silent, { ...deps, logger })
    deepStrictEqual(await advise(asked), nothing)
    deepStrictEqual(await advise(asked), nothing)
    deepStrictEqual(told, ['the recommendation index does not answer; emails go without its lists'])
  })

  it('refuses what waits, and what comes later, where the other thread has ended', async () => {
    const { port1, port2 } = new MessageChannel()
    const caller = createPortCaller(port2)
    const advise = orNothing(createAdvise(caller, deps, waitMsMax), {
      ...deps,
      logger: silentLogger,
    })
    const waiting = rejects(advise(asked), { code: 'THREAD_ENDED' })
    port1.close()
    await waiting
    await rejects(advise(asked), { code: 'THREAD_ENDED' })
  })
})

function connect(
  t: { after(end: () => void): void },
  advise: (request: AdviceRequest) => Advice,
  options: { readonly answerMsMax?: number; readonly hold?: () => Promise<void> } = {},
): (request: AdviceRequest) => Promise<Advice> {
  const { port1, port2 } = new MessageChannel()
  t.after(() => port1.close())
  servePort(port1, {
    advise: async (question: AdviceQuestion) => {
      await options.hold?.()
      return answerAdvise({ advise }, question)
    },
  })
  return createAdvise(createPortCaller(port2), deps, options.answerMsMax ?? waitMsMax)
}
