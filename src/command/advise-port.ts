/**
 * Questions to the recommendation index in another thread, and its answers. They cross as a list
 * per field: a thread that takes a message makes each of its objects anew, names of fields
 * included, which costs more than all that they hold.
 *
 * A question has a deadline. Once one has passed, further ones are refused at once until the index
 * answers again: what it cannot take does not pile up before it, and who asks waits once only.
 */

import type { Clock } from '../lib/clock.ts'
import { OperatingError } from '../lib/errors.ts'
import type { Logger } from '../lib/logger.ts'
import { onceIn } from '../lib/once-in.ts'
import { answerWithin, type PortCaller } from '../lib/port-call.ts'
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

/** How long a page waits for the index; who fetches one gives up not long after. */
export const pageAnswerMsMax = 3_000
/**
 * How long an email waits: a worker without a snapshot learns ten million interactions from the
 * feed in about half a minute, and what it sends meanwhile is to have its lists.
 */
export const emailAnswerMsMax = 120_000

export type Advise = (request: AdviceRequest) => Promise<Advice>

/** Returns what asks the thread behind `caller`; rejects with INDEX_SILENT where none answers. */
export function createAdvise(
  caller: Pick<PortCaller, 'call'>,
  deps: { readonly clock: Clock },
  answerMsMax: number,
): Advise {
  let isSilent = false
  const hear = (): void => {
    isSilent = false
  }
  return async (request) => {
    if (isSilent) throw silentError()
    const asked = caller.call<AdviceAnswer>('advise', questionOf(request))
    const answer = await answerWithin(deps.clock, asked, answerMsMax)
    if (answer !== undefined) return readAnswer(answer)
    isSilent = true
    asked.then(hear, hear)
    throw silentError()
  }
}

const tellMsMin = 60_000

/**
 * Returns `advise` for emails: where the index does not answer they are filled with nothing from
 * it, which is logged once a minute.
 */
export function orNothing(
  advise: Advise,
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
): Advise {
  const mayTell = onceIn(clock, tellMsMin)
  return async (request) => {
    try {
      return await advise(request)
    } catch (error) {
      if (!(error instanceof OperatingError && error.code === 'INDEX_SILENT')) throw error
      if (mayTell()) {
        logger.warn({}, 'the recommendation index does not answer; emails go without its lists')
      }
      return { recommendations: [], learnedCount: 0 }
    }
  }
}

function silentError(): OperatingError {
  return new OperatingError('INDEX_SILENT', 'ask the recommendation index in time')
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
