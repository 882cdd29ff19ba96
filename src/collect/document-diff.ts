/** What differs between two JSON documents, for people: bounded in count, depth and length. */

import { pointerOf } from '../event/parse-event.ts'
import { isJsonObject } from '../lib/json.ts'

export interface Change {
  /** JSON pointer. */
  readonly path: string
  /** JSON text, cut where it is long; absent where there was, or is, nothing. */
  readonly before?: string
  readonly after?: string
}

const changeCountMax = 20
const depthMax = 24
const textLengthMax = 200

/** Returns the innermost places at which `after` is another one than `before`. */
export function diffDocuments(before: unknown, after: unknown): readonly Change[] {
  const changes: Change[] = []
  addChanges(before, after, [], changes)
  return changes
}

function addChanges(
  before: unknown,
  after: unknown,
  path: readonly (string | number)[],
  changes: Change[],
): void {
  if (before === after || changes.length >= changeCountMax) return
  if (path.length < depthMax && isJsonObject(before) && isJsonObject(after)) {
    const names = new Set([...Object.keys(before), ...Object.keys(after)])
    for (const name of names) {
      addChanges(ownValue(before, name), ownValue(after, name), [...path, name], changes)
    }
    return
  }
  if (path.length < depthMax && Array.isArray(before) && Array.isArray(after)) {
    const length = Math.max(before.length, after.length)
    for (let index = 0; index < length; index++) {
      addChanges(before[index], after[index], [...path, index], changes)
    }
    return
  }
  const [from, to] = [briefJson(before), briefJson(after)]
  if (from === to && typeof before !== 'object') return
  changes.push({
    path: pointerOf(path),
    ...(from === undefined ? {} : { before: from }),
    ...(to === undefined ? {} : { after: to }),
  })
}

function ownValue(object: Readonly<Record<string, unknown>>, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined
}

function briefJson(value: unknown): string | undefined {
  if (value === undefined) return undefined
  try {
    const text = JSON.stringify(value)
    return text.length > textLengthMax ? `${text.slice(0, textLengthMax)}...` : text
  } catch (error) {
    // Nested deeper than can be written.
    if (error instanceof RangeError) return '...'
    throw error
  }
}
