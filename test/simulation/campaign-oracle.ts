/**
 * Who should have got which message of the campaigns that events start, worked out from the log by
 * the words of the definitions: trigger, wait, exit; late, backfill and repeats start nothing; one
 * passage at a time; a device that a user claims loses its passages. Compared with the messages
 * made, one by one.
 */

import { graceMs } from '../../src/process/fold-event.ts'
import { loadMessages } from './check-delivery.ts'
import { type NaivePartition, numberOf } from './naive-log.ts'
import type { Scene } from './simulate.ts'
import { dayMs, hourMs } from './world-definitions.ts'

interface Plan {
  /** Waits before, between and behind sends: a number waits, `send` sends. */
  readonly steps: readonly (number | 'send')[]
  readonly trigger: string
  readonly exit?: string
}

/** By the version of the definitions; the same facts as `world-definitions.ts`, written apart. */
const plans: readonly Readonly<Record<string, Plan>>[] = [
  {},
  {
    'cart-reminder': {
      trigger: 'Product Added',
      steps: [4 * hourMs, 'send'],
      exit: 'Order Completed',
    },
    thanks: { trigger: 'Order Completed', steps: ['send'] },
  },
  {
    'cart-reminder': {
      trigger: 'Product Added',
      steps: [6 * hourMs, 'send'],
      exit: 'Order Completed',
    },
    thanks: { trigger: 'Order Completed', steps: ['send', dayMs, 'send'] },
  },
]

interface Passage {
  step: number
  dueMs: number
}

export async function checkCampaigns(
  scene: Scene,
  partitions: readonly NaivePartition[],
): Promise<void> {
  const expected = partitions.flatMap(expectMessages).sort()
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

/** Returns the passage that comes due first; of several at one instant the oldest. */
function firstOf(passages: ReadonlyMap<string, Passage>): [string, Passage] | undefined {
  let first: [string, Passage] | undefined
  for (const each of passages) {
    if (first === undefined || each[1].dueMs < first[1].dueMs) first = each
  }
  return first
}

function expectMessages({ records }: NaivePartition): readonly string[] {
  const messages: string[] = []
  const passages = new Map<string, Passage>()
  const claimed = new Set<string>()
  let version = 0
  const walk = (place: string, passage: Passage, nowMs: number): void => {
    const [campaign = '', key = ''] = place.split('|')
    const { steps = [] } = plans[version]?.[campaign] ?? {}
    for (;;) {
      const index = passage.step++
      const step = steps[index]
      if (step === undefined) {
        passages.delete(place)
        return
      }
      if (step === 'send') messages.push(nameMessage(campaign, key, index, nowMs))
      else {
        passage.dueMs = nowMs + step
        return
      }
    }
  }
  for (const { record, foldMs, isNewEvent, isSkipped, isRepeat } of records) {
    for (;;) {
      const first = firstOf(passages)
      if (first === undefined || first[1].dueMs > foldMs) break
      walk(first[0], first[1], first[1].dueMs)
    }
    if (isSkipped || isRepeat) continue
    const { key, kind } = record
    if (kind === 'definitions') version = numberOf(record.skeleton, 'version')
    if (kind === 'identity-claim') {
      claimed.add(key)
      for (const place of [...passages.keys()]) {
        if (place.endsWith(`|${key}`)) passages.delete(place)
      }
    }
    const isApplied = (kind === 'event' && isNewEvent) || kind === 'forwarded'
    if (!isApplied || claimed.has(key)) continue
    const event = JSON.parse(Buffer.from(record.body).toString()) as {
      readonly name: string
      readonly occurredAtMs: number
    }
    const mayStart =
      kind === 'event' && !record.isBackfill && foldMs - event.occurredAtMs <= graceMs
    for (const [campaign, { exit }] of Object.entries(plans[version] ?? {})) {
      if (exit === event.name) passages.delete(`${campaign}|${key}`)
    }
    for (const [campaign, { trigger }] of Object.entries(plans[version] ?? {})) {
      const place = `${campaign}|${key}`
      if (trigger !== event.name || !mayStart || passages.has(place)) continue
      const passage: Passage = { step: 0, dueMs: foldMs }
      passages.set(place, passage)
      walk(place, passage, foldMs)
    }
  }
  return messages
}
