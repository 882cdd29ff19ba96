/**
 * The last look before a message is handed over: whether its address is suppressed, its person has
 * withdrawn, its campaign has ended, or its time is over.
 */

import type { Message, ResultSkeleton } from '../campaign/message.ts'
import type { Clock } from '../lib/clock.ts'
import { hasWithdrawn, type Person } from '../profile/person.ts'
import { hasLostCommits, type LostCommitsDeps, lossSays, partitionsBehind } from './lost-commits.ts'
import { findPerson, findSuppression } from './read-state.ts'
import { isSuppressed } from './suppression.ts'

/** The greatest time that the look before the first byte may take. */
const checkMsMax = 2000

type Refusal = Pick<ResultSkeleton, 'result' | 'says' | 'reason'>

export interface Check {
  /** Absent where it could not be read. */
  readonly checkedAtMs?: number
  /** Absent where the message may be sent. */
  readonly refusal?: Refusal
}

interface CheckDeps extends LostCommitsDeps {
  readonly clock: Clock
}

/** Reads whether the message may be sent, again where that took too long. Never rejects. */
export async function checkMessage(
  deps: CheckDeps,
  message: Message,
  addressKey: string,
): Promise<Check> {
  try {
    return await readUntilQuick(deps, message, addressKey)
  } catch (error) {
    // Nothing has left yet, so it can be tried again.
    const says = error instanceof Error ? error.message : String(error)
    return { refusal: { result: 'deferred', says } }
  }
}

async function readUntilQuick(
  deps: CheckDeps,
  message: Message,
  addressKey: string,
): Promise<Check> {
  let checkedAtMs: number
  let checkedAt: number
  do {
    checkedAtMs = deps.clock.nowMs()
    checkedAt = deps.clock.monotonicMs()
    const [suppression, found] = await Promise.all([
      findSuppression(deps.place, addressKey),
      findPerson(deps.place, message.personKey),
    ])
    if (checkedAtMs > message.notAfterMs) {
      return { checkedAtMs, refusal: refuse('expired', 'the message has lapsed') }
    }
    if (await hasLostCommits(deps, partitionsBehind(deps.place, found, [addressKey]))) {
      return { checkedAtMs, refusal: { result: 'deferred', says: lossSays } }
    }
    if (isSuppressed(suppression, message.topic)) {
      return { checkedAtMs, refusal: refuse('suppressed', 'the address is suppressed') }
    }
    if (found !== undefined && hasWithdrawn(found.person, message.topic)) {
      return { checkedAtMs, refusal: refuse('consent', 'consent was withdrawn') }
    }
    if (found !== undefined && hasLeft(found.person, message)) {
      return { checkedAtMs, refusal: refuse('exit', 'its campaign ended for the person') }
    }
  } while (deps.clock.monotonicMs() - checkedAt > checkMsMax)
  return { checkedAtMs }
}

/** Whoever has joined another since the grant is written to as they were. */
function hasLeft(person: Person, { personKey, messageId }: Message): boolean {
  return person.key === personKey && !Object.hasOwn(person.openMessages, messageId)
}

function refuse(reason: NonNullable<ResultSkeleton['reason']>, says: string): Refusal {
  return { result: 'refused', reason, says }
}
