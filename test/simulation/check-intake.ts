/**
 * What came in: I1 (acknowledged is kept), I2 (each event ends once), I3 (order by key), and that
 * all came to rest.
 */

import type { NaivePartition } from './naive-log.ts'
import { textOf } from './naive-log.ts'
import type { Scene } from './simulate.ts'
import type { SentEvent } from './world.ts'

export function checkIntake(scene: Scene, partitions: readonly NaivePartition[]): void {
  const { world, observer, rejected, log } = scene
  observer.log.forEach((records, partition) => {
    if (records.length !== log.count(partition)) {
      observer.violate('I1', `partition ${partition} lost records`)
    }
  })
  if (world.activeCount > 0) observer.violate('liveness', `${world.activeCount} actors still try`)
  const logged = new Map<string, number>()
  for (const { records } of partitions) {
    for (const { record, isSkipped } of records) {
      if (record.kind !== 'event' || isSkipped) continue
      const eventId = textOf(record.skeleton, 'eventId')
      logged.set(eventId, (logged.get(eventId) ?? 0) + 1)
    }
  }
  for (const { call, answer } of world.sent) {
    const eventId = String(call.body['messageId'])
    const isLogged = logged.has(eventId)
    if (answer === 'none') observer.violate('I2', `${eventId} never had an answer`)
    if (answer === 'accepted' && !isLogged) observer.violate('I1', `${eventId} is not in the log`)
    if ((answer === 'accepted') !== call.isValid) {
      observer.violate('I2', `${eventId} was ${answer}, and is ${call.isValid ? 'valid' : 'not'}`)
    }
  }
  const rejectedCount = world.sent.filter(({ answer }) => answer === 'rejected').length
  const kept = [0, 1, 2].reduce((sum, partition) => sum + rejected.count(partition), 0)
  const { keptAgainCount, counts } = world
  if (kept !== rejectedCount + keptAgainCount || counts.rejected !== rejectedCount) {
    const again = `${kept} kept (${keptAgainCount} again)`
    observer.violate('I2', `${rejectedCount} rejected, ${again}, ${counts.rejected} counted`)
  }
  if (world.counts.accepted !== world.sent.length - rejectedCount) {
    observer.violate('I2', `${world.counts.accepted} counted as accepted`)
  }
  checkOrder(scene, partitions)
}

/**
 * One tracker sends one event after the other; the first copies of those of one key lie in that
 * order.
 */
function checkOrder(scene: Scene, partitions: readonly NaivePartition[]): void {
  const places = new Map<string, number>()
  for (const { records } of partitions) {
    for (const { record } of records) {
      const eventId = textOf(record.skeleton, 'eventId')
      if (record.kind === 'event' && !places.has(eventId)) places.set(eventId, record.offset)
    }
  }
  const last = new Map<string, number>()
  for (const sent of scene.world.sent) {
    if (sent.answer !== 'accepted' || sent.call.isRepeat) continue
    const eventId = String(sent.call.body['messageId'])
    const lane = `${keyOf(sent)} by ${eventId.split('-')[1]}`
    const offset = places.get(eventId) ?? 0
    if (offset <= (last.get(lane) ?? 0)) {
      scene.observer.violate('I3', `${eventId} of ${lane} lies before the one sent before it`)
    }
    last.set(lane, offset)
  }
}

export function keyOf({ call }: SentEvent): string {
  const { userId, anonymousId } = call.body
  return userId === undefined ? `anonymous:${String(anonymousId)}` : `user:${String(userId)}`
}
