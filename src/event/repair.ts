/**
 * A repair: declared steps that turn a rejected document into one that can be taken.
 *
 * Pure, and total for what `parseRepair` made: it never throws, and shares with its input only what
 * it did not change. What it may do is bounded by a count of steps, not by time: values looked at
 * or copied, and units of text written. A step whose place is not there, or holds another kind of
 * value, leaves the document as it is; the collector judges the result anyway.
 */

import { isJsonObject } from '../lib/json.ts'
import { timeText } from '../lib/time-text.ts'
import { parseTimeMs } from './event-time.ts'

/** Names of a JSON pointer (RFC 6901); `*` is every item where the value is an array. */
export type Place = readonly string[]
export const everyItem = '*'

export const castTargets = ['number', 'text', 'boolean', 'time'] as const
export type CastTarget = (typeof castTargets)[number]

/** What a step asks of the value at its place. */
export type Match =
  | { readonly kind: 'equals'; readonly value: string | number | boolean | null }
  | { readonly kind: 'pattern'; readonly pattern: string }

export type RepairStep =
  | { readonly kind: 'set'; readonly at: Place; readonly to: unknown }
  /** Sets where there is nothing, or null. */
  | { readonly kind: 'default'; readonly at: Place; readonly to: unknown }
  | { readonly kind: 'remove'; readonly at: Place }
  /** `from` and `to` are within each value at `within`. */
  | { readonly kind: 'move'; readonly within: Place; readonly from: Place; readonly to: Place }
  | { readonly kind: 'cast'; readonly at: Place; readonly to: CastTarget }
  /** With a pattern, `to` is a text that takes the place of each match, as it is. */
  | { readonly kind: 'replace'; readonly at: Place; readonly match: Match; readonly to: unknown }
  /** Without a match: where there is anything. */
  | { readonly kind: 'drop-event'; readonly at: Place; readonly match?: Match }
  /** In the text of a body that is not JSON, before it is read. */
  | { readonly kind: 'replace-text'; readonly find: string; readonly to: string }

export interface Repair {
  readonly steps: readonly RepairStep[]
  /** What it was read from, to be passed on. */
  readonly written: unknown
}

export type Repaired =
  | { readonly kind: 'document'; readonly document: unknown }
  | { readonly kind: 'dropped' }
  | { readonly kind: 'refused'; readonly says: string }

const valuesMax = 100_000
const unitsMax = 1024 * 1024
/** A longer text is matched by no pattern; see `safe-pattern.ts`. */
const patternTextLengthMax = 512

/** An edit answers this to take the value out. */
const gone = Symbol('gone')

class OverBudget extends Error {}

interface Work {
  valuesLeft: number
  unitsLeft: number
}

type Edit = (value: unknown) => unknown

/** Returns the document as the steps leave it, in their order. */
export function applyRepair(document: unknown, repair: Repair): Repaired {
  const work: Work = { valuesLeft: valuesMax, unitsLeft: unitsMax }
  try {
    let result = document
    for (const step of repair.steps) {
      if (step.kind === 'replace-text') continue
      if (step.kind === 'drop-event') {
        if (isFoundAt(result, step.at, step.match, work)) return { kind: 'dropped' }
      } else result = applyStep(result, step, work)
    }
    return { kind: 'document', document: result }
  } catch (error) {
    if (error instanceof OverBudget) return { kind: 'refused', says: error.message }
    throw error
  }
}

/** Returns the text as the steps for text leave it; undefined where none changes anything. */
export function repairText(text: string, repair: Repair): string | undefined {
  let result = text
  for (const step of repair.steps) {
    if (step.kind !== 'replace-text') continue
    const parts = result.split(step.find)
    const lengthNext = result.length + (parts.length - 1) * (step.to.length - step.find.length)
    if (lengthNext > unitsMax) return undefined
    result = parts.join(step.to)
  }
  return result === text ? undefined : result
}

function applyStep(
  document: unknown,
  step: Exclude<RepairStep, { kind: 'drop-event' | 'replace-text' }>,
  work: Work,
): unknown {
  const edit = (at: Place, how: Edit, makes = false): unknown =>
    editAt(document, at, { edit: how, makes, work })
  switch (step.kind) {
    case 'set':
      return edit(step.at, () => step.to, true)
    case 'default':
      return edit(step.at, (value) => value ?? step.to, true)
    case 'remove':
      return edit(step.at, (value) => (value === undefined ? value : gone))
    case 'move':
      return edit(step.within, (value) => moveWithin(value, step, work))
    case 'cast':
      return edit(step.at, (value) => cast(value, step.to))
    case 'replace':
      return edit(step.at, (value) => replace(value, step, work))
  }
}

interface Walk {
  readonly edit: Edit
  /** Whether objects that the place names are made where they are not there. */
  readonly makes: boolean
  readonly work: Work
}

