/**
 * What a campaign is: what starts it, what it does, what ends it. Read from
 * `campaigns/<name>.yaml`.
 */

import { todaysEventName } from '../event/normal-form.ts'
import { parseDurationMs } from '../lib/duration.ts'
import { isJsonObject, type Json } from '../lib/json.ts'

export const campaignKinds = ['broadcast', 'triggered', 'journey'] as const
export type CampaignKind = (typeof campaignKinds)[number]

export type Trigger =
  | { readonly kind: 'event'; readonly event: string }
  | { readonly kind: 'segment-entry' | 'segment-exit'; readonly segment: string }

export type Step =
  | { readonly kind: 'wait'; readonly waitMs: number }
  | {
      readonly kind: 'send'
      readonly template: string
      readonly topic: string
      /** Greatest age of the profile shown. */
      readonly freshWithinMs: number
      /** How long after it is due the message may still be handed over. */
      readonly notAfterMs: number
      readonly recommendationCount: number
      /** Name of the recommender of `recommendations`; absent: the rules without a definition. */
      readonly recommender?: string
      /** Further lists of the message, in the order in which they choose. */
      readonly slots?: readonly SlotStep[]
    }

export interface SlotStep {
  /** As templates name it: `slots.NAME`. */
  readonly name: string
  readonly recommender: string
  readonly count: number
}

export interface Campaign {
  readonly name: string
  readonly kind: CampaignKind
  readonly trigger: Trigger
  readonly steps: readonly Step[]
  /** Names of events that end an enrollment. */
  readonly exits: readonly string[]
}

export interface Fault {
  readonly path: string
  readonly says: string
}

export const stepCountMax = 50
const slotCountMax = 10
const itemCountMax = 50
const waitMsMax = 366 * 24 * 3_600_000
const defaultFreshWithinMs = 60_000
const defaultNotAfterMs = 24 * 3_600_000

/** Reads a campaign, or says all that is wrong with it. */
export function parseCampaign(input: unknown):
  | { readonly kind: 'campaign'; readonly campaign: Campaign }
  | {
      readonly kind: 'refused'
      readonly faults: readonly Fault[]
    } {
  const faults: Fault[] = []
  const source = isJsonObject(input) ? input : {}
  if (!isJsonObject(input)) faults.push({ path: '', says: 'must be an object' })
  refuseUnknown(source, ['name', 'kind', 'trigger', 'steps', 'exit'], '', faults)
  const name = readName(source['name'], 'name', faults)
  const kind = campaignKinds.find((known) => known === source['kind']) ?? 'journey'
  if (source['kind'] !== undefined && kind !== source['kind']) {
    faults.push({ path: 'kind', says: `must be one of ${campaignKinds.join(', ')}` })
  }
  const trigger = readTrigger(source['trigger'], faults)
  const steps = readSteps(source['steps'], faults)
  const exits = readExits(source['exit'], faults)
  if (faults.length > 0 || trigger === undefined) return { kind: 'refused', faults }
  return { kind: 'campaign', campaign: { name, kind, trigger, steps, exits } }
}

function readTrigger(input: Json | undefined, faults: Fault[]): Trigger | undefined {
  if (isJsonObject(input)) {
    refuseUnknown(input, ['event', 'segment', 'on'], 'trigger', faults)
    if (typeof input['event'] === 'string') {
      return { kind: 'event', event: todaysEventName(input['event']) }
    }
    const on = input['on'] ?? 'entry'
    if (typeof input['segment'] === 'string' && (on === 'entry' || on === 'exit')) {
      return { kind: `segment-${on}`, segment: input['segment'] }
    }
  }
  faults.push({
    path: 'trigger',
    says: 'must be {event: NAME} or {segment: NAME, on: entry or exit}',
  })
  return undefined
}

function readSteps(input: Json | undefined, faults: Fault[]): readonly Step[] {
  if (!Array.isArray(input) || input.length === 0 || input.length > stepCountMax) {
    faults.push({ path: 'steps', says: `must be a list of 1 to ${stepCountMax} steps` })
    return []
  }
  const steps = input.flatMap((step: Json, index) => readStep(step, `steps[${index}]`, faults))
  if (!steps.some((step) => step.kind === 'send')) {
    faults.push({ path: 'steps', says: 'must have a send step' })
  }
  return steps
}

function readStep(input: Json, path: string, faults: Fault[]): readonly Step[] {
  if (isJsonObject(input) && input['wait'] !== undefined) {
    refuseUnknown(input, ['wait'], path, faults)
    const waitMs = parseDurationMs(input['wait'])
    if (waitMs !== undefined && waitMs <= waitMsMax) return [{ kind: 'wait', waitMs }]
    faults.push({ path: `${path}.wait`, says: 'must be a duration such as 4h, at most 366d' })
    return []
  }
  if (isJsonObject(input) && isJsonObject(input['send'])) {
    return readSend(input['send'], `${path}.send`, faults)
  }
  faults.push({ path, says: 'must be {wait: DURATION} or {send: {template, topic}}' })
  return []
}

