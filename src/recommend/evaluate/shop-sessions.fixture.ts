/**
 * Sessions as a shop has them, drawn from a seed: a few items are met by many (power law), and
 * whoever looks at one goes on to some that go with it, back to what they saw, to another of its
 * shelf, or elsewhere. What goes with what changes with the weeks, as ranges and fashions do.
 */

import type { Random } from '../../lib/random.ts'
import type { SessionSet } from './evaluate-sessions.ts'

const itemCount = 1200
const shelfLength = 30
/** Items that go with one, the likeliest first. */
const partnerCount = 6
const weekCount = 13
/** Part of the partners that another takes the place of, each week. */
const changedShare = 0.2
const goOnShare = 0.78
const chances = { partner: 0.5, back: 0.17, shelf: 0.2 }

/** Draws sessions in time order; the last `testCount` are the test. */
export function drawSessions(
  random: Random,
  { trainCount, testCount }: { readonly trainCount: number; readonly testCount: number },
): SessionSet {
  const draw = (below: number): number => Math.floor(random.unit() * below)
  const popular = (below: number): number => Math.floor(below ** random.unit()) - 1
  // Neighbours on a shelf are of any popularity.
  const ranks = Array.from({ length: itemCount }, (_, rank) => rank)
  for (let at = ranks.length - 1; at > 0; at--) {
    const other = draw(at + 1)
    ;[ranks[at], ranks[other]] = [ranks[other] ?? 0, ranks[at] ?? 0]
  }
  const onShelfOf = (item: number): number => {
    return item - (item % shelfLength) + draw(shelfLength)
  }
  const partnerOf = (item: number): number => {
    return random.unit() < 0.8 ? onShelfOf(item) : (ranks[popular(itemCount)] ?? 0)
  }
  const partners = Array.from({ length: itemCount }, (_, item) =>
    Array.from({ length: partnerCount }, () => partnerOf(item)),
  )
  const next = (session: readonly number[], current: number): number => {
    const chance = random.unit()
    if (chance < chances.partner) return partners[current]?.[popular(partnerCount + 1)] ?? 0
    if (chance < chances.partner + chances.back) return session[draw(session.length)] ?? 0
    const isNear = chance < chances.partner + chances.back + chances.shelf
    return isNear ? onShelfOf(current) : (ranks[popular(itemCount)] ?? 0)
  }
  const allCount = trainCount + testCount
  const sessions = Array.from({ length: allCount }, (_, nth) => {
    if (nth % Math.ceil(allCount / weekCount) === 0 && nth > 0) {
      for (const [item, each] of partners.entries()) {
        for (const at of each.keys()) if (random.unit() < changedShare) each[at] = partnerOf(item)
      }
    }
    const session = [ranks[popular(itemCount)] ?? 0]
    while (random.unit() < goOnShare) session.push(next(session, session.at(-1) ?? 0))
    return session.map((item) => `item ${item}`)
  })
  return { train: sessions.slice(0, trainCount), test: sessions.slice(trainCount) }
}
