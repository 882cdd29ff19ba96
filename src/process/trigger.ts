/**
 * The stage that starts, ends and moves enrollments, and makes messages.
 *
 * At most one enrollment per campaign and person at a time; a trigger while one runs is ignored.
 * Ids follow from (campaign, person, triggering record), so a replay makes the same ones. Exits
 * come before triggers: an order ends the reminder before it starts the thank-you.
 */

import type { Campaign, Step } from '../campaign/campaign.ts'
import { duePrefix, type Message } from '../campaign/message.ts'
import { assert } from '../lib/assert.ts'
import { hashId } from '../lib/hash.ts'
import {
  crossingCountMax,
  type Enrollment,
  type Person,
  type TriggerRef,
} from '../profile/person.ts'
import type { Crossing } from './evaluate-segments.ts'
import { countCampaign } from './meta.ts'
import { timerKey } from './partition-view.ts'
import { type FoldScope, send, setPresent, writeMessage } from './scope.ts'

/** Steps passed in one go; a campaign has fewer, so reaching it is a bug. */
const stepCountMax = 100

/** What a `membership` record says; it is there to be seen, and the fold passes it by. */
export interface MembershipSkeleton {
  /** Of the segment. */
  readonly name: string
  readonly change: 'entered' | 'left'
  readonly atMs: number
}

/** Ends enrollments, and messages not yet granted, of campaigns that this event exits. */
export function exitCampaigns(scope: FoldScope, person: Person, eventName: string): void {
  for (const campaign of scope.definitions.campaignsExitedBy(eventName)) {
    endEnrollment(scope, person, campaign.name, 'exited')
    closeMessages(scope, person, (name) => name === campaign.name)
  }
}

/**
 * Ends what has not been granted yet, since it goes on elsewhere: all of it, and open messages with
 * it, or only the enrollments that are meant.
 */
export function endAllEnrollments(
  scope: FoldScope,
  person: Person,
  isMeant?: (enrollment: Enrollment) => boolean,
): void {
  for (const enrollment of Object.values(person.enrollments)) {
    if (isMeant !== undefined && !isMeant(enrollment)) continue
    endEnrollment(scope, person, enrollment.campaign, 'merged')
  }
  if (isMeant === undefined) closeMessages(scope, person, () => true)
}

/** Goes on with an enrollment that began elsewhere; what is due by now is taken at once. */
export function resumeEnrollment(
  scope: FoldScope,
  person: Person,
  campaign: Campaign,
  enrollment: Enrollment,
): void {
  person.enrollments[campaign.name] = enrollment
  if (enrollment.dueAtMs <= scope.nowMs) takeSteps(scope, person, campaign, enrollment)
  else scope.view.addTimer(timerKey(enrollment.dueAtMs, person.key, `enrollment:${campaign.name}`))
}

export function startByEvent(scope: FoldScope, person: Person, trigger: TriggerRef): void {
  for (const campaign of scope.definitions.campaignsStartedByEvent(trigger.name)) {
    startEnrollment(scope, person, campaign, trigger)
  }
}

/**
 * Tells of entries to and exits from segments, in the profile and by a record each, and starts what
 * they trigger. Not called for what a backfill, a late event or new rules bring about.
 */
export function crossSegments(
  scope: FoldScope,
  person: Person,
  crossings: readonly Crossing[],
): void {
  for (const crossing of crossings) {
    const { segment, isEntry } = crossing
    const told = person.crossings ?? []
    told.push([segment, isEntry ? 1 : 0, scope.nowMs])
    person.crossings = told.slice(-crossingCountMax)
    const skeleton: MembershipSkeleton = {
      name: segment,
      change: isEntry ? 'entered' : 'left',
      atMs: scope.nowMs,
    }
    send(scope, { kind: 'membership', key: person.key, skeleton })
    for (const campaign of scope.definitions.campaignsStartedBySegment(crossing)) {
      startEnrollment(scope, person, campaign, {
        kind: isEntry ? 'segment-entry' : 'segment-exit',
        name: segment,
        offset: scope.offset,
        atMs: scope.nowMs,
      })
    }
  }
}

