/**
 * What a person buys next, on the RetailRocket buyers' subset: one later purchase per person, of an
 * item that the person's events do not name. The blend beside what is popular and what the person
 * viewed last.
 *
 *     node bench/recommend-buyers.ts <folder with events.csv.gz and held-out-purchases.csv.gz>
 *
 * Weights are fitted without the purchases held out: in the last fifth of the events, each first
 * meeting of a person with an item that they buy later is predicted before it is learned. Items
 * that the person has met are left out of all answers: a reminder of those is another question.
 */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { type Blend, createBlend } from '../src/recommend/blend.ts'
import { defaultWeights, onlyWeights } from '../src/recommend/blend-weights.ts'
import { fitWeights, type WeightSample } from '../src/recommend/evaluate/fit-weights.ts'
import type { Interaction, InteractionKind } from '../src/recommend/recommender.ts'
import { printFigure } from './figure.ts'

const kinds: Readonly<Record<string, InteractionKind>> = {
  view: 'view',
  addtocart: 'cart',
  transaction: 'purchase',
}
const countMax = 20
const activityCountMax = 50
const fitShare = 0.2

main(process.argv[2])

function main(folder: string | undefined): void {
  if (folder === undefined) throw new Error('give the folder of the RetailRocket buyers')
  const events = readRows(join(folder, 'events.csv.gz')).map(
    ([seconds, profileId = '', event = '', itemId = '']): Interaction => ({
      ...{ profileId, itemId },
      kind: kinds[event] ?? 'view',
      occurredAtMs: Number(seconds) * 1000,
    }),
  )
  const heldOut = new Map<string, string>()
  for (const [profileId = '', itemId = ''] of readRows(join(folder, 'held-out-purchases.csv.gz'))) {
    heldOut.set(profileId, itemId)
  }
  const index = createBlend()
  const { samples, byPerson } = learn(index, events)
  const weights = fitWeights(samples, defaultWeights)
  process.stderr.write(`${samples.length} samples; ${JSON.stringify(weights)}\n`)
  const nowMs = events.at(-1)?.occurredAtMs ?? 0
  const known = new Set(events.map(({ itemId }) => itemId))
  const possible = [...heldOut.values()].filter((itemId) => known.has(itemId)).length
  const print = (name: string, value: number): void =>
    printFigure({ bench: `recommend-buyers-${name}`, value, unit: 'HR@20' })
  const scoreWith = (given: typeof weights): number => {
    return hitRate(heldOut, (profileId) => {
      const activity = byPerson.get(profileId) ?? []
      return index
        .recommend({
          activity: activity.slice(-activityCountMax),
          weights: given,
          nowMs,
          countMax,
          excludeItemIds: new Set(activity.map(({ itemId }) => itemId)),
          isAllowed: () => true,
        })
        .map(({ itemId }) => itemId)
    })
  }
  print('blend-fitted', scoreWith(weights))
  print('blend-shipped', scoreWith(defaultWeights))
  print('popularity', popularity(events, heldOut, byPerson))
  print('trending', scoreWith(onlyWeights('trending')))
  for (const name of ['session-neighbours', 'co-visitation', 'two-steps'] as const) {
    print(name, scoreWith(onlyWeights(name)))
  }
  print('bought-together', scoreWith(onlyWeights('bought-together')))
  print('last-viewed', lastViewed(heldOut, byPerson))
  print('possible', possible / heldOut.size)
}

/** Learns all events, and samples what is bought later before it is met first. */
function learn(index: Blend, events: readonly Interaction[]) {
  const byPerson = new Map<string, Interaction[]>()
  const bought = new Set<string>()
  for (const { profileId, itemId, kind } of events) {
    if (kind === 'purchase') bought.add(`${profileId} ${itemId}`)
  }
  const samples: WeightSample[] = []
  const met = new Set<string>()
  const from = events.length * (1 - fitShare)
  for (const [nth, interaction] of events.entries()) {
    const { profileId, itemId, occurredAtMs } = interaction
    const activity = byPerson.get(profileId) ?? []
    const pair = `${profileId} ${itemId}`
    if (nth >= from && activity.length > 0 && !met.has(pair) && bought.has(pair)) {
      const sample = index.sharesOf(activity.slice(-activityCountMax), itemId, occurredAtMs)
      if (sample.row >= 0) samples.push(sample)
    }
    met.add(pair)
    index.learn(interaction)
    activity.push(interaction)
    byPerson.set(profileId, activity)
  }
  return { samples, byPerson }
}

function popularity(
  events: readonly Interaction[],
  heldOut: ReadonlyMap<string, string>,
  byPerson: ReadonlyMap<string, readonly Interaction[]>,
): number {
  const counts = new Map<string, number>()
  for (const { itemId, kind } of events) {
    if (kind === 'purchase') counts.set(itemId, (counts.get(itemId) ?? 0) + 1)
  }
  const ordered = [...counts].sort(([, left], [, right]) => right - left).map(([itemId]) => itemId)
  return hitRate(heldOut, (profileId) => {
    const own = new Set((byPerson.get(profileId) ?? []).map(({ itemId }) => itemId))
    return ordered.filter((itemId) => !own.has(itemId)).slice(0, countMax)
  })
}

function lastViewed(
  heldOut: ReadonlyMap<string, string>,
  byPerson: ReadonlyMap<string, readonly Interaction[]>,
): number {
  return hitRate(heldOut, (profileId) => {
    const activity = byPerson.get(profileId) ?? []
    return [...new Set(activity.map(({ itemId }) => itemId).reverse())].slice(0, countMax)
  })
}

function hitRate(
  heldOut: ReadonlyMap<string, string>,
  answer: (profileId: string) => readonly string[],
): number {
  let hits = 0
  for (const [profileId, itemId] of heldOut) if (answer(profileId).includes(itemId)) hits += 1
  return hits / heldOut.size
}

function readRows(path: string): readonly (readonly string[])[] {
  const lines = gunzipSync(readFileSync(path)).toString('utf8').trim().split('\n')
  return lines.slice(1).map((line) => line.trim().split(','))
}
