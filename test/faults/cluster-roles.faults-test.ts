/**
 * What is given at one process of a deployment takes effect at the others: one that takes events,
 * two that work, one that answers. An item, what people looked at, new definitions, a suppression.
 */

import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { it, type TestContext } from 'node:test'
import { createApiKey } from '../../src/api/api-keys.ts'
import type { CaughtMail } from '../../src/catcher/mail-catcher.ts'
import { defaultCollectorOptions } from '../../src/collect/collect-options.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { systemRandom } from '../../src/lib/random.ts'
import { partitionOf } from '../../src/log/record.ts'
import { openGroupWatch } from './cluster-group.ts'
import {
  type Cluster,
  clusterIsMissing,
  openCluster,
  partitionCount,
  tell,
  until,
} from './cluster-harness.ts'
import { writeKey } from './small-shop.ts'

/**
 * From the answer of the one process on: each looks every 100 ms, then folds, commits and reads. As
 * elsewhere, what fails is ten times as much, since all of them share the cores of this machine.
 */
const effectMsPromised = 1_000
const effectMsMax = 10 * effectMsPromised
const joinMsMax = 60_000
const mailCountMax = 100
const newKey = 'wk_another'
/** One of each partition, so of both workers. */
const people = oneOfEach('early')
const latePeople = oneOfEach('late')

it('what is given at one process takes effect at the others', takeEffect)

async function takeEffect(t: TestContext): Promise<void> {
  if (clusterIsMissing !== undefined) return t.skip(clusterIsMissing)
  const cluster = await openCluster(t)
  const { catcher, dataDir } = cluster
  const deps = { clock: systemClock, random: systemRandom }
  const apiKey = await createApiKey(dataDir, deps, { name: 'test', scopes: ['read', 'write'] })
  const first = await cluster.startWorker()
  const starting = [cluster.startRole('api'), cluster.startWorker(), cluster.startRole('collect')]
  const [api] = await Promise.all(starting)
  assert.ok(api)
  const watch = await openGroupWatch(t, cluster.kafka.addresses)
  await watch.untilMembers(2, joinMsMax)
  const ask = async (path: string, body?: object): Promise<Answer> => {
    const headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' }
    const sent = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }
    const answer = await fetch(api.url + path, { headers, ...sent })
    return { status: answer.status, text: await answer.text() }
  }
  const took: Record<string, number> = {}
  const effect = async (what: string, isSo: () => boolean | Promise<boolean>): Promise<void> => {
    took[what] = Math.round(await until(what, isSo, effectMsMax))
  }
  const mailsTo = (address: string): readonly CaughtMail[] =>
    catcher.list(mailCountMax).filter(({ envelopeTo }) => envelopeTo.includes(address))
  const haveSubject = async (ids: readonly string[], subject: string): Promise<boolean> => {
    const mails = ids.flatMap((each) => mailsTo(addressOf(each)).slice(0, 1))
    const parsed = await Promise.all(mails.map(({ index }) => catcher.parse(index)))
    return parsed.length === ids.length && parsed.every((mail) => mail?.subject === subject)
  }

  // An item given at the API: folded by a worker, shown by the API, named in what workers render.
  const items = ['kettle', 'cup'].map((itemId) => ({ itemId, name: `Enamel ${itemId}`, price: 5 }))
  assert.equal((await ask('/api/v1/items', items)).status, 200)
  await effect('item at the API', async () => (await ask('/api/v1/items/cup')).status === 200)
  for (const each of people) await collect(cluster, writeKey, cartOf(each, 'kettle'))
  await effect('item in mails of both workers', () =>
    haveSubject(people, 'Enamel kettle is in your basket'),
  )

  // What people do comes to the index of the API, which folds nothing.
  const viewed = people.map((userId) => viewOf(userId, 'cup'))
  await collect(cluster, writeKey, viewed)
  await effect('views at the API', async () => {
    const { text } = await ask('/api/v1/items/kettle/similar')
    return text.includes('"itemId":"cup"')
  })

  // New definitions brought by one worker: the collector knows the key, others render the text.
  const view = [viewOf('anybody', 'cup')]
  assert.equal(await collect(cluster, newKey, view), 401)
  await changeDefinitions(cluster)
  assert.equal((await first.stop()).code, 0)
  await cluster.startWorker({ hasDefinitions: true })
  await effect('key at the collector', async () => (await collect(cluster, newKey, view)) === 200)
  for (const each of latePeople) await collect(cluster, newKey, cartOf(each, 'cup'))
  await effect('text in mails of both workers', () =>
    haveSubject(latePeople, 'Enamel cup waits for you'),
  )

  // A suppression given at the API: its answer says that it is in force.
  const address = addressOf('gone')
  assert.equal((await ask('/api/v1/suppressions', { address })).status, 200)
  await collect(cluster, newKey, [...cartOf('gone', 'cup'), ...cartOf('heard', 'cup')])
  await effect('mail to another', () => mailsTo(addressOf('heard')).length > 0)
  await cluster.settle()
  const result = await cluster.examine()
  tell('roles', { took, states: result.states })
  assert.deepEqual(mailsTo(address), [])
  const refused = [...result.examined.messages.values()].filter(
    ({ personKey, state }) => personKey === 'user:gone' && state.kind === 'refused',
  )
  assert.equal(refused.length, 2, 'one of each campaign')
  assert.deepEqual(result.findings, [])
}

interface Answer {
  readonly status: number
  readonly text: string
}

function oneOfEach(name: string): readonly string[] {
  return Array.from({ length: partitionCount }, (_, partition) => {
    for (let count = 0; ; count++) {
      const userId = `${name}${count}`
      const { workspace } = defaultCollectorOptions
      if (partitionOf(workspace, `user:${userId}`, partitionCount) === partition) return userId
    }
  })
}

/** Sends events of a server to the front; returns the status. */
async function collect(cluster: Cluster, key: string, batch: readonly object[]): Promise<number> {
  const authorization = `Basic ${Buffer.from(`${key}:`).toString('base64')}`
  const answer = await fetch(`${cluster.front.url}/v1/batch`, {
    method: 'POST',
    headers: { authorization, 'content-type': 'application/json' },
    body: JSON.stringify({ batch }),
  })
  await answer.arrayBuffer()
  return answer.status
}

function cartOf(userId: string, itemId: string): readonly object[] {
  const properties = { product_id: itemId, quantity: 1 }
  return [
    { type: 'identify', userId, traits: { email: addressOf(userId) } },
    { type: 'track', userId, event: 'Product Added', properties },
  ]
}

function viewOf(userId: string, itemId: string): object {
  return { type: 'track', userId, event: 'Product Viewed', properties: { product_id: itemId } }
}

function addressOf(userId: string): string {
  return `${userId}@people.example`
}

/** One more write key, and another subject. */
async function changeDefinitions({ definitionsDir }: Cluster): Promise<void> {
  const source = join(definitionsDir, 'sources/web.yaml')
  const text = await readFile(source, 'utf8')
  await writeFile(source, text.replace(`[${writeKey}]`, `[${writeKey}, ${newKey}]`))
  const subject = '{{ profile.cart.first.name }} waits for you'
  await writeFile(join(definitionsDir, 'templates/cart/subject.liquid'), subject)
}
