/**
 * Whole messages on one core: read the person, ask for recommendations, read the items, fill
 * subject, HTML and text, sign the links, write the bytes. The cart reminder of examples/shop for
 * people with a cart, a name and a past, the state in SQLite, all in this process.
 *
 * The figure is messages per second of CPU: it hardly depends on who else uses the machine. The
 * bare baseline reads the same person and puts as many bytes together from pieces made beforehand.
 */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Item } from '../src/catalog/item.ts'
import { readDefinitionFolder } from '../src/command/definition-folder.ts'
import { findPerson, type StatePlace } from '../src/delivery/read-state.ts'
import { buildValues, type ValueDeps } from '../src/delivery/render-values.ts'
import { createSeededRandom } from '../src/lib/random.ts'
import { partitionOf } from '../src/log/record.ts'
import { parseDefinitionFiles } from '../src/process/definition-files.ts'
import type { DefinitionsDocument } from '../src/process/definitions.ts'
import { appendActivity, type PackedActivity } from '../src/profile/activity-pack.ts'
import { createPerson, encodePerson, personPrefix, traitPrefix } from '../src/profile/person.ts'
import { createAdvisor } from '../src/recommend/advisor.ts'
import { createBlend } from '../src/recommend/blend.ts'
import { openSqliteStateStore } from '../src/state/sqlite-state-store.ts'
import { type Change, noHead, type StateStore } from '../src/state/state-store.ts'
import type { SigningKeys } from '../src/template/links.ts'
import { createMessageRenderer } from '../src/template/render-message.ts'
import { rendererVersion } from '../src/template/renderer-version.ts'
import type { RenderedMessage, RenderInput } from '../src/template/template.ts'
import { shopDir } from './attune-server.ts'
import { mean, printFigure } from './figure.ts'

const personCount = 5_000
const itemCount = 1_000
const messageCount = 2_000
const roundCount = 3
const partitionCount = 8
const viewCount = 20
const recommendationCount = 4
const pieceCount = 100
/** Wall time that no message reaches, however busy the machine is. */
const softMs = 60_000
const workspace = 'default'
const nowMs = Date.UTC(2026, 10, 23, 9)
const publicUrl = 'https://mail.shop.example'
const signingKeys: SigningKeys = {
  currentId: 'k1',
  keys: new Map([['k1', new Uint8Array(32).fill(7)]]),
}

interface RenderWorld {
  readonly place: StatePlace
  readonly deps: ValueDeps
  readonly document: DefinitionsDocument
}

export async function benchRender(): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), 'attune-bench-render-'))
  try {
    const state = await openSqliteStateStore({ dataDir })
    await benchWorld(await openRenderWorld(state))
    await state.close()
  } finally {
    await rm(dataDir, { recursive: true })
  }
}

async function benchWorld(world: RenderWorld): Promise<void> {
  const render = createMessageRenderer(signingKeys, { softMs })
  const renderOne = async (index: number): Promise<RenderedMessage> => {
    const answer = render(await inputOf(world, index))
    if (answer.kind === 'refused') throw new Error(`the bench's message: ${answer.says}`)
    return answer.message
  }
  const valuesOnly = async (index: number): Promise<unknown> => await inputOf(world, index)
  const sample = await renderOne(0)
  const writeBare = createBare(world, Buffer.from(sample.raw).toString('latin1'))
  const [all, values, bare]: [number[], number[], number[]] = [[], [], []]
  await cpuMicros(renderOne)
  for (let round = 0; round < roundCount; round++) {
    all.push(await cpuMicros(renderOne))
    values.push(await cpuMicros(valuesOnly))
    bare.push(await cpuMicros(writeBare))
  }
  printFigure({
    bench: 'render',
    value: 1e6 / mean(all),
    unit: 'messages/s of CPU',
    baseline: 1e6 / mean(bare),
    note:
      `${sample.raw.length} bytes, ${sample.links.length} links; ${mean(all).toFixed(0)} us of ` +
      `CPU each, of which ${mean(values).toFixed(0)} us read and recommend, baseline ` +
      `${mean(bare).toFixed(1)} us; ${personCount} people, ${itemCount} items, one process`,
  })
}

/** Returns the CPU time of one message, garbage collection included. */
async function cpuMicros(work: (index: number) => Promise<unknown>): Promise<number> {
  const random = createSeededRandom(11)
  const before = process.cpuUsage()
  for (let count = 0; count < messageCount; count++) {
    await work(Math.floor(random.unit() * personCount))
  }
  const used = process.cpuUsage(before)
  return (used.user + used.system) / messageCount
}

