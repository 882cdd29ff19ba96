/**
 * Makes the data of `examples/shop` from the UCI "Online Retail" file (CC BY 4.0, doi
 * 10.24432/C5BW33).
 *
 *   node scripts/make-shop-data.ts online-retail.csv.gz examples/shop/data
 *
 * Reads the file once, writes `items.ndjson.gz` and `orders.ndjson.gz`, and prints every count as
 * the table of `data/README.md`. The same file gives the same lines; the compressed bytes may
 * differ between builds of zlib.
 */

import { createReadStream } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { createGunzip, gzipSync } from 'node:zlib'
import { categoryOf } from '../examples/shop/item-category.ts'
import { tidyName } from '../examples/shop/item-name.ts'
import { assert } from '../src/lib/assert.ts'
import { murmur3 } from '../src/lib/hash.ts'

/** More products than this in one event would press on its 32 KB limit. */
const orderLinesMax = 200
/**
 * Five digits and at most a few letters, or the web shop's own range. All else is postage, fees and
 * notes.
 */
const productCode = /^(\d{5}[A-Z]*|DCGS\w+)$/
const outOfStockPercent = 4
const header = 'InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country'

interface Row {
  readonly invoice: string
  readonly itemId: string
  readonly description: string
  readonly quantity: number
  readonly atMs: number
  readonly price: number
  readonly customerId: string | null
  readonly country: string
}

interface Invoice {
  readonly orderId: string
  readonly isRefund: boolean
  readonly atMs: number
  readonly customerId: string | null
  readonly country: string
  readonly lines: (readonly [itemId: string, quantity: number, price: number])[]
  rowCount: number
}

interface SoldItem {
  readonly prices: number[]
  readonly descriptions: Map<string, number>
  lastAtMs: number
}

export interface ShopData {
  /** NDJSON, one item a line, by id. */
  readonly items: string
  /** NDJSON, one order event a line, in time order. */
  readonly orders: string
  readonly counts: Readonly<Record<string, number>>
}

/** Reads the compressed CSV file once and returns what is written from it. */
export async function makeShopData(csvPath: string): Promise<ShopData> {
  const counts = createCounts()
  const invoices = new Map<string, Invoice>()
  const soldItems = new Map<string, SoldItem>()
  for await (const row of readRows(csvPath)) {
    counts['rows read']++
    addRow(row, counts, invoices, soldItems)
  }
  const items = [...soldItems].sort(([left], [right]) => (left < right ? -1 : 1))
  const itemLines = items.map(([itemId, sold]) => itemLine(itemId, sold))
  counts['items'] = itemLines.length
  counts['items out of stock'] = itemLines.filter((line) => line.includes('"stockCount":0,')).length
  counts['invoices'] = invoices.size
  return {
    items: itemLines.map((line) => `${line}\n`).join(''),
    orders: orderLines([...invoices.values()], soldItems, counts).join(''),
    counts,
  }
}

/** Returns the counts as rows of a Markdown table, as `data/README.md` has them. */
export function countRows(counts: ShopData['counts']): readonly string[] {
  return Object.entries(counts).map(
    ([name, count]) => `| ${name} | ${count.toLocaleString('en-GB')} |`,
  )
}

function createCounts() {
  return {
    'rows read': 0,
    invoices: 0,
    'invoices of more than 200 rows': 0,
    'invoices still over 200 lines and split': 0,
    'invoices with no line left': 0,
    'rows left out: not a product': 0,
    'rows left out: stock adjustment': 0,
    'rows left out: no price': 0,
    'rows left out: refund of an item never sold': 0,
    'order events': 0,
    'of them Order Completed': 0,
    'of them Order Refunded': 0,
    'order lines': 0,
    'orders completed (invoices)': 0,
    'orders completed by nobody known (invoices)': 0,
    'refunds (invoices)': 0,
    'refunds by nobody known (invoices)': 0,
    customers: 0,
    items: 0,
    'items out of stock': 0,
  }
}
type Counts = ReturnType<typeof createCounts>

async function* readRows(csvPath: string): AsyncGenerator<Row> {
  const lines = createInterface({ input: createReadStream(csvPath).pipe(createGunzip()) })
  let isHeader = true
  for await (const line of lines) {
    if (isHeader) {
      assert(line === header, 'the file has the columns of Online Retail')
      isHeader = false
      continue
    }
    yield parseRow(line)
  }
}

function parseRow(line: string): Row {
  const [invoice, code, description, quantity, date, price, customer, country, ...rest] =
    parseCsvLine(line)
  assert(country !== undefined && rest.length === 0, 'a row has 8 fields')
  const atMs = Date.parse(`${date?.replace(' ', 'T')}Z`)
  assert(Number.isFinite(atMs), 'a row has a date')
  return {
    invoice: invoice ?? '',
    // The same code is written in both cases in a few rows; it is one item.
    itemId: (code ?? '').toUpperCase(),
    description: description ?? '',
    quantity: Number(quantity),
    atMs,
    price: Number(price),
    customerId: customer === '' || customer === undefined ? null : customer.replace(/\.0$/, ''),
    country,
  }
}

function parseCsvLine(line: string): readonly string[] {
  if (!line.includes('"')) return line.split(',')
  const fields = line.match(/(?<=^|,)("(?:[^"]|"")*"|[^,]*)/g) ?? []
  return fields.map((field) =>
    field.startsWith('"') ? field.slice(1, -1).replaceAll('""', '"') : field,
  )
}

