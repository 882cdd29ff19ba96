/**
 * Computed traits at the end: all are filled, also those that came with the change of definitions;
 * and each says what a look at the person's totals and retained activity says, which are kept by
 * other code and checked against the log. The same for the property that a segment names.
 */

import type { FillState } from '../../src/process/fill-state.ts'
import type { PartitionMeta } from '../../src/process/meta.ts'
import { activityCountMax, countActivity } from '../../src/profile/activity-pack.ts'
import { decodeInForce, type TraitInForce } from '../../src/profile/computed/computed-trait.ts'
import { type ComputedAnswer, viewComputed } from '../../src/profile/computed/view-computed.ts'
import type { Person } from '../../src/profile/person.ts'
import { decodePerson } from '../../src/profile/person.ts'
import type { Activity, PersonView } from '../../src/profile/person-view.ts'
import { viewPerson } from '../../src/profile/view-person.ts'
import type { StateReader } from '../../src/state/state-store.ts'
import { loadMessages } from './check-delivery.ts'
import type { Scene } from './simulate.ts'
import { dayMs, minuteMs, partitionCount } from './world-definitions.ts'
import { traitNamesOf } from './world-documents.ts'

/** Tells whether new rules, or the past of new traits, have not reached everybody yet. */
export async function isCatchingUp(store: StateReader, partition: number): Promise<boolean> {
  const [fill, meta] = await store.get(partition, ['part/fill', 'part/meta'])
  const { jobs = [] } = parse<Partial<FillState>>(fill)
  return jobs.length > 0 || parse<Partial<PartitionMeta>>(meta).evaluation !== undefined
}

function parse<Value>(bytes: Uint8Array | undefined): Value {
  return JSON.parse(Buffer.from(bytes ?? '{}').toString()) as Value
}

export async function checkComputed(scene: Scene): Promise<void> {
  const { store, observer } = scene
  const readyAtMs = new Map<number, number>()
  const expectedNames = traitNamesOf(scene.drawn).sort()
  const latelyMs = (scene.drawn.features.has('the later definitions') ? 2 : 3) * dayMs
  for (let partition = 0; partition < partitionCount; partition++) {
    const [bytes, meta] = await store.get(partition, ['part/computed', 'part/meta'])
    const inForce = decodeInForce(bytes)
    const { foldMs } = parse<PartitionMeta>(meta)
    for (const { name, readyAtMs: atMs } of inForce.traits) {
      if (name === 'views_lately' && atMs !== undefined) readyAtMs.set(partition, atMs)
      if (atMs === undefined) observer.violate('liveness', `trait ${name} was never filled`)
    }
    const hasPrices = scene.drawn.features.has('segment spenders')
    const propertyCount = inForce.properties?.length ?? 0
    if (propertyCount !== (hasPrices ? 1 : 0)) {
      observer.violate('liveness', `partition ${partition} keeps ${propertyCount} properties`)
    }
    for (const { event, property, readyAtMs: atMs } of inForce.properties ?? []) {
      if (atMs === undefined) observer.violate('liveness', `${event}/${property} was never filled`)
    }
    const names = inForce.traits.map(({ name }) => name).sort()
    if (names.join() !== expectedNames.join()) {
      observer.violate('liveness', `partition ${partition} has the traits ${names}`)
    }
    for (const { value } of await store.scan(partition, 'person/', '', 10_000)) {
      const person = decodePerson(value)
      if (person.pointer !== undefined) continue
      const view = viewPerson(person, {}, inForce)
      const says = hasPrices ? comparePrices(view) : undefined
      if (says !== undefined) observer.violate('computed', `${person.key}: ${says}`)
      for (const answer of viewComputed(person.parts, inForce).answersAt(foldMs)) {
        const differs = compare(answer, { person, view, nowMs: foldMs, latelyMs })
        if (differs !== undefined) observer.violate('computed', `${person.key}: ${differs}`)
      }
    }
  }
  await checkTriggers(scene, readyAtMs)
}

/** While the trait that its segment sees is filled, a campaign starts for nobody. */
async function checkTriggers(scene: Scene, readyAtMs: ReadonlyMap<number, number>): Promise<void> {
  const versions = await scene.store.get(0, ['part/computed'])
  const since = decodeInForce(versions[0]).traits.find(isWatched)?.sinceVersion
  for (const { campaign, trigger, messageId } of (await loadMessages(scene)).values()) {
    if (campaign !== 'watch-offer' || since === undefined) continue
    const partition = Number.parseInt(messageId.slice(0, 2), 36)
    const changed = scene.observer.log[partition]?.find(
      ({ kind, skeleton }) =>
        kind === 'definitions' && (skeleton as { version: number }).version === since,
    )
    const isPending =
      changed !== undefined &&
      trigger.offset > changed.offset &&
      trigger.atMs < (readyAtMs.get(partition) ?? Infinity)
    if (isPending) observer(scene, `${messageId} was started by a segment that is pending`)
  }
}

