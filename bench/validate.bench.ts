/**
 * What checking an event against its schema costs: a schema of 32 KB with 100 properties, and
 * events that fill all of them. The whole way from parsed JSON to the judged event is measured too:
 * limits, normal form, time, and the schema.
 *
 * Figures are microseconds of CPU per event: they hardly depend on who else uses the machine. The
 * bare baseline reads the JSON of the same event, which no collector can leave out.
 */

import type { Event } from '../src/event/event.ts'
import { defaultEventLimits } from '../src/event/event-limits.ts'
import { type ParsedEvent, parseEvent } from '../src/event/parse-event.ts'
import { createTrackingPlan } from '../src/event/tracking-plan.ts'
import type { JsonObject } from '../src/lib/json.ts'
import { mean, printFigure } from './figure.ts'

const propertyCount = 100
const schemaBytes = 32 * 1024
const eventCount = 20_000
const roundCount = 5
/** The bound that the bench fails above. */
const validateMicrosMax = 20
const receivedAtMs = Date.UTC(2026, 10, 23, 9)

export async function benchValidate(): Promise<void> {
  const schema = wideSchema()
  const events = { 'Wide Event': { mode: 'strict', schema: { kind: 'inline', schema } } } as const
  const created = createTrackingPlan({ mode: 'strict', events })
  if (created.kind === 'refused') throw new Error(`the bench's schema: ${created.faults[0]?.says}`)
  const { plan } = created
  const text = JSON.stringify(wideEvent())
  const read = (): unknown => JSON.parse(text)
  const input = read()
  const deps = {
    ...{ sourceId: 'web', receivedAtMs, limits: defaultEventLimits },
    makeEventId: () => 'made',
  }
  const parse = (): ParsedEvent => parseEvent(input, deps)
  const event = eventOf(parse())
  const validate = (): void => {
    const fault = plan.validate(event)
    if (fault !== undefined) throw new Error(`the bench's event: ${fault.path} ${fault.says}`)
  }
  const [bare, parsed, validated]: [number[], number[], number[]] = [[], [], []]
  cpuMicros(validate)
  for (let round = 0; round < roundCount; round++) {
    bare.push(cpuMicros(read))
    parsed.push(cpuMicros(parse))
    validated.push(cpuMicros(validate))
  }
  const bytes = JSON.stringify(schema).length
  const note =
    `schema of ${bytes} bytes, ${propertyCount} properties; ` + `event of ${text.length} bytes`
  const unit = 'us of CPU per event'
  const baseline = mean(bare)
  printFigure({ bench: 'validate', value: mean(validated), unit, baseline, note })
  const whole = 'limits, normal form and time, without the schema'
  printFigure({ bench: 'validate-parse', value: mean(parsed), unit, baseline, note: whole })
  if (mean(validated) > validateMicrosMax) {
    throw new Error(`an event costs ${mean(validated)} us; at most ${validateMicrosMax}`)
  }
}

function cpuMicros(work: () => unknown): number {
  const before = process.cpuUsage()
  for (let count = 0; count < eventCount; count++) work()
  const used = process.cpuUsage(before)
  return (used.user + used.system) / eventCount
}

function eventOf(parsed: ParsedEvent): Event {
  if (parsed.kind === 'refused') throw new Error(`the bench's event: ${parsed.says}`)
  return parsed.event
}

/** One in ten of each kind of property that a plan of a shop has. */
const kinds: readonly (readonly [schema: JsonObject, value: (index: number) => unknown])[] = [
  [{ type: 'string', minLength: 1, maxLength: 100 }, (index) => `some text of ${index}`],
  [{ type: 'string', enum: ['small', 'medium', 'large', 'extra large'] }, () => 'large'],
  [{ type: 'string', pattern: '^[A-Z]{2}-\\d{4}$' }, (index) => `AB-${1000 + index}`],
  [{ type: 'string', format: 'date-time' }, () => '2026-11-23T09:00:00Z'],
  [{ type: 'string', format: 'uri' }, (index) => `https://shop.example/item/${index}`],
  [{ type: 'string', format: 'email' }, (index) => `person-${index}@shop.example`],
  [{ type: 'number', minimum: 0, maximum: 1e6 }, (index) => index + 0.5],
  [{ type: 'integer', minimum: 0 }, (index) => index],
  [{ type: 'boolean' }, (index) => index % 2 === 0],
  [
    { type: 'array', maxItems: 10, items: { type: 'string', maxLength: 20 } },
    () => ['one', 'two', 'three'],
  ],
]

function wideSchema(): JsonObject {
  const named = Array.from({ length: propertyCount }, (_, index) => {
    const [schema] = kinds[index % kinds.length] ?? [{}]
    return [`property_${index}`, { ...schema, description: '' }] as const
  })
  const schema = {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'object',
    required: named.slice(0, propertyCount / 2).map(([name]) => name),
    additionalProperties: false,
    properties: Object.fromEntries(named),
  }
  // What a plan's authors write about each property fills it up to its size.
  const left = schemaBytes - JSON.stringify(schema).length
  const description = 'x'.repeat(Math.floor(left / propertyCount))
  const described = named.map(([name, each]) => [name, { ...each, description }])
  return { ...schema, properties: Object.fromEntries(described) }
}

function wideEvent(): JsonObject {
  const properties = Array.from({ length: propertyCount }, (_, index) => {
    const [, fill] = kinds[index % kinds.length] ?? [{}, () => 0]
    return [`property_${index}`, fill(index)]
  })
  return {
    type: 'track',
    event: 'Wide Event',
    userId: 'ada',
    messageId: 'm1',
    timestamp: '2026-11-23T08:59:59Z',
    properties: Object.fromEntries(properties),
  }
}
