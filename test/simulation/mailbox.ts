/**
 * The email provider and the people behind it: takes messages or not, and later opens, bounces,
 * leaves.
 */

import type { HandOver, HandOverRequest } from '../../src/delivery/mailer.ts'
import type { Random } from '../../src/lib/random.ts'
import type { FaultPlan, WorldFault } from './fault-plan.ts'
import type { Timeline } from './virtual-clock.ts'

export type Taken = HandOver & {
  /** Whether the message lies in the mailbox, whatever was answered. */
  readonly isTaken: boolean
}

export interface MailboxDeps {
  readonly timeline: Timeline
  readonly random: Random
  onTaken(request: HandOverRequest): void
}

const answerMsMax = 800
const deferredShare = 0.04
const failedShare = 0.01

const faulty: readonly (readonly [WorldFault, HandOver['kind'], boolean])[] = [
  ['mailer defers', 'deferred', false],
  ['mailer refuses', 'failed', false],
  ['mailer cut, message taken', 'unknown', true],
  ['mailer cut, message lost', 'unknown', false],
]

export class Mailbox {
  readonly #deps: MailboxDeps

  constructor(deps: MailboxDeps) {
    this.#deps = deps
  }

  async take(request: HandOverRequest, signal: AbortSignal, plan: FaultPlan): Promise<Taken> {
    const { timeline, random, onTaken } = this.#deps
    if (signal.aborted) return { kind: 'deferred', response: 'stopped before data', isTaken: false }
    await timeline.sleep(1 + answerMsMax * random.unit())
    for (const [fault, kind, isTaken] of faulty) {
      if (!plan.take(fault, timeline.nowMs)) continue
      if (isTaken) onTaken(request)
      return { kind, response: fault, isTaken }
    }
    const draw = random.unit()
    if (draw < deferredShare) return { kind: 'deferred', response: '451 later', isTaken: false }
    if (draw < deferredShare + failedShare) {
      return { kind: 'failed', response: '550 no', isTaken: false }
    }
    onTaken(request)
    return { kind: 'accepted', response: '250 ok', isTaken: true }
  }
}
