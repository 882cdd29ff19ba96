import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { messagePrefix } from '../campaign/message.ts'
import { createSeededRandom } from '../lib/random.ts'
import type { Person } from '../profile/person.ts'
import { parseExternalId } from '../profile/stated-key.ts'
import {
  compileGiven,
  type GivenEvent,
  leaderOf,
  Partitions,
  partitionCount,
  startMs,
} from './partitions.fixture.ts'

const random = createSeededRandom(1)
const hourMs = 3_600_000

const definitions = compileGiven({
  identity: {
    kinds: [
      { name: 'crm', from: ['traits.crmId', 'externalIds.crm_id'], joinsUsers: true },
      { name: 'email', form: 'email', from: ['traits.email'], peoplePerKey: 2, keysPerPerson: 2 },
    ],
    devices: { peoplePerKey: 3 },
    never: ['shop@example.com'],
  },
  templates: { mail: { name: 'mail', html: '', subject: '', text: null } },
  campaigns: [
    {
      name: 'cart',
      trigger: { event: 'Product Added' },
      steps: [{ wait: '4h' }, { send: { template: 'mail', topic: 'news' } }],
      exit: [{ event: 'Order Completed' }],
    },
  ],
})

class World extends Partitions {
  #atMs = 1000

  async happen(...events: readonly GivenEvent[]): Promise<void> {
    for (const event of events) {
      this.#atMs += 1000
      await this.event(event, this.#atMs)
      await this.settle(random)
    }
  }

  async write(kind: Parameters<Partitions['append']>[0], key: string, skeleton: unknown) {
    this.#atMs += 1000
    await this.append(kind, key, skeleton, this.#atMs)
    await this.settle(random)
  }

  async wait(ms: number): Promise<void> {
    this.#atMs += ms
    await this.tick(this.#atMs)
    await this.settle(random)
  }

  async person(key: string): Promise<Person> {
    const people = await this.people()
    const person = people.get(leaderOf(people, key))
    assert.ok(person, `${key} is known`)
    return person
  }

  async leader(key: string): Promise<string> {
    return leaderOf(await this.people(), key)
  }

  async messages(): Promise<readonly Record<string, unknown>[]> {
    const found: Record<string, unknown>[] = []
    for (let partition = 0; partition < partitionCount; partition++) {
      for (const { value } of await this.state.scan(partition, messagePrefix, '', 100)) {
        found.push(JSON.parse(Buffer.from(value).toString()))
      }
    }
    return found
  }
}

async function openWorld(): Promise<World> {
  return await new World(definitions).open()
}

function track(name: string, ids: Partial<GivenEvent>): GivenEvent {
  return { type: 'track', name, ...ids }
}

function identify(ids: Partial<GivenEvent>): GivenEvent {
  return { type: 'identify', name: 'identify', ...ids }
}

function alias(userId: string, previousId: string, anonymousId?: string): GivenEvent {
  const device = anonymousId === undefined ? {} : { anonymousId }
  return { type: 'alias', name: 'alias', userId, previousId, ...device }
}

function countOf(person: Person, name: string): number {
  return person.parts.reduce((sum, { totals }) => sum + (totals[name]?.[0] ?? 0), 0)
}

const view = (ids: Partial<GivenEvent>): GivenEvent => track('Product Viewed', ids)
const emailKey = (address: string): string =>
  parseExternalId(definitions.identity, `email:${address}`) ?? ''

describe('an alias', () => {
  it('joins a device to a user, and two users, under the lower key', async () => {
    const world = await openWorld()
    await world.happen(view({ anonymousId: 'd' }), alias('bob', 'd', 'd'), view({ userId: 'ada' }))
    await world.happen(alias('bob', 'ada'))
    for (const key of ['anonymous:d', 'user:bob', 'user:ada']) {
      assert.equal(await world.leader(key), 'user:ada')
    }
    const ada = await world.person('user:ada')
    assert.equal(countOf(ada, 'Product Viewed'), 2)
    assert.deepEqual(ada.parts.map(({ key }) => key).toSorted(), [
      'anonymous:d',
      'user:ada',
      'user:bob',
    ])
  })

  it('joins a chain of any length, and brings later events of all of it', async () => {
    const world = await openWorld()
    const names = Array.from({ length: 20 }, (_, index) => `u${String(index).padStart(2, '0')}`)
    for (const userId of names) await world.happen(view({ userId }))
    // Each joins the one before it, so that every pointer is made before the next lower one.
    for (let at = names.length - 1; at > 0; at--) {
      await world.happen(alias(names[at] ?? '', names[at - 1] ?? ''))
    }
    for (const userId of names) await world.happen(view({ userId }))
    assert.equal(countOf(await world.person('user:u00'), 'Product Viewed'), 2 * names.length)
    assert.equal((await world.people()).get('user:u19')?.pointer, 'user:u00', 'paths are short')
  })

  it('does nothing to one who names themselves, in a circle too', async () => {
    const world = await openWorld()
    await world.happen(view({ userId: 'a' }), view({ userId: 'b' }), view({ userId: 'c' }))
    await world.happen(alias('a', 'a'), alias('a', 'b'), alias('b', 'c'), alias('c', 'a'))
    await world.happen(alias('b', 'a'), alias('a', 'b'))
    const people = await world.people()
    for (const id of ['a', 'b', 'c']) assert.equal(leaderOf(people, `user:${id}`), 'user:a')
    assert.equal(people.get('user:a')?.pointer, undefined)
    assert.equal(countOf(await world.person('user:a'), 'alias'), 6)
  })

  it('joins nobody by an id that no user has, until one is seen under it', async () => {
    const world = await openWorld()
    await world.happen(view({ userId: 'bob' }), view({ userId: 'zoe' }))
    await world.happen(alias('bob', 'kiosk'), alias('zoe', 'kiosk'))
    assert.equal(await world.leader('user:zoe'), 'user:zoe')
    await world.happen(view({ userId: 'kiosk' }))
    assert.equal(await world.leader('user:zoe'), 'user:bob')
    assert.equal(countOf(await world.person('user:kiosk'), 'Product Viewed'), 3)
  })

  it('refuses to join more keys than a person may have, and loses nothing', async () => {
    const world = await openWorld()
    for (const userId of ['a', 'b']) {
      for (let index = 0; index < 20; index++) {
        await world.happen(view({ anonymousId: `${userId}${index}` }))
        await world.happen(identify({ userId, anonymousId: `${userId}${index}` }))
      }
    }
    await world.happen(alias('b', 'a'))
    assert.equal(await world.leader('user:b'), 'user:b')
    await world.happen(view({ userId: 'b' }))
    assert.equal(countOf(await world.person('user:a'), 'Product Viewed'), 20)
    assert.equal(countOf(await world.person('user:b'), 'Product Viewed'), 21)
    const { refusals } = await world.person('user:b')
    assert.deepEqual(
      refusals?.map(({ key, reason }) => [key, reason]),
      [['user:a', 'person-full']],
    )
    assert.equal((await world.findings())['merge-refused'], 2)
  })
})

describe('a device', () => {
  it('goes to who named it last, and keeps its past where it was', async () => {
    const world = await openWorld()
    await world.happen(view({ anonymousId: 'd' }), identify({ userId: 'ada', anonymousId: 'd' }))
    await world.happen(identify({ userId: 'bob', anonymousId: 'd' }), view({ anonymousId: 'd' }))
    assert.equal(await world.leader('anonymous:d'), 'user:bob')
    assert.equal(countOf(await world.person('user:ada'), 'Product Viewed'), 1)
    assert.equal(countOf(await world.person('user:bob'), 'Product Viewed'), 1)
    await world.happen(identify({ userId: 'ada', anonymousId: 'd' }), view({ anonymousId: 'd' }))
    assert.equal(countOf(await world.person('user:ada'), 'Product Viewed'), 2)
    assert.ok(((await world.findings())['identity-contested'] ?? 0) >= 2)
  })

  it('is of nobody with more users than may share it, and says so', async () => {
    const world = await openWorld()
    for (const userId of ['a', 'b', 'c', 'd']) {
      await world.happen(identify({ userId, anonymousId: 'kiosk' }))
    }
    await world.happen(view({ anonymousId: 'kiosk' }))
    assert.equal(await world.leader('anonymous:kiosk'), 'anonymous:kiosk')
    assert.equal(countOf(await world.person('anonymous:kiosk'), 'Product Viewed'), 1)
    await world.happen(identify({ userId: 'a', anonymousId: 'kiosk' }))
    assert.equal(await world.leader('anonymous:kiosk'), 'anonymous:kiosk')
    assert.equal((await world.findings())['identity-shared'], 1)
    const { refusals } = await world.person('user:d')
    assert.equal(refusals?.[0]?.reason, 'shared')
  })
})

describe('a passage that began on a device', () => {
  it('goes on at the user, with the wait counted from when it began, once', async () => {
    const world = await openWorld()
    await world.happen(track('Product Added', { anonymousId: 'd' }))
    await world.wait(3 * hourMs)
    await world.happen(identify({ userId: 'ada', anonymousId: 'd' }))
    await world.wait(hourMs - 3000)
    assert.deepEqual(await world.messages(), [])
    await world.wait(2000)
    await world.happen(identify({ userId: 'ada', anonymousId: 'd' }))
    const messages = await world.messages()
    assert.deepEqual(
      messages.map(({ personKey, dueAtMs }) => [personKey, dueAtMs]),
      [['user:ada', startMs + 2000 + 4 * hourMs]],
    )
    const [{ trigger }] = messages as [{ trigger: { partition: number; offset: number } }]
    const [record] = await world.log.read(trigger.partition, trigger.offset - 1, 1)
    assert.equal(record?.key, 'anonymous:d')
  })

  it('ends where the user has bought since, on the other side too', async () => {
    const world = await openWorld()
    await world.happen(view({ userId: 'ada' }), track('Product Added', { anonymousId: 'd' }))
    await world.happen(track('Order Completed', { userId: 'ada' }))
    await world.happen(identify({ userId: 'ada', anonymousId: 'd' }))
    await world.happen(track('Product Added', { userId: 'bob' }))
    await world.happen(track('Order Completed', { anonymousId: 'e' }))
    await world.happen(identify({ userId: 'bob', anonymousId: 'e' }))
    await world.wait(5 * hourMs)
    assert.deepEqual(await world.messages(), [])
  })

  it('gives way to one that the user has already', async () => {
    const world = await openWorld()
    await world.happen(track('Product Added', { anonymousId: 'd' }))
    await world.happen(track('Product Added', { userId: 'ada' }))
    await world.happen(identify({ userId: 'ada', anonymousId: 'd' }))
    await world.wait(5 * hourMs)
    assert.equal((await world.messages()).length, 1)
  })
})

describe('an external id', () => {
  it('joins devices before anybody is known, and all of them to the user who has it', async () => {
    const world = await openWorld()
    const email = 'Ada@Example.com '
    await world.happen(view({ anonymousId: 'd1' }), view({ anonymousId: 'd2' }))
    await world.happen(identify({ anonymousId: 'd1', traits: { email: email.trim() } }))
    await world.happen(
      identify({ anonymousId: 'd2', traits: { email: email.trim().toUpperCase() } }),
    )
    const key = emailKey('ada@example.com')
    assert.equal(await world.leader('anonymous:d1'), key)
    assert.equal(await world.leader('anonymous:d2'), key)
    assert.equal(countOf(await world.person(key), 'Product Viewed'), 2)
    await world.happen(identify({ userId: 'ada', traits: { email } }))
    for (const each of ['anonymous:d1', 'anonymous:d2', key]) {
      assert.equal(await world.leader(each), 'user:ada')
    }
    await world.happen(view({ anonymousId: 'd2' }))
    assert.equal(countOf(await world.person('user:ada'), 'Product Viewed'), 3)
  })

  it('does not join two users, unless its kind says so', async () => {
    const world = await openWorld()
    for (const userId of ['ada', 'bob']) {
      await world.happen(identify({ userId, traits: { email: 'family@example.com' } }))
    }
    assert.equal(await world.leader('user:bob'), 'user:bob')
    assert.equal(await world.leader(emailKey('family@example.com')), 'user:bob')
    for (const userId of ['ada', 'bob']) {
      const context = { externalIds: [{ type: 'crm_id', id: 77 }] }
      await world.happen(identify({ userId, context }))
    }
    assert.equal(await world.leader('user:bob'), 'user:ada')
    assert.equal(await world.leader(emailKey('family@example.com')), 'user:ada')
  })

  it('joins nobody where it is a word for nobody, or more people have it than may', async () => {
    const world = await openWorld()
    for (const email of ['guest', 'null', 'shop@example.com', 'no address', '']) {
      await world.happen(identify({ userId: 'ada', traits: { email } }))
    }
    assert.deepEqual((await world.person('user:ada')).claimed, {})
    for (const userId of ['a', 'b', 'c']) {
      await world.happen(identify({ userId, traits: { email: 'office@example.com' } }))
    }
    const key = emailKey('office@example.com')
    assert.equal(await world.leader(key), key)
    await world.happen(identify({ anonymousId: 'd', traits: { email: 'office@example.com' } }))
    assert.equal(await world.leader('anonymous:d'), 'anonymous:d')
    const { refusals } = await world.person('anonymous:d')
    assert.deepEqual(
      refusals?.map((refusal) => [refusal.key, refusal.reason]),
      [[key, 'shared']],
    )
  })

  it('is bound in number by its kind', async () => {
    const world = await openWorld()
    for (const email of ['1@example.com', '2@example.com', '3@example.com']) {
      await world.happen(identify({ userId: 'ada', traits: { email } }))
    }
    const { claimed, refusals } = await world.person('user:ada')
    assert.equal(Object.keys(claimed).length, 2)
    assert.equal(refusals?.[0]?.reason, 'kind-full')
  })
})

describe('a split', () => {
  it('takes a part out, subtracts nothing, and keeps the pair apart', async () => {
    const world = await openWorld()
    const traits = { plan: 'pro' }
    await world.happen(view({ anonymousId: 'd' }), identify({ anonymousId: 'd', traits }))
    await world.happen(identify({ userId: 'ada', anonymousId: 'd' }), view({ userId: 'ada' }))
    await world.happen(view({ anonymousId: 'd' }))
    await world.write('identity-split', 'anonymous:d', {})
    assert.equal(await world.leader('anonymous:d'), 'anonymous:d')
    assert.equal(countOf(await world.person('anonymous:d'), 'Product Viewed'), 2)
    assert.equal(countOf(await world.person('user:ada'), 'Product Viewed'), 1)
    assert.equal((await world.traits('anonymous:d'))['anonymous:d']?.['plan']?.[0], 'pro')
    assert.equal((await world.traits('user:ada'))['anonymous:d'], undefined)
    await world.happen(identify({ userId: 'ada', anonymousId: 'd' }), view({ anonymousId: 'd' }))
    assert.equal(await world.leader('anonymous:d'), 'anonymous:d')
    await world.write('identity-join', 'anonymous:d', { otherKey: 'user:ada' })
    assert.equal(await world.leader('anonymous:d'), 'user:ada')
    assert.equal(countOf(await world.person('user:ada'), 'Product Viewed'), 4)
  })

  it('takes a user out who was joined by a wrong alias, and refuses the alias again', async () => {
    const world = await openWorld()
    await world.happen(view({ userId: 'ada' }), view({ userId: 'bob' }), alias('bob', 'ada'))
    await world.happen(track('Product Added', { userId: 'bob' }))
    await world.write('identity-split', 'user:bob', {})
    await world.happen(alias('bob', 'ada'), alias('ada', 'bob'), view({ userId: 'bob' }))
    assert.equal(await world.leader('user:bob'), 'user:bob')
    assert.equal(countOf(await world.person('user:bob'), 'Product Viewed'), 2)
    assert.equal(countOf(await world.person('user:bob'), 'Product Added'), 1)
    assert.equal(countOf(await world.person('user:ada'), 'Product Viewed'), 1)
  })

  it('holds where the key would come back by way of another', async () => {
    const world = await openWorld()
    await world.happen(view({ userId: 'ada' }), view({ userId: 'bob' }))
    await world.happen(view({ anonymousId: 'd' }), identify({ userId: 'ada', anonymousId: 'd' }))
    await world.write('identity-split', 'anonymous:d', {})
    await world.happen(identify({ userId: 'bob', anonymousId: 'd' }))
    assert.equal(await world.leader('anonymous:d'), 'user:bob')
    await world.happen(alias('bob', 'ada'), view({ anonymousId: 'd' }))
    assert.equal(await world.leader('user:bob'), 'user:ada')
    assert.equal(await world.leader('anonymous:d'), 'anonymous:d')
    assert.equal(countOf(await world.person('anonymous:d'), 'Product Viewed'), 2)
  })

  it('has no effect on a key that leads', async () => {
    const world = await openWorld()
    await world.happen(identify({ userId: 'ada', anonymousId: 'd' }))
    await world.write('identity-split', 'user:ada', {})
    assert.equal(await world.leader('anonymous:d'), 'user:ada')
  })
})