/** Fires the timer of an enrollment; answers whether the person changed. */
export function continueEnrollment(
  scope: FoldScope,
  person: Person,
  campaignName: string,
): boolean {
  const enrollment = person.enrollments[campaignName]
  if (enrollment === undefined || enrollment.dueAtMs !== scope.nowMs) return false
  const campaign = scope.definitions.campaigns.get(campaignName)
  if (campaign === undefined) {
    endEnrollment(scope, person, campaignName, 'ended')
    return true
  }
  takeSteps(scope, person, campaign, enrollment)
  return true
}

function startEnrollment(
  scope: FoldScope,
  person: Person,
  campaign: Campaign,
  trigger: TriggerRef,
): void {
  if (Object.hasOwn(person.enrollments, campaign.name)) return
  const place = `${scope.view.partition}:${trigger.offset}:${trigger.atMs}`
  const enrollment: Enrollment = {
    enrollmentId: hashId('enrollment', campaign.name, person.key, place),
    campaign: campaign.name,
    step: 0,
    startedAtMs: scope.nowMs,
    dueAtMs: scope.nowMs,
    trigger,
  }
  person.enrollments[campaign.name] = enrollment
  countCampaign(scope.meta, campaign.name, 'enrolled')
  takeSteps(scope, person, campaign, enrollment)
}

/** Takes steps until one waits or the campaign ends. */
function takeSteps(
  scope: FoldScope,
  person: Person,
  campaign: Campaign,
  enrollment: Enrollment,
): void {
  for (let taken = 0; taken < stepCountMax; taken++) {
    const step = campaign.steps[enrollment.step]
    if (step === undefined) {
      delete person.enrollments[campaign.name]
      countCampaign(scope.meta, campaign.name, 'completed')
      return
    }
    const index = enrollment.step++
    if (step.kind === 'send') makeMessage(scope, person, enrollment, index, step)
    else if (step.waitMs > 0) {
      enrollment.dueAtMs = scope.nowMs + step.waitMs
      const what = `enrollment:${campaign.name}`
      scope.view.addTimer(timerKey(enrollment.dueAtMs, person.key, what))
      return
    }
  }
  assert(false, 'a campaign has fewer steps than the bound')
}

function makeMessage(
  scope: FoldScope,
  person: Person,
  enrollment: Enrollment,
  index: number,
  step: Extract<Step, { kind: 'send' }>,
): void {
  const hash = hashId('message', enrollment.campaign, enrollment.enrollmentId, String(index))
  const messageId = `${scope.view.partition.toString(36).padStart(2, '0')}-${hash}`
  const message: Message = {
    messageId,
    personKey: person.key,
    campaign: enrollment.campaign,
    enrollmentId: enrollment.enrollmentId,
    step: index,
    template: step.template,
    topic: step.topic,
    trigger: enrollment.trigger,
    dueAtMs: scope.nowMs,
    notAfterMs: scope.nowMs + step.notAfterMs,
    freshWithinMs: step.freshWithinMs,
    recommendationCount: step.recommendationCount,
    definitionsHash: scope.definitions.hash,
    state: { kind: 'due', attempt: 0 },
    outcomes: {},
  }
  writeMessage(scope, message)
  setPresent(scope, duePrefix + messageId, true)
  person.openMessages[messageId] = enrollment.campaign
  countCampaign(scope.meta, enrollment.campaign, 'due')
  scope.effects.push({ kind: 'message-due', messageId, personKey: person.key })
}

export function endEnrollment(
  scope: FoldScope,
  person: Person,
  campaign: string,
  how: string,
): void {
  const enrollment = person.enrollments[campaign]
  if (enrollment === undefined) return
  scope.view.removeTimer(timerKey(enrollment.dueAtMs, person.key, `enrollment:${campaign}`))
  delete person.enrollments[campaign]
  countCampaign(scope.meta, campaign, how)
}

/** A message that is no longer open is refused when it is claimed. */
function closeMessages(
  scope: FoldScope,
  person: Person,
  isClosed: (campaign: string) => boolean,
): void {
  for (const [messageId, campaign] of Object.entries(person.openMessages)) {
    if (!isClosed(campaign)) continue
    delete person.openMessages[messageId]
    countCampaign(scope.meta, campaign, 'closed-before-grant')
  }
}
