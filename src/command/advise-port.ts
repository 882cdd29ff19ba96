/**
 * Questions to the recommendation index in another thread, and its answers. They cross as a list
 * per field: a thread that takes a message makes each of its objects anew, names of fields
 * included, which costs more than all that they hold.
 */

import type { PortCaller } from '../lib/port-call.ts'
import type { Advice, AdviceReason, AdviceRequest, AdvisedItem } from '../recommend/advisor.ts'
import type { InteractionKind } from '../recommend/recommender.ts'
import { defaultRules } from '../recommend/recommender-rules.ts'

/** The lists are of one length; place by place they are of one interaction. */
export interface AdviceQuestion extends Omit<AdviceRequest, 'activity'> {
  readonly itemIds: readonly string[]
  readonly kinds: readonly InteractionKind[]
  readonly atMs: readonly number[]
}

/** The lists are of one length; place by place they are of one recommendation. */
export interface AdviceAnswer {
  readonly learnedCount: number
  readonly itemIds: readonly string[]
  readonly scores: readonly number[]
  readonly kinds: readonly AdviceReason['kind'][]
  readonly aboutItemIds: readonly (string | undefined)[]
  readonly categories: readonly (string | undefined)[]
  readonly algorithms: readonly AdviceReason['algorithm'][]
  readonly shares: readonly (number | undefined)[]
  readonly bases: readonly number[]
  readonly boosts: readonly (number | undefined)[]
}

/** Returns what asks the thread behind `caller`. */
export function createAdvise(
  caller: Pick<PortCaller, 'call'>,
): (request: AdviceRequest) => Promise<Advice> {
  return async (request) =>
    readAnswer(await caller.call<AdviceAnswer>('advise', questionOf(request)))
}

/** Answers what `createAdvise` asks. */
export function answerAdvise(
  advisor: { advise(request: AdviceRequest): Advice },
  question: AdviceQuestion,
): AdviceAnswer {
  const { itemIds, kinds, atMs, ...asked } = question
  const activity = itemIds.map((itemId, index) => ({
    itemId,
    kind: kinds[index] ?? 'view',
    occurredAtMs: atMs[index] ?? 0,
  }))
  const { recommendations, learnedCount } = advisor.advise({ ...asked, activity })
  return {
    learnedCount,
    itemIds: recommendations.map(({ itemId }) => itemId),
    scores: recommendations.map(({ score }) => score),
    kinds: recommendations.map(({ reason }) => reason.kind),
    aboutItemIds: recommendations.map(({ reason }) => reason.itemId),
    categories: recommendations.map(({ reason }) => reason.category),
    algorithms: recommendations.map(({ reason }) => reason.algorithm),
    shares: recommendations.map(({ reason }) => reason.share),
    bases: recommendations.map(({ weights }) => weights.base),
    boosts: recommendations.map(({ weights }) => weights.boost),
  }
}

function questionOf({ activity, rules, ...asked }: AdviceRequest): AdviceQuestion {
  return {
    ...asked,
    ...(rules === undefined || rules === defaultRules ? {} : { rules }),
    itemIds: activity.map(({ itemId }) => itemId),
    kinds: activity.map(({ kind }) => kind),
    atMs: activity.map(({ occurredAtMs }) => occurredAtMs),
  }
}

function readAnswer(answer: AdviceAnswer): Advice {
  const recommendations = answer.itemIds.map((itemId, index): AdvisedItem => {
    const about = answer.aboutItemIds[index]
    const category = answer.categories[index]
    const algorithm = answer.algorithms[index]
    const share = answer.shares[index]
    const boost = answer.boosts[index]
    return {
      itemId,
      score: answer.scores[index] ?? 0,
      reason: {
        kind: answer.kinds[index] ?? 'in-catalog',
        ...(about === undefined ? {} : { itemId: about }),
        ...(category === undefined ? {} : { category }),
        ...(algorithm === undefined ? {} : { algorithm }),
        ...(share === undefined ? {} : { share }),
      },
      weights: {
        base: answer.bases[index] ?? 0,
        ...(boost === undefined ? {} : { boost }),
      },
    }
  })
  return { recommendations, learnedCount: answer.learnedCount }
}
