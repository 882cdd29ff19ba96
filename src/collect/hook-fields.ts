/**
 * Reads fields of a shop system's payload. What is absent or null is undefined; what is there in a
 * form that could mean two things is a fault, and the item is rejected whole: an amount that was
 * guessed would end in an email.
 */

import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts'

export interface FieldFault {
  /** JSON pointer into the payload. */
  readonly path: string
  readonly says: string
}

/** Above this, cents are no longer exact in a sum of many. */
const amountMax = 1e12
const textLengthMax = 2_000
const itemCountMax = 1_000

export class HookFields {
  /** Shared by all fields of one payload; the first counts. */
  readonly faults: FieldFault[]
  readonly #object: JsonObject
  readonly #path: string

  constructor(object: JsonObject, path = '', faults: FieldFault[] = []) {
    this.#object = object
    this.#path = path
    this.faults = faults
  }

  /** Returns a text that is not empty. */
  text(name: string): string | undefined {
    const value = this.#value(name)
    if (value === undefined || value === '') return undefined
    if (typeof value === 'string' && value.length <= textLengthMax) return value
    return this.#refuse(name, `Must be a text of at most ${textLengthMax} characters.`)
  }

  /** Returns an id: a text, or a whole number as its digits. 0 is none. */
  id(name: string): string | undefined {
    const value = this.#value(name)
    if (value === undefined || value === '' || value === 0) return undefined
    if (typeof value === 'string' && value.length <= textLengthMax) return value
    if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value)
    return this.#refuse(name, 'Must be an id: a text, or a whole number.')
  }

  /** Returns an amount: a number or decimal text, not negative. `1,234.50` may mean two things. */
  money(name: string): number | undefined {
    return this.#amount(name, 'Must be an amount such as 12.50, not negative.')
  }

  /** Returns a quantity: shops also sell by weight. */
  quantity(name: string): number | undefined {
    return this.#amount(name, 'Must be a number, not negative.')
  }

  /** Returns a whole number, not negative. */
  count(name: string): number | undefined {
    const value = this.#value(name)
    if (value === undefined) return undefined
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
    return this.#refuse(name, 'Must be a whole number, not negative.')
  }

  /** Returns how many are left: a whole number. Less than none is none: shops sell ahead. */
  stock(name: string): number | undefined {
    const value = this.#value(name)
    if (value === undefined) return undefined
    if (typeof value === 'number' && Number.isSafeInteger(value)) return Math.max(0, value)
    return this.#refuse(name, 'Must be a whole number.')
  }

  /** Returns a currency in capitals. */
  currency(name: string): string | undefined {
    const value = this.#value(name)
    if (value === undefined || value === '') return undefined
    if (typeof value === 'string' && /^[A-Za-z]{3}$/.test(value)) return value.toUpperCase()
    return this.#refuse(name, 'Must be a currency of three letters.')
  }

  isNull(name: string): boolean {
    return Object.hasOwn(this.#object, name) && this.#object[name] === null
  }

  isTrue(name: string): boolean {
    return this.#value(name) === true
  }

  object(name: string): HookFields | undefined {
    const value = this.#value(name)
    if (value === undefined) return undefined
    if (isJsonObject(value)) return new HookFields(value, `${this.#path}/${name}`, this.faults)
    return this.#refuse(name, 'Must be an object.')
  }

  list(name: string): readonly HookFields[] {
    const value = this.#value(name)
    if (value === undefined) return []
    if (!Array.isArray(value) || value.length > itemCountMax) {
      this.#refuse(name, `Must be a list of at most ${itemCountMax}.`)
      return []
    }
    return (value as readonly Json[]).flatMap((item, index) => {
      const path = `${this.#path}/${name}/${index}`
      if (isJsonObject(item)) return [new HookFields(item, path, this.faults)]
      this.faults.push({ path, says: 'Must be an object.' })
      return []
    })
  }

  #amount(name: string, says: string): number | undefined {
    const value = this.#value(name)
    if (value === undefined || value === '') return undefined
    const isDecimal = typeof value === 'string' && /^\d{1,12}(?:\.\d{1,20})?$/.test(value)
    const amount = isDecimal ? Number(value) : value
    if (typeof amount === 'number' && amount >= 0 && amount <= amountMax) return amount
    return this.#refuse(name, says)
  }

  #value(name: string): Json | undefined {
    return Object.hasOwn(this.#object, name) ? (this.#object[name] ?? undefined) : undefined
  }

  #refuse(name: string, says: string): undefined {
    this.faults.push({ path: `${this.#path}/${name}`, says })
  }
}

/** Returns the fields that are there. */
export function present(fields: Readonly<Record<string, Json | undefined>>): JsonObject {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as JsonObject
}
