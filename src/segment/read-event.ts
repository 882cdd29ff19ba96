/** How conditions on events are read: counts in a window, and sequences. */

import { todaysEventName } from '../event/normal-form.ts'
import { isJsonObject, type JsonObject } from '../lib/json.ts'
import { activityCountMax } from '../profile/activity-pack.ts'
import { parseWindowMs, windowMsMax } from './duration.ts'
import { readTests } from './read-comparison.ts'
import {
  type CountTest,
  countOperators,
  type EventFilter,
  type EventRule,
  type PropertyFilter,
  ruleLimits,
  type SequenceRule,
  type SequenceStep,
} from './rule.ts'
import { isFiniteNumber, pointer, type RuleReader } from './rule-reader.ts'

const itemNames: ReadonlySet<string> = new Set(['item', 'product_id', 'productId', 'sku'])

export function readEvent(
  reader: RuleReader,
  input: JsonObject,
  path: string,
): EventRule | undefined {
  reader.refuseOthers(input, ['event', 'count', 'within', 'where'], path)
  const filter = readFilter(reader, input, path)
  const isInWindow = input['within'] !== undefined
  const tests = readCount(reader, input['count'], `${path}/count`, isInWindow)
  const windowMs = readWithin(reader, input, path)
  if (input['where'] !== undefined && !isInWindow) {
    const says = 'needs `within`: totals of all time know no items, values or properties'
    reader.fault(`${path}/where`, says)
  }
  if (filter === undefined) return undefined
  const rule = { kind: 'event', ...filter, tests } as const
  return windowMs === undefined ? rule : { ...rule, windowMs }
}

export function readSequence(
  reader: RuleReader,
  input: JsonObject,
  path: string,
): SequenceRule | undefined {
  reader.refuseOthers(input, ['sequence', 'same', 'within'], path)
  const list = input['sequence']
  if (!Array.isArray(list) || list.length < 2 || list.length > ruleLimits.stepCountMax) {
    const says = `must be a list of 2 to ${ruleLimits.stepCountMax} steps`
    return reader.fault(`${path}/sequence`, says)
  }
  const steps: SequenceStep[] = []
  for (const [index, entry] of list.entries()) {
    const at = `${path}/sequence/${index}`
    if (index > 0 && reader.isFullWith(1, at)) return undefined
    const step = readStep(reader, entry, at)
    if (step === undefined) continue
    if (index === 0 && step.isAbsent) reader.fault(`${at}/not`, 'the first step must happen')
    if (index === 0 && step.withinMs !== undefined) {
      reader.fault(`${at}/within`, 'the first step follows none; give `within` of the sequence')
    }
    steps.push(step)
  }
  const same = readSame(reader, input['same'], `${path}/same`)
  const windowMs = readWithin(reader, input, path)
  return {
    kind: 'sequence',
    steps,
    ...(same === undefined ? {} : { same }),
    ...(windowMs === undefined ? {} : { windowMs }),
  }
}

function readSame(reader: RuleReader, input: unknown, path: string): string | undefined {
  const named = input === undefined ? undefined : reader.readName(input, path)
  return named !== undefined && itemNames.has(named) ? 'item' : named
}

function readStep(reader: RuleReader, input: unknown, path: string): SequenceStep | undefined {
  if (!isJsonObject(input)) {
    return reader.fault(path, 'a step is {event: NAME} or {not: {event: NAME}, within: 2h}')
  }
  const isAbsent = input['not'] !== undefined
  const inner = isAbsent ? input['not'] : input
  const at = isAbsent ? `${path}/not` : path
  if (!isJsonObject(inner)) return reader.fault(at, 'must be {event: NAME}')
  reader.refuseOthers(input, isAbsent ? ['not', 'within'] : ['event', 'where', 'within'], path)
  if (isAbsent) reader.refuseOthers(inner, ['event', 'where'], at)
  const filter = readFilter(reader, inner, at)
  const withinMs = readWithin(reader, input, path)
  if (filter === undefined) return undefined
  return { ...filter, isAbsent, ...(withinMs === undefined ? {} : { withinMs }) }
}

