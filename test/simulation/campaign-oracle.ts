/**
 * Who should have got which message of the campaigns that events start, worked out from the log by
 * the words of the definitions: trigger, wait, exit; late, backfill and repeats start nothing; one
 * passage at a time; a passage goes where its person goes, with its wait, unless there is one of
 * the same campaign, or an exit since it began. Compared with the messages made, one by one.
 *
 * Who goes where is not worked out here: the log tells it, by the parts that partitions sent each
 * other and the events they forwarded (see `identity-oracle.ts` for whether they should have).
 */

import { graceMs } from '../../src/process/fold-event.ts'
import type { PartSkeleton } from '../../src/process/send-part.ts'
import { loadMessages } from './check-delivery.ts'
import type { DrawnWorld, Feature } from './drawn-world.ts'
import { type NaivePartition, type NaiveRecord, numberOf, outboxIdOf } from './naive-log.ts'
import type { Scene } from './simulate.ts'
import { dayMs, hourMs } from './world-definitions.ts'

interface Plan {
  /** Waits before, between and behind sends: a number waits, `send` sends. */
  readonly steps: readonly (number | 'send')[]
  readonly trigger: string
  readonly exit?: string
}

type Plans = Readonly<Record<string, Plan>>

/** The same facts as `world-documents.ts`, written apart. */
const plansBy: Partial<Record<Feature, Plans>> = {
  'the first definitions': {
    'cart-reminder': {
      trigger: 'Product Added',
      steps: [4 * hourMs, 'send'],
      exit: 'Order Completed',
    },
    thanks: { trigger: 'Order Completed', steps: ['send'] },
  },
  'the later definitions': {
    'cart-reminder': {
      trigger: 'Product Added',
      steps: [6 * hourMs, 'send'],
      exit: 'Order Completed',
    },
    thanks: { trigger: 'Order Completed', steps: ['send', dayMs, 'send'] },
  },
}

/** By the version of the definitions; 0 before the first. */
function plansOf({ features }: DrawnWorld): readonly Plans[] {
  const isHeld = (campaign: string): boolean => features.has(`campaign ${campaign}` as Feature)
  const held = Object.entries(plansBy).flatMap(([name, plans]) => {
    if (!features.has(name as Feature)) return []
    return [Object.fromEntries(Object.entries(plans).filter(([campaign]) => isHeld(campaign)))]
  })
  return [{}, ...held]
}

/** The only exit there is. */
const exitName = 'Order Completed'

interface Passage {
  step: number
  dueMs: number
  readonly startedMs: number
  /** Where it began, if not with who has it. */
  readonly fromKey?: string
}

/** What a part that was sent carries, as far as campaigns go. */
interface Carried {
  readonly passages: ReadonlyMap<string, Passage>
  /** Newest exit by the part in which it is. */
  readonly exits: ReadonlyMap<string, number>
}

export async function checkCampaigns(
  scene: Scene,
  partitions: readonly NaivePartition[],
): Promise<void> {
  const expected = new Oracle(partitions, plansOf(scene.drawn)).expect().sort()
  const made: string[] = []
  for (const { campaign, personKey, step, dueAtMs, trigger } of (
    await loadMessages(scene)
  ).values()) {
    if (trigger.kind === 'event') made.push(nameMessage(campaign, personKey, step, dueAtMs))
  }
  const [left, right] = [countOf(expected), countOf(made)]
  for (const name of new Set([...expected, ...made])) {
    const [wanted, found] = [left.get(name) ?? 0, right.get(name) ?? 0]
    if (wanted !== found) {
      scene.observer.violate('campaign', `${found} messages where ${wanted} are due: ${name}`)
    }
  }
}

function nameMessage(campaign: string, key: string, step: number, dueMs: number): string {
  return `${campaign} step ${step} to ${key} at ${dueMs}`
}

function countOf(names: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
  return counts
}

interface Walked {
  readonly records: readonly NaiveRecord[]
  readonly partition: number
  nextIndex: number
  version: number
  /** Nothing is due in this partition before; 0 where that has to be looked up. */
  quietUntilMs: number
}

/** Walks all partitions, each as far as another needs it: a part is sent before it is taken in. */
class Oracle {
  readonly #messages: string[] = []
  readonly #walked: readonly Walked[]
  readonly #plans: readonly Plans[]
  /** By person, then by campaign. */
  readonly #passages = new Map<string, Map<string, Passage>>()
  /** In which partition a person is. */
  readonly #homes = new Map<string, number>()
  /** By person, then by part: the newest exit. */
  readonly #exits = new Map<string, Map<string, number>>()
  /** What the records that one record made are, by the place of that one. */
  readonly #children = new Map<string, NaiveRecord[]>()
  readonly #carried = new Map<string, Carried>()

