/**
 * Passages of one person that go on at another, since both turned out to be one.
 *
 * Who fills a basket on a device and only then logs in keeps the reminder: the passage ends at the
 * device, ungranted, and goes on at the user with the same trigger, its wait counted from when it
 * began. At most once: its id follows from the place of the trigger, and where the user has a
 * passage of the campaign already, that one stays. An exit that the other did since it began ends
 * it, as if all had happened at one place.
 */

import type { Campaign } from '../campaign/campaign.ts'
import { hashId } from '../lib/hash.ts'
import type { Enrollment, Person } from '../profile/person.ts'
import { countCampaign } from './meta.ts'
import type { FoldScope } from './scope.ts'
import { endEnrollment, resumeEnrollment } from './trigger.ts'

/** Takes over passages that ended elsewhere, from the person led by `fromKey`. */
export function takeOverEnrollments(
  scope: FoldScope,
  person: Person,
  running: readonly Enrollment[],
  fromKey: string,
): void {
  for (const one of running) {
    const campaign = scope.definitions.campaigns.get(one.campaign)
    const isOver =
      campaign === undefined ||
      Object.hasOwn(person.enrollments, one.campaign) ||
      hasExited(person, campaign, one)
    if (isOver) {
      countCampaign(scope.meta, one.campaign, 'merged-over')
      continue
    }
    const { partition = scope.view.partition, offset, atMs } = one.trigger
    const place = `${partition}:${offset}:${atMs}`
    const enrollmentId = hashId('enrollment', one.campaign, person.key, place)
    const enrollment: Enrollment = { ...one, enrollmentId, fromKey: one.fromKey ?? fromKey }
    countCampaign(scope.meta, one.campaign, 'carried')
    resumeEnrollment(scope, person, campaign, enrollment)
  }
}

/** Ends passages whose exit another part of the person did, which has only come to be theirs. */
export function endExited(scope: FoldScope, person: Person): void {
  for (const one of Object.values(person.enrollments)) {
    const campaign = scope.definitions.campaigns.get(one.campaign)
    if (campaign === undefined || !hasExited(person, campaign, one)) continue
    endEnrollment(scope, person, one.campaign, 'exited')
  }
}

function hasExited({ parts }: Person, { exits }: Campaign, { startedAtMs }: Enrollment): boolean {
  return exits.some((name) =>
    parts.some(({ totals }) => {
      const total = Object.hasOwn(totals, name) ? totals[name] : undefined
      return total !== undefined && total[3] >= startedAtMs
    }),
  )
}