/** Edits each value at the place. Returns `node` itself where nothing changes. */
function editAt(node: unknown, at: Place, walk: Walk): unknown {
  spend(walk.work, 1)
  const [name, ...rest] = at
  if (name === undefined) return walk.edit(node)
  if (Array.isArray(node)) return editItems(node, name, rest, walk)
  if (node === undefined && walk.makes && name !== everyItem) {
    const child = editAt(undefined, rest, walk)
    return child === undefined ? undefined : { [name]: child }
  }
  if (!isJsonObject(node)) return node
  const child: unknown = Object.hasOwn(node, name) ? node[name] : undefined
  if (child === undefined && !walk.makes) return node
  const next = editAt(child, rest, walk)
  if (next === child) return node
  const names = Object.keys(node)
  spend(walk.work, names.length)
  // Spread copies a name `__proto__` as what it is, a name.
  const copy: Record<string, unknown> = { ...node }
  if (next === gone) delete copy[name]
  else copy[name] = next
  return copy
}

function editItems(items: readonly unknown[], name: string, rest: Place, walk: Walk): unknown {
  const only = name === everyItem ? undefined : indexOf(name, items)
  if (only === undefined && name !== everyItem) return items
  spend(walk.work, items.length)
  let hasChanged = false
  const result: unknown[] = []
  for (const [index, item] of items.entries()) {
    const next = only === undefined || only === index ? editAt(item, rest, walk) : item
    if (next !== item) hasChanged = true
    if (next !== gone) result.push(next)
  }
  return hasChanged ? result : items
}

function indexOf(name: string, items: readonly unknown[]): number | undefined {
  const index = /^(0|[1-9]\d{0,8})$/.test(name) ? Number(name) : items.length
  return index < items.length ? index : undefined
}

/** Written first and taken away after: where it cannot be written, it stays. */
function moveWithin(
  value: unknown,
  { from, to }: { readonly from: Place; readonly to: Place },
  work: Work,
): unknown {
  const moved = valueAt(value, from, work)
  if (moved === undefined) return value
  const written = editAt(value, to, { edit: () => moved, makes: true, work })
  if (valueAt(written, to, work) !== moved) return value
  return editAt(written, from, { edit: () => gone, makes: false, work })
}

/** Of a place without `*`. */
function valueAt(node: unknown, at: Place, work: Work): unknown {
  let value = node
  for (const name of at) {
    spend(work, 1)
    if (Array.isArray(value)) {
      const index = indexOf(name, value)
      value = index === undefined ? undefined : value[index]
    } else value = isJsonObject(value) && Object.hasOwn(value, name) ? value[name] : undefined
  }
  return value
}

function isFoundAt(document: unknown, at: Place, match: Match | undefined, work: Work): boolean {
  let isFound = false
  const look: Edit = (value) => {
    isFound ||= value !== undefined && (match === undefined || isMatch(value, match))
    return value
  }
  editAt(document, at, { edit: look, makes: false, work })
  return isFound
}

function isMatch(value: unknown, match: Match): boolean {
  if (match.kind === 'equals') return value === match.value
  if (typeof value !== 'string' || value.length > patternTextLengthMax) return false
  return new RegExp(match.pattern, 'u').test(value)
}

function replace(
  value: unknown,
  step: { readonly match: Match; readonly to: unknown },
  work: Work,
): unknown {
  if (!isMatch(value, step.match)) return value
  if (step.match.kind === 'equals') return step.to
  const text = String(step.to)
  const result = String(value).replace(new RegExp(step.match.pattern, 'gu'), () => text)
  work.unitsLeft -= result.length
  if (work.unitsLeft < 0) throw new OverBudget('The repair writes more text than is allowed.')
  return result
}

/** Returns the value as another kind, or as it is where it cannot be one. */
function cast(value: unknown, to: CastTarget): unknown {
  switch (to) {
    case 'number': {
      if (typeof value === 'boolean') return value
      const text = typeof value === 'string' ? value.trim() : ''
      const number = /^[+-]?\d{1,30}(\.\d{1,30})?([eE][+-]?\d{1,3})?$/.test(text)
        ? Number(text)
        : NaN
      return Number.isFinite(number) ? number : value
    }
    case 'text':
      return typeof value === 'number' || typeof value === 'boolean' ? String(value) : value
    case 'boolean':
      if (value === 'true' || value === '1' || value === 1) return true
      return value === 'false' || value === '0' || value === 0 ? false : value
    case 'time': {
      const atMs = parseTimeMs(value)
      return atMs === undefined ? value : timeText(atMs)
    }
  }
}

function spend(work: Work, count: number): void {
  work.valuesLeft -= count
  if (work.valuesLeft < 0) throw new OverBudget('The repair looks at more values than is allowed.')
}
