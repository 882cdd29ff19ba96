/**
 * The order of keys: by their UTF-8 bytes. JavaScript compares UTF-16 units, which differs above
 * U+D7FF.
 */

import { assert } from '../lib/assert.ts'
import { commitCountMax, keyBytesMax, type PartitionCommit, valueBytesMax } from './state-store.ts'

const asciiLast = 0x7f
const surrogateFirst = 0xd800
const surrogateLast = 0xdfff
const codePointLast = 0x10ffff

/** Greater than every key: a key of the greatest size is shorter. */
const behindAllKeys = String.fromCodePoint(codePointLast).repeat(keyBytesMax / 4 + 1)

/** Returns a number below, at or above 0 as `left` comes before, with or after `right`. */
export function compareKeys(left: string, right: string): number {
  const length = Math.min(left.length, right.length)
  for (let at = 0; at < length; at++) {
    const leftUnit = left.charCodeAt(at)
    const rightUnit = right.charCodeAt(at)
    if (leftUnit !== rightUnit) return rankOf(leftUnit) - rankOf(rightUnit)
  }
  return left.length - right.length
}

/** Keys of a scan are at or above `from` and below `to`. */
export interface KeyRange {
  readonly from: string
  readonly to: string
}

/** Returns the range of the keys with `prefix` that are greater than `after`. */
export function rangeOf(prefix: string, after: string): KeyRange {
  // No key comes between `after` and `after` with a NUL behind it.
  const from = compareKeys(after, prefix) < 0 ? prefix : `${after}\0`
  return { from, to: behindPrefix(prefix) }
}

/** Stops a commit that no adapter could keep whole, before anything of it is written. */
export function assertCommitFits(commit: PartitionCommit): void {
  assert(commit.changes.length <= commitCountMax, 'a commit holds at most commitCountMax changes')
  for (const { key, value } of commit.changes) {
    assert(key !== '' && key.isWellFormed(), 'a key is text')
    assert(
      key.length * 3 <= keyBytesMax || Buffer.byteLength(key) <= keyBytesMax,
      'a key holds at most keyBytesMax',
    )
    assert((value?.length ?? 0) <= valueBytesMax, 'a value holds at most valueBytesMax')
  }
}

/** Surrogates stand for code points above all others. */
function rankOf(unit: number): number {
  return unit >= surrogateFirst && unit <= surrogateLast ? unit + 0x10000 : unit
}

function behindPrefix(prefix: string): string {
  const unit = prefix.charCodeAt(prefix.length - 1)
  // A prefix mostly ends with a separator.
  if (unit < asciiLast) return prefix.slice(0, -1) + String.fromCharCode(unit + 1)
  const points = Array.from(prefix, (character) => character.codePointAt(0) ?? 0)
  while (points.at(-1) === codePointLast) points.pop()
  const last = points.pop()
  if (last === undefined) return behindAllKeys
  const next = last + 1 === surrogateFirst ? surrogateLast + 1 : last + 1
  return String.fromCodePoint(...points, next)
}
