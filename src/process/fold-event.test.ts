import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createSeededRandom } from '../lib/random.ts'
import { activityCountMax } from '../profile/activity-pack.ts'
import { withdrawnCountMax } from '../profile/person.ts'
import { compileGiven, Partitions, startMs } from './partitions.fixture.ts'

const definitions = compileGiven({
  segments: [{ name: 'readers', content: { consent: 'news' } }],
  campaigns: [
    {
      name: 'thanks',
      trigger: { event: 'Buy' },
      steps: [{ send: { template: 'mail', topic: 'orders' } }],
    },
  ],
  templates: { mail: { name: 'mail', html: '', subject: '', text: null } },
})
const key = 'user:ada'

describe('a person who leaves more topics than are kept one by one', () => {
  it('has left all, and is out of each segment that asks for consent', async () => {
    const world = await worldWithTopics(withdrawnCountMax)
    assert.deepEqual(await read(world), { isAll: false, segments: ['readers'] })
    await leave(world, withdrawnCountMax)
    assert.deepEqual(await read(world), { isAll: true, segments: [] })
  })

  it('has so too where the last is left by a link in a message', async () => {
    const world = await worldWithTopics(withdrawnCountMax)
    assert.deepEqual(await read(world), { isAll: false, segments: ['readers'] })
    const [messageId = assert.fail('no message')] = Object.keys(
      (await world.people()).get(key)?.openMessages ?? {},
    )
    const skeleton = { messageId, outcome: 'unsubscribed', atMs: startMs }
    await world.append('outcome', key, skeleton, 1000)
    assert.deepEqual(await read(world), { isAll: true, segments: [] })
  })
})

describe('a person of whom more is known than is kept', () => {
  it('is out of a segment with the entry that goes, whatever made it go', async () => {
    const isOneOf = { profile: 'cart.itemCount', atLeast: 65 }
    const world = await new Partitions(
      compileGiven({
        segments: [
          { name: 'full-cart', content: isOneOf },
          {
            name: 'adders',
            content: { event: 'Product Added', count: { atLeast: 65 }, within: '7d' },
          },
          { name: 'either', content: { any: [{ trait: 'plan', is: 'pro' }, isOneOf] } },
        ],
      }),
    ).open()
    const plan = { plan: 'pro' }
    await world.event({ type: 'identify', name: 'identify', userId: 'ada', traits: plan }, 1)
    const act = async (name: string, from: number, count: number): Promise<void> => {
      for (let at = from; at < from + count; at++) {
        const properties = { product_id: `item-${at}` }
        await world.event({ type: 'track', name, userId: 'ada', properties }, at)
      }
    }
    await act('Product Added', 100, 65)
    await act('Product Viewed', 200, activityCountMax - 65)
    assert.deepEqual((await read(world)).segments, ['either', 'full-cart', 'adders'])
    await act('Product Viewed', 300, 1)
    assert.deepEqual((await read(world)).segments, ['either'])
  })
})

async function worldWithTopics(count: number): Promise<Partitions> {
  const world = await new Partitions(definitions).open()
  const email = { email: 'ada@example.com' }
  await world.event({ type: 'identify', name: 'identify', userId: 'ada', traits: email }, 1)
  await world.event({ type: 'track', name: 'Buy', userId: 'ada' }, 2)
  for (let topic = 0; topic < count; topic++) await leave(world, topic)
  await world.tick(900)
  return world
}

async function leave(world: Partitions, topic: number): Promise<void> {
  const properties = { topic: `topic-${topic}` }
  const event = { type: 'track', name: 'Unsubscribed', userId: 'ada', properties } as const
  await world.event(event, 100 + topic)
}

async function read(world: Partitions): Promise<{ isAll: boolean; segments: readonly string[] }> {
  await world.settle(createSeededRandom(1))
  const person = (await world.people()).get(key) ?? assert.fail('nobody')
  return { isAll: Object.hasOwn(person.withdrawn, '*'), segments: Object.keys(person.memberships) }
}
