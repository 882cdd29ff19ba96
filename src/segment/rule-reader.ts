/**
 * Collects the faults of a rule while it is read. A method that reports a fault returns undefined,
 * so that reading goes on and all faults are told at once.
 */

import type { JsonObject } from '../lib/json.ts'
import { ruleLimits } from './rule.ts'

export interface RuleFault {
  /** JSON pointer to the faulty place, e.g. `/all/0/within`; empty for the whole rule. */
  readonly path: string
  readonly says: string
}

export class RuleReader {
  readonly faults: RuleFault[] = []
  #conditionCount = 0

  fault(path: string, says: string): undefined {
    if (this.faults.length < ruleLimits.faultCountMax) this.faults.push({ path, says })
  }

  /** Counts one more condition at `path`; answers true when reading on is pointless. */
  isFullWith(conditionCount: number, path: string): boolean {
    this.#conditionCount += conditionCount
    if (this.faults.length >= ruleLimits.faultCountMax) return true
    if (this.#conditionCount <= ruleLimits.conditionCountMax) return false
    const says = `a rule has at most ${ruleLimits.conditionCountMax} conditions`
    if (!this.faults.some((fault) => fault.says === says)) this.fault(path, says)
    return true
  }

  readName(input: unknown, path: string): string | undefined {
    if (isText(input) && input.length > 0) return input
    if (typeof input === 'string' && !input.isWellFormed()) {
      return this.fault(path, 'holds half of a character (a lone surrogate)')
    }
    return this.fault(path, `must be a text of 1 to ${ruleLimits.textLengthMax} characters`)
  }

  refuseOthers(input: JsonObject, known: readonly string[], path: string): void {
    for (const name of Object.keys(input)) {
      if (known.includes(name)) continue
      this.fault(`${path}/${pointer(name)}`, `is unknown here; known are ${known.join(', ')}`)
    }
  }
}

/** Well formed, since keys and hashes are made of it. */
export function isText(value: unknown): value is string {
  if (typeof value !== 'string' || value.length > ruleLimits.textLengthMax) return false
  return value.isWellFormed()
}

export function isFiniteNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value)
}

/** Escapes a name for use in a JSON pointer (RFC 6901). */
export function pointer(name: string): string {
  return name.slice(0, 100).replaceAll('~', '~0').replaceAll('/', '~1')
}
