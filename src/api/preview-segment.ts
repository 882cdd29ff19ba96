/**
 * How many people a rule would take, before it is applied: by a sample, with an interval.
 *
 * A partition holds the people whose keys hash to it, and the hash knows nothing of what people do.
 * So whole partitions, beginning at one that follows from the rule, are a random sample. They are
 * taken until `sampleCountMin` people are looked at; where there are fewer, all are, and the count
 * is exact. Of partitions far larger than that only people of some hashes are judged: all their
 * keys are read, and memory stays bounded.
 *
 * The count is the share of the sample times the people there are. Its interval is Wilson's
 * (`wilson.ts`) for 95 percent, which takes people for independent of each other.
 */

import { murmur3 } from '../lib/hash.ts'
import { findFilling } from '../process/fill-property.ts'
import { decodeJson } from '../process/meta.ts'
import {
  type ComputedInForce,
  computedKey,
  decodeInForce,
  nothingComputed,
} from '../profile/computed/computed-trait.ts'
import { viewComputed } from '../profile/computed/view-computed.ts'
import { decodePerson, type PersonTraits, personPrefix, traitPrefix } from '../profile/person.ts'
import { viewPerson } from '../profile/view-person.ts'
import { evaluateRule } from '../segment/evaluate.ts'
import { Facts } from '../segment/facts.ts'
import { parseRule } from '../segment/parse-rule.ts'
import type { Rule } from '../segment/rule.ts'
import type { RuleFault } from '../segment/rule-reader.ts'
import { namesOf, type RuleNames } from '../segment/segment.ts'
import { wilsonInterval } from '../segment/wilson.ts'
import {
  eventsFrom,
  type IsListed,
  readInForce,
  readListed,
  type SegmentDeps,
} from './segment-answer.ts'

export const sampleCountDefault = 10_000
export const sampleCountMax = 100_000
const pageCount = 500
/** Partitions with more people than so many samples are thinned. */
const thinFrom = 2

export interface Preview {
  /** People looked at, and those of them that the rule takes. */
  readonly sampleCount: number
  readonly metCount: number
  /** People there are, as far as the sample tells devices from people. */
  readonly peopleCount: number
  readonly count: number
  readonly countLow: number
  readonly countHigh: number
  /** True where all people were looked at. */
  readonly isExact: boolean
  /** Of some people that it takes. */
  readonly examples: readonly string[]
  /** `event/property` that no rule in force names: the sample has none of it. */
  readonly propertiesNotKept: readonly string[]
  /** As of a segment in force: see segment-answer.ts. */
  readonly eventsFrom?: string
}

export type PreviewAnswer =
  | { readonly kind: 'preview'; readonly preview: Preview }
  | { readonly kind: 'refused'; readonly faults: readonly RuleFault[] }

const exampleCountMax = 5

interface Sample {
  keyCount: number
  personCount: number
  metCount: number
  readonly examples: string[]
}

export async function previewSegment(
  deps: SegmentDeps,
  content: unknown,
  sampleCountMin: number,
): Promise<PreviewAnswer> {
  const { metas, definitions } = await readInForce(deps)
  const parsed = parseRule(content)
  if (parsed.kind === 'refused') return parsed
  const names = namesOf(parsed.rule)
  const counted = await readCounted(deps)
  const faults = [
    ...names.segments
      .filter((name) => !definitions.hasSegment(name))
      .map((name): RuleFault => ({ path: '', says: `names the unknown segment ${name}` })),
    ...names.traits
      .filter((name) => counted.some((inForce) => viewComputed([], inForce).isPending(name)))
      .map((name): RuleFault => ({ path: '', says: `sees ${name}, whose past is not in yet` })),
    ...fillingOf(names, counted).map(
      (name): RuleFault => ({ path: '', says: `names ${name}, whose past is not in yet` }),
    ),
  ]
  if (faults.length > 0) return { kind: 'refused', faults }

  const keyTotal = metas.reduce((sum, meta) => sum + (meta?.counts.people ?? 0), 0)
  const sample: Sample = { keyCount: 0, personCount: 0, metCount: 0, examples: [] }
  const { partitionCount } = deps.place
  const first = murmur3(JSON.stringify(content)) % partitionCount
  let isExact = true
  for (let turn = 0; turn < partitionCount; turn++) {
    if (sample.personCount >= sampleCountMin) {
      isExact = false
      break
    }
    const partition = (first + turn) % partitionCount
    const meta = metas[partition]
    if (meta === undefined) continue
    const keepOneOf = Math.floor(meta.counts.people / (thinFrom * sampleCountMin)) || 1
    if (keepOneOf > 1) isExact = false
    const isListed = await readListed(deps, meta, names.lists)
    const nowMs = Math.max(meta.foldMs, deps.clock.nowMs())
    const inForce = counted[partition]
    const look = { partition, rule: parsed.rule, keepOneOf, isListed, nowMs, inForce }
    await lookAt(deps, look, sample)
  }
  const propertiesNotKept = [...names.properties].flatMap(([event, properties]) => {
    const kept = definitions.plan.propertiesOf(event)
    return [...properties].filter((name) => !kept.includes(name)).map((name) => `${event}/${name}`)
  })
  const nowMs = Math.max(metas[0]?.foldMs ?? 0, deps.clock.nowMs())
  const [inForce = nothingComputed] = counted
  const missing = eventsFrom(definitions, inForce, { rule: parsed.rule, nowMs })
  const given = { isExact, propertiesNotKept, ...missing }
  return { kind: 'preview', preview: estimate(sample, keyTotal, given) }
}