function readFilter(reader: RuleReader, input: JsonObject, path: string): EventFilter | undefined {
  const named = reader.readName(input['event'], `${path}/event`)
  const where = readWhere(reader, input['where'], `${path}/where`)
  return named === undefined ? undefined : { event: todaysEventName(named), ...where }
}

function readWithin(reader: RuleReader, input: JsonObject, path: string): number | undefined {
  const windowMs = parseWindowMs(input['within'])
  if (input['within'] !== undefined && windowMs === undefined) {
    const dayCountMax = windowMsMax / 86_400_000
    reader.fault(`${path}/within`, `must be like 10s, 5m, 4h or 30d, at most ${dayCountMax}d`)
  }
  return windowMs
}

function readCount(
  reader: RuleReader,
  input: unknown,
  path: string,
  isInWindow: boolean,
): readonly CountTest[] {
  if (input === undefined) return [{ operator: 'atLeast', value: 1 }]
  if (!isJsonObject(input) || Object.keys(input).length === 0) {
    reader.fault(path, 'must be an object like { atLeast: 1 }')
    return []
  }
  reader.refuseOthers(input, countOperators, path)
  const tests: CountTest[] = []
  for (const operator of countOperators) {
    const value = input[operator]
    if (value === undefined) continue
    const isCount = typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
    if (!isCount) reader.fault(`${path}/${operator}`, 'must be a whole number from 0')
    else if (isInWindow && value > activityCountMax) {
      const says = `must be at most ${activityCountMax} with \`within\`: so many are retained`
      reader.fault(`${path}/${operator}`, says)
    } else tests.push({ operator, value })
  }
  return tests
}

type Where = Omit<EventFilter, 'event'>

function readWhere(reader: RuleReader, where: unknown, path: string): Where {
  if (where === undefined) return {}
  if (!isJsonObject(where)) {
    reader.fault(path, 'must be an object with item, valueAtLeast, properties, or several of them')
    return {}
  }
  reader.refuseOthers(where, ['item', 'valueAtLeast', 'properties'], path)
  const read: { -readonly [Field in keyof Where]: Where[Field] } = {}
  if (where['item'] !== undefined) {
    const itemId = reader.readName(where['item'], `${path}/item`)
    if (itemId !== undefined) read.itemId = itemId
  }
  const valueMin = where['valueAtLeast']
  if (valueMin !== undefined) {
    if (isFiniteNumber(valueMin)) read.valueMin = valueMin
    else reader.fault(`${path}/valueAtLeast`, 'must be a number')
  }
  if (where['properties'] !== undefined) {
    read.properties = readProperties(reader, where['properties'], `${path}/properties`)
  }
  return read
}

function readProperties(
  reader: RuleReader,
  input: unknown,
  path: string,
): readonly PropertyFilter[] {
  const names = isJsonObject(input) ? Object.keys(input) : []
  if (!isJsonObject(input) || names.length === 0 || names.length > ruleLimits.propertyCountMax) {
    const says = `must be an object of 1 to ${ruleLimits.propertyCountMax} properties`
    reader.fault(path, `${says}, like { category: { is: shoes } }`)
    return []
  }
  return names.map((property) => {
    const at = `${path}/${pointer(property)}`
    const tests = input[property]
    if (property === '' || property.length > ruleLimits.textLengthMax) {
      reader.fault(at, `a property has a name of at most ${ruleLimits.textLengthMax} characters`)
    }
    if (isJsonObject(tests)) {
      const read = readTests(reader, tests, at, { others: [], of: 'a property' })
      for (const test of read) {
        if (!('time' in test) || 'atMs' in test.time) continue
        reader.fault(`${at}/${test.operator}`, 'a property is compared with a fixed time')
      }
      return { property, tests: read }
    }
    reader.fault(at, 'must be an object of tests, like { is: shoes }')
    return { property, tests: [] }
  })
}
