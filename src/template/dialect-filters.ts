/**
 * What people coming from Braze, Shopify and Customer.io expect beyond liquidjs, and what must
 * differ from it: dates (see `date-filters.ts`), whole-number division, and nothing that draws
 * lots.
 */

import { createHash, createHmac } from 'node:crypto'
import { type Context, type Liquid, toValue } from 'liquidjs'
import { isJsonObject, type JsonObject } from '../lib/json.ts'
import { formatDate } from './date-filters.ts'

/** Register of the render context in which the message's date is found. */
export const nowRegister = 'attune.nowMs'

const inputCharactersMax = 100_000

interface FilterThis {
  readonly context: Context
}

/** Adds our filters to an engine and takes out the one that is random. */
export function addDialectFilters(engine: Liquid): void {
  engine.unregisterFilter('sample')
  addDateFilters(engine)
  addMoneyFilters(engine)
  addTextFilters(engine)
  addHashFilters(engine)
}

function addDateFilters(engine: Liquid): void {
  const filters: Record<string, string | undefined> = {
    date: undefined,
    date_to_xmlschema: '%Y-%m-%dT%H:%M:%S%:z',
    date_to_rfc822: '%a, %d %b %Y %H:%M:%S %z',
    date_to_string: '%d %b %Y',
    date_to_long_string: '%d %B %Y',
  }
  for (const [name, fixed] of Object.entries(filters)) {
    engine.registerFilter(name, function (this: FilterThis, value, format, zone) {
      const nowMs = this.context.getRegister<number>(nowRegister)
      return formatDate(value, fixed ?? format, fixed === undefined ? zone : undefined, nowMs)
    })
  }
}

function addMoneyFilters(engine: Liquid): void {
  const formats = new Map<string, Intl.NumberFormat | undefined>()
  const format = (context: Context, value: unknown, named: unknown): string => {
    const amount = toAmount(value)
    if (amount === undefined) return toText(value)
    const shop = shopOf(context)
    const currency = toText(named ?? shop['currency'])
    const locale = toText(shop['locale'] ?? 'en-US')
    const key = `${locale} ${currency}`
    if (!formats.has(key) && formats.size < 256) formats.set(key, moneyFormat(locale, currency))
    return formats.get(key)?.format(amount) ?? amount.toFixed(2)
  }
  engine.registerFilter('money', function (this: FilterThis, value, currency) {
    return format(this.context, value, currency)
  })
  engine.registerFilter('money_with_currency', function (this: FilterThis, value) {
    const currency = shopOf(this.context)['currency']
    return `${format(this.context, value, undefined)} ${toText(currency)}`.trim()
  })
  engine.registerFilter('money_without_currency', (value) => toAmount(value)?.toFixed(2) ?? value)
  engine.registerFilter('divided_by', (value, divisor) => divide(Number(value), Number(divisor)))
}

/** Shop-wide settings that the caller puts beside the other values: `currency`, `locale`. */
function shopOf(context: Context): JsonObject {
  const shop: unknown = context.readProperty(context.environments, 'shop')
  return isJsonObject(shop) ? shop : {}
}

/**
 * Whole numbers divide to a whole number, rounded down, as in Ruby; liquidjs would print 7.5 for
 * `15 | divided_by: 2`.
 */
function divide(value: number, divisor: number): number {
  if (divisor === 0) throw new Error('divided by 0')
  const isWhole = Number.isInteger(value) && Number.isInteger(divisor)
  return isWhole ? Math.floor(value / divisor) : value / divisor
}

function addTextFilters(engine: Liquid): void {
  engine.registerFilter('pluralize', (count, one, many) => (Number(count) === 1 ? one : many))
  engine.registerFilter('url_param_escape', (value) =>
    encodeURIComponent(toText(value).toWellFormed()),
  )
  const handle = (value: unknown): string =>
    toText(value)
      .toLowerCase()
      .split(/[^a-z0-9]+/)
      .filter((word) => word !== '')
      .join('-')
  engine.registerFilter('handleize', handle)
  engine.registerFilter('handle', handle)
}

function addHashFilters(engine: Liquid): void {
  for (const name of ['md5', 'sha1', 'sha256', 'sha512']) {
    engine.registerFilter(name, (value) => createHash(name).update(toText(value)).digest('hex'))
    const keyed = (value: unknown, key: unknown): string =>
      createHmac(name, toText(key)).update(toText(value)).digest('hex')
    engine.registerFilter(`hmac_${name}`, keyed)
    engine.registerFilter(`hmac_${name}_hex`, keyed)
  }
}

function moneyFormat(locale: string, currency: string): Intl.NumberFormat | undefined {
  try {
    return new Intl.NumberFormat(locale, { style: 'currency', currency })
  } catch {
    // No currency, or none that is known: the amount is shown with two decimals alone.
    return undefined
  }
}

function toAmount(given: unknown): number | undefined {
  const value: unknown = toValue(given)
  const isNumeric = typeof value === 'number' || (typeof value === 'string' && value.trim() !== '')
  const amount = isNumeric ? Number(value) : Number.NaN
  return Number.isFinite(amount) ? amount : undefined
}

function toText(given: unknown): string {
  const value: unknown = toValue(given)
  if (value === undefined || value === null) return ''
  return String(value).slice(0, inputCharactersMax)
}