/** Returns each `event/property` of a rule that a partition is still filled with. */
function fillingOf(
  { properties }: RuleNames,
  counted: readonly ComputedInForce[],
): readonly string[] {
  const named = counted
    .flatMap((inForce) => findFilling(inForce))
    .filter(([event, property]) => properties.get(event)?.has(property) === true)
  return [...new Set(named.map((each) => each.join('/')))]
}

/** Returns what each partition counts and keeps. */
async function readCounted({ place }: SegmentDeps): Promise<readonly ComputedInForce[]> {
  const partitions = Array.from({ length: place.partitionCount }, (_, partition) => partition)
  return await Promise.all(
    partitions.map(async (partition) => {
      const [bytes] = await place.state.get(partition, [computedKey])
      return decodeInForce(bytes)
    }),
  )
}

interface Look {
  readonly partition: number
  readonly rule: Rule
  readonly keepOneOf: number
  readonly isListed: IsListed
  readonly nowMs: number
  readonly inForce: ComputedInForce | undefined
}

async function lookAt({ place }: SegmentDeps, look: Look, sample: Sample): Promise<void> {
  const { partition, rule, keepOneOf, isListed, nowMs, inForce } = look
  const { state } = place
  for (let after = ''; ; ) {
    const page = await state.scan(partition, personPrefix, after, pageCount)
    const kept = page.filter(
      ({ key }) => keepOneOf === 1 || murmur3(`preview ${key}`) % keepOneOf === 0,
    )
    const traitKeys = kept.map(({ key }) => traitPrefix + key.slice(personPrefix.length))
    const traits = await state.get(partition, traitKeys)
    for (const [index, { value }] of kept.entries()) {
      sample.keyCount++
      const person = decodePerson(value)
      if (person.pointer !== undefined || person.version === 0) continue
      sample.personCount++
      const stored = traits[index]
      const own = stored === undefined ? {} : decodeJson<PersonTraits>(stored)
      const view = viewPerson(person, own, inForce)
      const facts = new Facts(view, (list) => isListed(list, view.identities))
      if (!evaluateRule(rule, facts, nowMs).isMember) continue
      sample.metCount++
      if (sample.examples.length < exampleCountMax) sample.examples.push(person.key)
    }
    if (page.length < pageCount) return
    after = page.at(-1)?.key ?? ''
  }
}

function estimate(
  { keyCount, personCount, metCount, examples }: Sample,
  keyTotal: number,
  given: Pick<Preview, 'isExact' | 'propertiesNotKept' | 'eventsFrom'>,
): Preview {
  const { isExact } = given
  const peopleShare = keyCount === 0 ? 0 : personCount / keyCount
  const peopleCount = isExact ? personCount : Math.round(keyTotal * peopleShare)
  const share = personCount === 0 ? 0 : metCount / personCount
  const { low, high } = wilsonInterval(metCount, personCount)
  return {
    sampleCount: personCount,
    metCount,
    peopleCount,
    count: isExact ? metCount : Math.round(share * peopleCount),
    countLow: isExact ? metCount : Math.floor(low * peopleCount),
    countHigh: isExact ? metCount : Math.ceil(high * peopleCount),
    examples,
    ...given,
  }
}
