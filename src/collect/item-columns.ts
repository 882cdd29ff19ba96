/**
 * Turns the cells of a row of a catalog file into an item, by the names of its columns: those of
 * our own items, and those of Google's product feed, which every shop system can write.
 *
 * A cell that cannot be read refuses its row, with the name of the column: a price that was guessed
 * would end in an email. An empty cell says nothing. A column that is not known goes into `extra`.
 */

import { parseTimeMs } from '../event/event-time.ts'
import type { Json, JsonObject } from '../lib/json.ts'
import type { CreatedMapper, Mapped } from './row-mapping.ts'

type Cell =
  | { readonly kind: 'values'; readonly values: JsonObject }
  | { readonly kind: 'refused'; readonly says: string }

type ReadCell = (text: string) => Cell

const integerPattern = /^\d{1,15}$/
/** `12.50`, `12.50 EUR` and `EUR 12.50`; `1,234.50` may mean two things. */
const pricePattern = /^(?:([A-Z]{3}) )?(\d{1,12}(?:\.\d{1,9})?)(?: ([A-Z]{3}))?$/
const listDelimiter = /\s*[|,]\s*/
const pathDelimiter = /\s*>\s*/

const text =
  (name: string): ReadCell =>
  (cell) =>
    values({ [name]: cell })
const count =
  (name: string): ReadCell =>
  (cell) =>
    integerPattern.test(cell)
      ? values({ [name]: Number(cell) })
      : refuse('must be a whole number, not negative')
const instant =
  (name: string): ReadCell =>
  (cell) => {
    const ms = parseTimeMs(cell)
    return ms === undefined
      ? refuse('must be a time such as 2026-11-26T18:00:00Z')
      : values({ [name]: ms })
  }
const price =
  (name: string): ReadCell =>
  (cell) => {
    const [, before, amount, behind] = pricePattern.exec(cell) ?? []
    if (amount === undefined) return refuse('must be an amount such as 12.50 or 12.50 EUR')
    const currency = before ?? behind
    return values({ [name]: Number(amount), ...(currency === undefined ? {} : { currency }) })
  }
const path: ReadCell = (cell) =>
  values({ categoryPath: cell.split(pathDelimiter).filter((each) => each !== '') })
const category: ReadCell = (cell) => (cell.includes('>') ? path(cell) : values({ category: cell }))

/** A feed says whether there is any, not how many. */
const availability: ReadCell = (cell) => {
  const said = cell.toLowerCase().replaceAll(/[\s-]/g, '_')
  if (said === 'out_of_stock') return values({ stockCount: 0 })
  const isThere = ['in_stock', 'available', 'preorder', 'backorder', 'limited'].includes(said)
  return isThere ? values({}) : refuse('must be in_stock, out_of_stock, preorder or backorder')
}

const readers: Readonly<Record<string, ReadCell>> = {
  itemId: text('itemId'),
  name: text('name'),
  price: price('price'),
  salePrice: price('salePrice'),
  currency: text('currency'),
  stockCount: count('stockCount'),
  category,
  categoryPath: path,
  brand: text('brand'),
  imageUrl: text('imageUrl'),
  url: text('url'),
  tags: (cell) => values({ tags: cell.split(listDelimiter).filter((each) => each !== '') }),
  locale: text('locale'),
  availableFrom: instant('availableFromMs'),
  availableUntil: instant('availableUntilMs'),
  version: count('version'),
  updatedAt: instant('updatedAtMs'),
  availability,
}
/** Other names of columns: those of Google's product feed, and plain ones. */
const otherNames: Readonly<Record<string, string>> = {
  id: 'itemId',
  item_id: 'itemId',
  product_id: 'itemId',
  title: 'name',
  sale_price: 'salePrice',
  stock: 'stockCount',
  stock_count: 'stockCount',
  quantity: 'stockCount',
  product_type: 'categoryPath',
  category_path: 'categoryPath',
  image_link: 'imageUrl',
  image_url: 'imageUrl',
  link: 'url',
  availability_date: 'availableFrom',
  available_from: 'availableFrom',
  expiration_date: 'availableUntil',
  available_until: 'availableUntil',
  updated_at: 'updatedAt',
}

/** Makes the mapper of a file with these columns, or names all that is wrong with them. */
export function createItemMapper(columns: readonly string[]): CreatedMapper {
  const faults: string[] = []
  const names = columns.map(nameOf)
  for (const needed of ['itemId', 'name', 'price']) {
    if (!names.includes(needed)) faults.push(`The file has no column ${needed}.`)
  }
  for (const [index, name] of names.entries()) {
    const first = names.indexOf(name)
    if (first === index || !Object.hasOwn(readers, name)) continue
    faults.push(`Columns ${columns[first]} and ${columns[index]} both say ${name}.`)
  }
  if (faults.length > 0) return { kind: 'refused', faults }
  return { kind: 'mapper', mapper: { map: (cells) => mapRow(columns, names, cells) } }
}

function nameOf(column: string): string {
  if (Object.hasOwn(readers, column)) return column
  return Object.hasOwn(otherNames, column) ? (otherNames[column] ?? column) : column
}

function mapRow(
  columns: readonly string[],
  names: readonly string[],
  cells: readonly unknown[],
): Mapped {
  const item: Record<string, Json> = {}
  const extra: Record<string, Json> = {}
  for (const [index, name] of names.entries()) {
    const cell = String(cells[index] ?? '').trim()
    if (cell === '') continue
    const read = Object.hasOwn(readers, name) ? readers[name] : undefined
    if (read === undefined) {
      extra[name] = cell
      continue
    }
    const column = columns[index] ?? name
    const answer = read(cell)
    if (answer.kind === 'refused') return { kind: 'refused', path: column, says: answer.says }
    for (const [field, value] of Object.entries(answer.values)) {
      // The file may say the currency by itself and behind both prices.
      if (field === 'currency' && item[field] !== undefined && item[field] !== value) {
        return { kind: 'refused', path: column, says: 'is not in the currency of the row' }
      }
      item[field] ??= value
    }
  }
  if (Object.keys(extra).length > 0) item['extra'] = extra
  return { kind: 'events', items: [item] }
}

function values(said: JsonObject): Cell {
  return { kind: 'values', values: said }
}

function refuse(says: string): Cell {
  return { kind: 'refused', says }
}
