/**
 * Regular expressions in schemas, made harmless: V8 backtracks, so `(a+)+` on a text of 40 letters
 * runs for hours.
 *
 * Two guards. A pattern with a repeat inside a repeat, a choice inside a repeat, a back-reference,
 * or many unbounded repeats is refused. What is left costs at most the cube of the length of the
 * text, and texts longer than `textLengthMax` do not match at all.
 */

export const patternLengthMax = 256
/** The cube of this over six is some 22 million steps: under 0.1 s. */
const textLengthMax = 512
/** A repeat that may take this many is as slow as an unbounded one. */
const boundedCountMax = 100

interface Group {
  hasRepeat: boolean
  hasChoice: boolean
}

/** Returns why a pattern is refused, or nothing. */
export function findPatternFault(pattern: string): string | undefined {
  if (pattern.length > patternLengthMax) return `is longer than ${patternLengthMax} characters`
  try {
    new RegExp(pattern, 'u')
  } catch {
    return 'is not a regular expression'
  }
  const groups: Group[] = [{ hasRepeat: false, hasChoice: false }]
  let unboundedCount = 0
  let closed: Group | undefined
  for (let at = 0; at < pattern.length; at++) {
    const sign = pattern[at]
    const repeat = repeatAt(pattern, at)
    if (repeat !== undefined) {
      if (closed !== undefined && repeat.isMany && (closed.hasRepeat || closed.hasChoice)) {
        return 'repeats a group that holds a repeat or a choice'
      }
      if (repeat.isUnbounded) unboundedCount += 1
      for (const group of groups) group.hasRepeat ||= repeat.isVariable
      at = repeat.end
      closed = undefined
      continue
    }
    closed = undefined
    if (sign === '\\') {
      if (/[1-9k]/.test(pattern[at + 1] ?? '')) return 'refers back to a group'
      at += 1
    } else if (sign === '[') {
      at = endOfClass(pattern, at)
    } else if (sign === '(') {
      groups.push({ hasRepeat: false, hasChoice: false })
    } else if (sign === ')') {
      closed = groups.pop()
    } else if (sign === '|') {
      for (const group of groups) group.hasChoice = true
    }
  }
  const isAnchored = pattern.startsWith('^') && groups[0]?.hasChoice === false
  const countMax = isAnchored ? 3 : 2
  if (unboundedCount > countMax) return `has more than ${countMax} unbounded repeats`
  return undefined
}

/** Returns a test of texts up to a length; for Ajv's `code.regExp`. */
export function createBoundedPattern(
  pattern: string,
  flags: string,
): { test(text: string): boolean } {
  const expression = new RegExp(pattern, flags)
  return { test: (text) => text.length <= textLengthMax && expression.test(text) }
}

interface Repeat {
  readonly end: number
  readonly isVariable: boolean
  readonly isUnbounded: boolean
  readonly isMany: boolean
}

function repeatAt(pattern: string, at: number): Repeat | undefined {
  const sign = pattern[at]
  // The sign behind an opening bracket, as in `(?:`, is no repeat.
  if (sign === '?' && pattern[at - 1] === '(') return undefined
  const lazy = (end: number): number => (pattern[end + 1] === '?' ? end + 1 : end)
  if (sign === '*' || sign === '+') {
    return { end: lazy(at), isVariable: true, isUnbounded: true, isMany: true }
  }
  if (sign === '?') return { end: lazy(at), isVariable: true, isUnbounded: false, isMany: false }
  const bounds = sign === '{' ? /^\{(\d+)(,?)(\d*)\}/.exec(pattern.slice(at, at + 24)) : null
  if (bounds === null) return undefined
  const low = Number(bounds[1])
  const high = bounds[2] === '' ? low : bounds[3] === '' ? Infinity : Number(bounds[3])
  return {
    end: lazy(at + bounds[0].length - 1),
    isVariable: high > low,
    isUnbounded: high > low && high > boundedCountMax,
    isMany: high > 1,
  }
}

function endOfClass(pattern: string, from: number): number {
  let at = from + 1
  while (at < pattern.length && pattern[at] !== ']') at += pattern[at] === '\\' ? 2 : 1
  return at
}