function createBare(world: RenderWorld, raw: string): (index: number) => Promise<unknown> {
  const bytes = Math.ceil(raw.length / pieceCount)
  const pieces = Array.from({ length: pieceCount }, (_, at) =>
    raw.slice(at * bytes, (at + 1) * bytes),
  )
  return async (index) => {
    const found = await findPerson(world.place, keyOf(index))
    return Buffer.from(pieces.join(`${found?.person.version}`))
  }
}

async function inputOf(world: RenderWorld, index: number): Promise<RenderInput> {
  const { document } = world
  const found = await findPerson(world.place, keyOf(index))
  const template = document.templates['cart-reminder']
  if (found === undefined || template === undefined) throw new Error('the bench made them')
  const { values } = await buildValues(world.deps, {
    ...{ found, nowMs, recommendationCount, publicUrl },
    campaign: 'cart-reminder',
    shop: document.shop,
  })
  return {
    rendererVersion,
    template,
    values,
    message: {
      messageId: `m_${String(index).padStart(20, '0')}`,
      from: 'Thimble & Oak <hello@shop.example>',
      to: `customer-${index}@person.example`,
      dateMs: nowMs,
      publicUrl,
      signingKeyId: 'k1',
      topic: 'cart-reminder',
    },
  }
}

async function openRenderWorld(state: StateStore): Promise<RenderWorld> {
  const parsed = await parseDefinitionFiles(await readDefinitionFolder(shopDir))
  if (parsed.kind === 'refused') throw new Error('the definitions of examples/shop are good')
  const advisor = createAdvisor(createBlend())
  const changes = Array.from({ length: partitionCount }, (): Change[] => [])
  const put = (key: string, entries: readonly Change[]): void => {
    changes[partitionOf(workspace, key, partitionCount)]?.push(...entries)
  }
  for (let index = 0; index < itemCount; index++) {
    const item = itemOf(index)
    advisor.follow(item)
    put(`item:${item.itemId}`, [{ key: `item/${item.itemId}`, value: encode(item) }])
  }
  for (let index = 0; index < personCount; index++) {
    const activity = activityOf(index)
    put(keyOf(index), personEntries(index, activity))
    advisor.learn(
      activity.map(({ itemId = '', occurredAtMs, name }) => {
        const kind = name === 'Product Added' ? 'cart' : 'view'
        return { profileId: keyOf(index), itemId, kind, occurredAtMs }
      }),
    )
  }
  for (const [partition, all] of changes.entries()) {
    await state.acquire(partition, 1, 'bench')
    const head = { ...noHead, epoch: 1, nonce: 'bench', incarnation: 'bench' }
    await state.commit([{ partition, ...head, previousOffset: 0, changes: all }])
  }
  const place = { state, workspace, partitionCount }
  const advise: ValueDeps['advise'] = (request) => Promise.resolve(advisor.advise(request))
  return { place, deps: { place, advise }, document: parsed.document }
}

const keyOf = (index: number): string => `user:customer-${index}`

function personEntries(index: number, activity: readonly PackedActivity[]): readonly Change[] {
  const key = keyOf(index)
  const person = createPerson(key, nowMs - 1_000_000)
  person.version = activity.length
  const part = person.parts[0]
  if (part === undefined) throw new Error('a person has a part')
  part.activity = appendActivity(part.activity, activity)
  part.totals['Product Viewed'] = [viewCount, 0, 0, 1]
  const traits = { [key]: { name: ['Zo\u00eb Example', nowMs - 1_000_000, 'web'] } }
  return [
    { key: personPrefix + key, value: encodePerson(person) },
    { key: traitPrefix + key, value: encode(traits) },
  ]
}

/** Views, then one to three things put into the cart. */
function activityOf(index: number): readonly PackedActivity[] {
  const random = createSeededRandom(index + 1)
  const count = viewCount + 1 + (index % 3)
  return Array.from({ length: count }, (_, at) => ({
    name: at < viewCount ? 'Product Viewed' : 'Product Added',
    occurredAtMs: nowMs - 600_000 + at * 1000,
    eventRef: at + 1,
    itemId: `item-${Math.floor(random.unit() ** 2 * itemCount)}`,
    quantity: 1,
    value: 4.95,
  }))
}

function itemOf(index: number): Item {
  return {
    itemId: `item-${index}`,
    name: `Pack of ${index} wooden pegs & "hooks"`,
    price: 4.95 + (index % 40),
    stockCount: 5,
    category: 'Garden',
    imageUrl: `/images/item-${index}.jpg`,
    url: `https://shop.example/item/${index}?colour=oak&size=m`,
    updatedAtMs: nowMs,
  }
}

function encode(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value))
}