function isWatched({ name }: TraitInForce): boolean {
  return name === 'views_lately'
}

function observer(scene: Scene, says: string): void {
  scene.observer.violate('computed', says)
}

/** Of whoever views one thing, its price is what it comes to. */
function comparePrices({ activity }: PersonView): string | undefined {
  const views = activity.filter(({ name }) => name === 'Product Viewed')
  const wrong = views.find(({ value, properties }) => properties?.['price'] !== value)
  if (wrong === undefined) return undefined
  return `a view of ${wrong.value} has the price ${JSON.stringify(wrong.properties)}`
}

interface Looked {
  readonly person: Person
  readonly view: PersonView
  readonly nowMs: number
  /** What `views_lately` looks back. */
  readonly latelyMs: number
}

/** Says what is wrong; undefined where nothing is, or where too little is retained to tell. */
function compare(
  { trait, value, isExact }: ComputedAnswer,
  { person, view, nowMs, latelyMs }: Looked,
): string | undefined {
  const { totals } = view
  const totalOf = (name: string) => totals[name] ?? { count: 0, valueSum: 0, lastAtMs: 0 }
  // Lines of a large cart or order may have been taken out; then only totals can tell.
  const isWhole = person.parts.every((part) => countActivity(part.activity) < activityCountMax)
  const within = (name: string, lengthMs: number): readonly Activity[] =>
    view.activity.filter(
      (each) =>
        each.name === name && each.occurredAtMs > nowMs - lengthMs && each.occurredAtMs <= nowMs,
    )
  const eventsOf = (entries: readonly Activity[]): number =>
    new Set(entries.map((each) => `${each.occurredAtMs}/${each.eventRef}`)).size
  const viewed = view.activity.filter(({ name }) => name === 'Product Viewed')
  const itemsOf = (entries: readonly Activity[]) =>
    new Set(entries.flatMap(({ itemId }) => itemId ?? [])).size
  const expectations: Readonly<Record<string, () => unknown>> = {
    views: () => totalOf('Product Viewed').count,
    spent: () => totalOf('Order Completed').valueSum,
    orders: () => totalOf('Order Completed').count,
    spent_each: () => {
      const { count, valueSum } = totalOf('Order Completed')
      return count === 0 ? 0 : valueSum / count
    },
    ...(isWhole
      ? {
          views_lately: () => eventsOf(within('Product Viewed', latelyMs)),
          session_views: () => eventsOf(sessionOf(view, nowMs)),
          last_item: () => lastOf(viewed),
          orders_lately: () => eventsOf(within('Order Completed', 10 * dayMs)),
          session_items: () => itemsOf(sessionOf(view, nowMs)),
          items: () =>
            itemsOf([...viewed, ...view.activity.filter(({ name }) => name === 'Product Added')]),
          favourite: () => favouriteOf(viewed),
        }
      : {}),
  }
  const expected = expectations[trait.name]?.()
  if (!isExact) return `${trait.name} is not exact`
  if (!Object.hasOwn(expectations, trait.name)) {
    return isWhole ? `${trait.name} is compared with nothing` : undefined
  }
  return value === expected ? undefined : `${trait.name} is ${value}, not ${expected}`
}

/** Views since the last pause of half an hour; none where that is now. */
function sessionOf(view: PersonView, nowMs: number): readonly Activity[] {
  let fromMs = nowMs
  // What came of an email is no visit.
  const visits = view.activity.filter(
    ({ name, occurredAtMs }) => occurredAtMs <= nowMs && !/^Email |^Unsubscribed$/.test(name),
  )
  for (const { occurredAtMs } of visits.toReversed()) {
    if (fromMs - occurredAtMs >= 30 * minuteMs) break
    fromMs = occurredAtMs
  }
  return visits.filter(
    ({ name, occurredAtMs }) =>
      name === 'Product Viewed' && occurredAtMs >= fromMs && occurredAtMs > nowMs - dayMs,
  )
}

function lastOf(viewed: readonly Activity[]): string | undefined {
  const named = viewed.filter(({ itemId }) => itemId !== undefined)
  return named.sort((left, right) => left.occurredAtMs - right.occurredAtMs).at(-1)?.itemId
}

function favouriteOf(viewed: readonly Activity[]): string | undefined {
  // Some views name no item.
  const named = viewed.filter(({ itemId }) => itemId !== undefined)
  const groups = [...Map.groupBy(named, ({ itemId = '' }) => itemId)].map(([itemId, all]) => ({
    itemId,
    count: all.length,
    lastMs: Math.max(...all.map(({ occurredAtMs }) => occurredAtMs)),
  }))
  groups.sort(
    (left, right) =>
      right.count - left.count ||
      right.lastMs - left.lastMs ||
      (left.itemId < right.itemId ? 1 : -1),
  )
  return groups[0]?.itemId
}