  constructor(partitions: readonly NaivePartition[], plans: readonly Plans[]) {
    this.#plans = plans
    this.#walked = partitions.map(({ records }, partition) => ({
      records,
      partition,
      nextIndex: 0,
      version: 0,
      quietUntilMs: 0,
    }))
    for (const each of partitions.flatMap(({ records }) => records)) {
      const { outbox } = each.record
      if (outbox === undefined || each.isRepeat) continue
      const place = `${outbox.source}:${outbox.offset}`
      this.#children.set(place, [...(this.#children.get(place) ?? []), each])
    }
  }

  expect(): string[] {
    for (const walked of this.#walked) this.#walkTo(walked, walked.records.length)
    return this.#messages
  }

  #walkTo(walked: Walked, count: number): void {
    while (walked.nextIndex < count) {
      const each = walked.records[walked.nextIndex]
      walked.nextIndex++
      if (each !== undefined) this.#take(walked, each)
    }
  }

  #take(walked: Walked, each: NaiveRecord): void {
    const { record, foldMs, isSkipped, isRepeat } = each
    this.#fireTimers(walked, foldMs)
    if (isSkipped || isRepeat) return
    const { key, kind } = record
    if (kind === 'definitions') walked.version = numberOf(record.skeleton, 'version')
    const children = this.#children.get(`${walked.partition}:${record.offset}`) ?? []
    if (kind === 'identity-part') this.#takePart(walked, each, children)
    for (const child of children) {
      const isOwn = (child.record.skeleton as PartSkeleton).fromKey === key
      const isMove = partOf(child)?.takenFrom === undefined
      if (child.record.kind === 'identity-part' && isOwn && isMove) this.#move(child, key)
    }
    if (kind === 'identity-taken-out') this.#returnParts(children, key)
    const isForwarded = children.some((child) => child.record.kind === 'forwarded')
    const isNew = kind === 'event' && each.isNewEvent
    if (!isForwarded && (isNew || kind === 'forwarded')) this.#apply(walked, each)
  }

  #fireTimers(walked: Walked, foldMs: number): void {
    while (walked.quietUntilMs <= foldMs) {
      let first: { key: string; campaign: string; passage: Passage } | undefined
      for (const [key, passages] of this.#passages) {
        if (!this.#isOf(walked, key)) continue
        for (const [campaign, passage] of passages) {
          if (first === undefined || passage.dueMs < first.passage.dueMs) {
            first = { key, campaign, passage }
          }
        }
      }
      walked.quietUntilMs = first?.passage.dueMs ?? Number.POSITIVE_INFINITY
      if (first === undefined || first.passage.dueMs > foldMs) return
      this.#walk(walked, first.key, first.campaign, first.passage, first.passage.dueMs)
    }
  }

  #isOf(walked: Walked, key: string): boolean {
    return this.#homes.get(key) === walked.partition
  }

  /** Those of a person, to be changed. */
  #passagesOf(walked: Walked, key: string): Map<string, Passage> {
    walked.quietUntilMs = 0
    this.#homes.set(key, walked.partition)
    const known = this.#passages.get(key) ?? new Map<string, Passage>()
    this.#passages.set(key, known)
    return known
  }

  #exitsOf(key: string): Map<string, number> {
    const known = this.#exits.get(key) ?? new Map<string, number>()
    this.#exits.set(key, known)
    return known
  }

  #walk(walked: Walked, key: string, campaign: string, passage: Passage, nowMs: number): void {
    const { steps = [] } = this.#plans[walked.version]?.[campaign] ?? {}
    for (;;) {
      const index = passage.step++
      const step = steps[index]
      if (step === undefined) {
        this.#passages.get(key)?.delete(campaign)
        return
      }
      if (step === 'send') this.#messages.push(nameMessage(campaign, key, index, nowMs))
      else {
        passage.dueMs = nowMs + step
        return
      }
    }
  }

  #apply(walked: Walked, { record, foldMs }: NaiveRecord): void {
    const { key, kind } = record
    const event = JSON.parse(Buffer.from(record.body).toString()) as {
      readonly name: string
      readonly occurredAtMs: number
    }
    const passages = this.#passagesOf(walked, key)
    if (event.name === exitName) {
      const partKey = kind === 'event' ? key : textOfPart(record.skeleton)
      const exits = this.#exitsOf(key)
      exits.set(partKey, Math.max(exits.get(partKey) ?? 0, event.occurredAtMs))
    }
    const mayStart =
      kind === 'event' && !record.isBackfill && foldMs - event.occurredAtMs <= graceMs
    const plan = Object.entries(this.#plans[walked.version] ?? {})
    for (const [campaign, { exit }] of plan) if (exit === event.name) passages.delete(campaign)
    for (const [campaign, { trigger }] of plan) {
      if (trigger !== event.name || !mayStart || passages.has(campaign)) continue
      const passage: Passage = { step: 0, dueMs: foldMs, startedMs: foldMs }
      passages.set(campaign, passage)
      this.#walk(walked, key, campaign, passage, foldMs)
    }
  }

  /** A person goes to another, with all they have. */
  #move(child: NaiveRecord, key: string): void {
    if (partOf(child)?.keys.length === 0) return
    const id = outboxIdOf(child.record) ?? ''
    const passages = this.#passages.get(key) ?? new Map<string, Passage>()
    this.#carried.set(id, { passages, exits: this.#exits.get(key) ?? new Map() })
    this.#passages.delete(key)
    this.#exits.delete(key)
  }

  /** Parts go back to their keys, with the passages that came by them. */
  #returnParts(children: readonly NaiveRecord[], key: string): void {
    for (const child of children) {
      const part = partOf(child)
      if (part?.takenFrom !== key) continue
      const passages = new Map<string, Passage>()
      for (const [campaign, passage] of this.#passages.get(key) ?? []) {
        if (passage.fromKey !== part.fromKey) continue
        passages.set(campaign, passage)
        this.#passages.get(key)?.delete(campaign)
      }
      const exits = new Map<string, number>()
      const exitMs = this.#exits.get(key)?.get(part.fromKey)
      if (exitMs !== undefined) exits.set(part.fromKey, exitMs)
      this.#exits.get(key)?.delete(part.fromKey)
      this.#carried.set(outboxIdOf(child.record) ?? '', { passages, exits })
    }
  }

  #takePart(walked: Walked, each: NaiveRecord, children: readonly NaiveRecord[]): void {
    const { record, foldMs } = each
    const { source = 0, offset = 0 } = record.outbox ?? {}
    // What another partition sent is known once that one is walked to where it did.
    const from = this.#walked[source]
    if (from !== undefined && from !== walked) {
      const isPast = (each: NaiveRecord): boolean => each.record.offset <= offset
      this.#walkTo(from, from.records.findLastIndex(isPast) + 1)
    }
    const carried = this.#carried.get(outboxIdOf(record) ?? '')
    if (carried === undefined) return
    const { key } = record
    const part = partOf(each)
    const passedOn = children.find(
      (child) => partOf(child)?.fromKey === part?.fromKey && child.record.key !== part?.fromKey,
    )
    if (passedOn !== undefined) {
      this.#carried.set(outboxIdOf(passedOn.record) ?? '', carried)
      return
    }
    const exits = this.#exitsOf(key)
    for (const [partKey, atMs] of carried.exits) {
      exits.set(partKey, Math.max(exits.get(partKey) ?? 0, atMs))
    }
    this.#returnParts(children, key)
    const passages = this.#passagesOf(walked, key)
    const hasExited = (campaign: string, { startedMs }: Passage): boolean =>
      this.#plans[walked.version]?.[campaign]?.exit !== undefined &&
      [...exits.values()].some((atMs) => atMs >= startedMs)
    for (const [campaign, passage] of passages) {
      if (hasExited(campaign, passage)) passages.delete(campaign)
    }
    for (const [
      campaign,
      { step, dueMs, startedMs, fromKey = part?.fromKey ?? '' },
    ] of carried.passages) {
      const passage: Passage = { step, dueMs, startedMs, fromKey }
      if (passages.has(campaign) || hasExited(campaign, passage)) continue
      passages.set(campaign, passage)
      if (dueMs <= foldMs) this.#walk(walked, key, campaign, passage, foldMs)
    }
  }
}

function partOf({ record }: NaiveRecord): PartSkeleton | undefined {
  return record.kind === 'identity-part' ? (record.skeleton as PartSkeleton) : undefined
}

function textOfPart(skeleton: unknown): string {
  return (skeleton as { readonly partKey: string }).partKey
}