function addRow(
  row: Row,
  counts: Counts,
  invoices: Map<string, Invoice>,
  soldItems: Map<string, SoldItem>,
): void {
  let invoice = invoices.get(row.invoice)
  if (invoice === undefined) {
    invoice = {
      orderId: row.invoice,
      isRefund: row.invoice.startsWith('C'),
      atMs: row.atMs,
      customerId: row.customerId,
      country: row.country,
      lines: [],
      rowCount: 0,
    }
    invoices.set(row.invoice, invoice)
  }
  invoice.rowCount++
  if (!productCode.test(row.itemId)) {
    counts['rows left out: not a product']++
  } else if (row.quantity < 0 && !invoice.isRefund) {
    counts['rows left out: stock adjustment']++
  } else if (row.price <= 0) {
    counts['rows left out: no price']++
  } else {
    invoice.lines.push([row.itemId, Math.abs(row.quantity), row.price])
    if (!invoice.isRefund) addSale(row, soldItems)
  }
}

function addSale(row: Row, soldItems: Map<string, SoldItem>): void {
  let sold = soldItems.get(row.itemId)
  if (sold === undefined) {
    sold = { prices: [], descriptions: new Map(), lastAtMs: row.atMs }
    soldItems.set(row.itemId, sold)
  }
  sold.prices.push(row.price)
  sold.lastAtMs = Math.max(sold.lastAtMs, row.atMs)
  const count = sold.descriptions.get(row.description) ?? 0
  sold.descriptions.set(row.description, count + 1)
}

function itemLine(itemId: string, sold: SoldItem): string {
  const [description] = [...sold.descriptions].reduce((best, next) =>
    next[1] > best[1] ? next : best,
  )
  const name = tidyName(description)
  assert(name !== '', 'an item that was sold has a name')
  const prices = sold.prices.toSorted((left, right) => left - right)
  const chance = murmur3(`stock:${itemId}`)
  return JSON.stringify({
    itemId,
    name,
    // The lower of the two in the middle, so that it is a price that was really asked.
    price: prices[(prices.length - 1) >> 1],
    category: categoryOf(name),
    stockCount: chance % 100 < outOfStockPercent ? 0 : 3 + ((chance >>> 8) % 240),
    url: `https://shop.example/p/${itemId}`,
    imageUrl: `/demo/items/${itemId}.svg`,
    updatedAtMs: sold.lastAtMs,
  })
}

function orderLines(
  invoices: readonly Invoice[],
  soldItems: ReadonlyMap<string, SoldItem>,
  counts: Counts,
): readonly string[] {
  const startMs = Math.min(...invoices.map((invoice) => invoice.atMs))
  const customers = new Set<string>()
  // The sort is stable: invoices of one minute stay in the order of the file.
  const inTimeOrder = invoices.toSorted((left, right) => left.atMs - right.atMs)
  const written = inTimeOrder.flatMap((invoice) => {
    const lines = invoice.lines.filter(([itemId]) => soldItems.has(itemId))
    counts['rows left out: refund of an item never sold'] += invoice.lines.length - lines.length
    countInvoice(invoice, lines.length, counts)
    if (lines.length > 0 && invoice.customerId !== null) customers.add(invoice.customerId)
    const partCount = Math.ceil(lines.length / orderLinesMax)
    return Array.from({ length: partCount }, (_, index) => {
      const order = {
        event: invoice.isRefund ? 'Order Refunded' : 'Order Completed',
        orderId: invoice.orderId,
        ...(partCount > 1 ? { part: index + 1, partCount } : {}),
        minute: (invoice.atMs - startMs) / 60_000,
        customerId: invoice.customerId,
        country: invoice.country,
        lines: lines.slice(index * orderLinesMax, (index + 1) * orderLinesMax),
      }
      counts['order lines'] += order.lines.length
      return `${JSON.stringify(order)}\n`
    })
  })
  counts['order events'] = written.length
  counts['of them Order Refunded'] = written.filter((line) =>
    line.startsWith('{"event":"Order R'),
  ).length
  counts['of them Order Completed'] = written.length - counts['of them Order Refunded']
  counts.customers = customers.size
  return written
}

function countInvoice(invoice: Invoice, lineCount: number, counts: Counts): void {
  if (invoice.rowCount > orderLinesMax) counts['invoices of more than 200 rows']++
  if (lineCount > orderLinesMax) counts['invoices still over 200 lines and split']++
  if (lineCount === 0) {
    counts['invoices with no line left']++
  } else if (invoice.isRefund) {
    counts['refunds (invoices)']++
    if (invoice.customerId === null) counts['refunds by nobody known (invoices)']++
  } else {
    counts['orders completed (invoices)']++
    if (invoice.customerId === null) counts['orders completed by nobody known (invoices)']++
  }
}

async function main(args: readonly string[]): Promise<void> {
  const [csvPath, outPath] = args
  if (csvPath === undefined || outPath === undefined) {
    console.error('usage: node scripts/make-shop-data.ts <online-retail.csv.gz> <out dir>')
    process.exitCode = 2
    return
  }
  const data = await makeShopData(csvPath)
  await mkdir(outPath, { recursive: true })
  await writeFile(join(outPath, 'items.ndjson.gz'), gzipSync(data.items, { level: 9 }))
  await writeFile(join(outPath, 'orders.ndjson.gz'), gzipSync(data.orders, { level: 9 }))
  console.log(countRows(data.counts).join('\n'))
}

if (import.meta.main) await main(process.argv.slice(2))