function readSend(
  input: Readonly<Record<string, Json>>,
  path: string,
  faults: Fault[],
): readonly Step[] {
  const known = ['template', 'topic', 'freshWithin', 'notAfter', 'recommendations', 'slots']
  refuseUnknown(input, known, path, faults)
  const recommendations = readRecommendations(input['recommendations'], path, faults)
  const slots = readSlots(input['slots'], `${path}.slots`, faults)
  return [
    {
      kind: 'send',
      template: readName(input['template'], `${path}.template`, faults),
      topic: readName(input['topic'], `${path}.topic`, faults),
      freshWithinMs: readDuration(input, 'freshWithin', defaultFreshWithinMs, path, faults),
      notAfterMs: readDuration(input, 'notAfter', defaultNotAfterMs, path, faults),
      ...recommendations,
      ...(slots.length === 0 ? {} : { slots }),
    },
  ]
}

function readRecommendations(
  input: Json | undefined,
  path: string,
  faults: Fault[],
): { readonly recommendationCount: number; readonly recommender?: string } {
  const source = isJsonObject(input) ? input : {}
  const at = `${path}.recommendations`
  if (input !== undefined && !isJsonObject(input)) {
    faults.push({ path: at, says: 'must be {count: 4}' })
  }
  refuseUnknown(source, ['count', 'using'], at, faults)
  const recommendationCount = readCount(source['count'] ?? 0, `${at}.count`, faults)
  if (source['using'] === undefined) return { recommendationCount }
  return { recommendationCount, recommender: readName(source['using'], `${at}.using`, faults) }
}

function readSlots(input: Json | undefined, path: string, faults: Fault[]): readonly SlotStep[] {
  if (input === undefined) return []
  const isList = isJsonObject(input) && Object.keys(input).length <= slotCountMax
  if (!isList) {
    const says = `must be {NAME: {using: RECOMMENDER, count: 4}}, at most ${slotCountMax}`
    faults.push({ path, says })
    return []
  }
  return Object.entries(input).map(([name, slot]) => {
    const at = `${path}.${name}`
    const source = isJsonObject(slot) ? slot : {}
    refuseUnknown(source, ['using', 'count'], at, faults)
    if (!/^[a-z][a-z0-9_]{0,39}$/.test(name)) {
      faults.push({ path: at, says: 'must have a name of a-z, 0-9 and _, from a letter on' })
    }
    return {
      name,
      recommender: readName(source['using'], `${at}.using`, faults),
      count: readCount(source['count'] ?? -1, `${at}.count`, faults),
    }
  })
}

function readCount(input: Json, path: string, faults: Fault[]): number {
  const isCount = typeof input === 'number' && Number.isInteger(input)
  if (isCount && input >= 0 && input <= itemCountMax) return input
  faults.push({ path, says: `must be a whole number, 0 to ${itemCountMax}` })
  return 0
}

function readExits(input: Json | undefined, faults: Fault[]): readonly string[] {
  if (input === undefined) return []
  if (!Array.isArray(input)) {
    faults.push({ path: 'exit', says: 'must be a list of {event: NAME}' })
    return []
  }
  return input.flatMap((exit: Json, index) => {
    if (isJsonObject(exit) && typeof exit['event'] === 'string')
      return [todaysEventName(exit['event'])]
    faults.push({ path: `exit[${index}]`, says: 'must be {event: NAME}' })
    return []
  })
}

function readDuration(
  input: Readonly<Record<string, Json>>,
  name: string,
  defaultMs: number,
  path: string,
  faults: Fault[],
): number {
  if (input[name] === undefined) return defaultMs
  const ms = parseDurationMs(input[name])
  if (ms === undefined || ms === 0) {
    faults.push({ path: `${path}.${name}`, says: 'must be a duration such as 60s' })
  }
  return ms ?? defaultMs
}

function readName(input: Json | undefined, path: string, faults: Fault[]): string {
  if (typeof input === 'string' && /^[a-z0-9][a-z0-9-]{0,63}$/.test(input)) return input
  faults.push({ path, says: 'must be a name: a-z, 0-9 and -, at most 64 characters' })
  return ''
}

function refuseUnknown(
  input: Readonly<Record<string, Json>>,
  known: readonly string[],
  path: string,
  faults: Fault[],
): void {
  for (const name of Object.keys(input)) {
    if (known.includes(name)) continue
    faults.push({
      path: path === '' ? name : `${path}.${name}`,
      says: `is not known here; known are ${known.join(', ')}`,
    })
  }
}
