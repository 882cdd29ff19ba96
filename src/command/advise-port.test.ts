import { deepStrictEqual, equal } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { MessageChannel } from 'node:worker_threads'
import { createPortCaller, servePort } from '../lib/port-call.ts'
import type { Advice, AdviceRequest } from '../recommend/advisor.ts'
import { defaultRules } from '../recommend/recommender-rules.ts'
import { type AdviceQuestion, answerAdvise, createAdvise } from './advise-port.ts'

const activity = [
  { itemId: 'pegs', kind: 'view', occurredAtMs: 1_000 },
  { itemId: 'jars', kind: 'purchase', occurredAtMs: 2_000 },
] as const
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
})

function connect(
  t: { after(end: () => void): void },
  advise: (request: AdviceRequest) => Advice,
): (request: AdviceRequest) => Promise<Advice> {
  const { port1, port2 } = new MessageChannel()
  t.after(() => port1.close())
  servePort(port1, {
    advise: (question: AdviceQuestion) => answerAdvise({ advise }, question),
  })
  return createAdvise(createPortCaller(port2))
}
