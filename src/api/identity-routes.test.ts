import { deepStrictEqual, equal, match } from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { openWorld, until, type World } from './world.fixture.ts'

const identity = `kinds:
  - {name: email, form: email, from: [traits.email], peoplePerKey: 1}
  - {name: phone, form: phone, countryCode: "49", from: [traits.phone]}
`

async function open(t: TestContext): Promise<World> {
  const world = await openWorld(t, { files: new Map([['identity.yaml', identity]]) })
  const traits = { email: 'ada@person.example', phone: '0170 / 123 45 67' }
  await world.happen([
    { type: 'track', name: 'Product Viewed', anonymousId: 'd', properties: { product_id: '1' } },
    { type: 'identify', name: 'identify', userId: 'ada', anonymousId: 'd', traits },
  ])
  await until(async () => (await profileOf(world, 'user:ada')).identities.length === 4)
  return world
}

interface Shown {
  readonly id: string
  readonly identities: readonly string[]
  readonly totals: Readonly<Record<string, unknown>>
  readonly refusedMerges: readonly { readonly key: string; readonly reason: string }[]
}

async function profileOf(world: World, id: string): Promise<Shown> {
  const url = `/api/v1/profiles/${encodeURIComponent(id)}`
  return (await world.app.inject({ url, headers: world.keys.read })).json<Shown>()
}

async function call(world: World, what: 'split' | 'join' | 'find', payload: object) {
  const url = `/api/v1/identity/${what}`
  const headers = what === 'find' ? world.keys.read : world.keys.write
  const answer = await world.app.inject({ method: 'POST', url, headers, payload })
  return { status: answer.statusCode, body: answer.json() }
}

describe('/api/v1/identity', () => {
  it('finds who has an external id, however it is written, and shows its key', async (t) => {
    const world = await open(t)
    const byEmail = await call(world, 'find', { kind: 'email', value: ' Ada@Person.Example' })
    equal(byEmail.body.id, 'user:ada')
    const byPhone = await call(world, 'find', { kind: 'phone', value: '+49 170 1234567' })
    equal(byPhone.body.id, 'user:ada')
    const { identities } = await profileOf(world, 'user:ada')
    deepStrictEqual(
      [byEmail.body.key, byPhone.body.key].every((key: string) => identities.includes(key)),
      true,
    )
    equal((await profileOf(world, byEmail.body.key)).id, 'user:ada')
    for (const [payload, path] of [
      [{ kind: 'crm', value: '7' }, '/kind'],
      [{ kind: 'email', value: 'guest' }, '/value'],
      [{ kind: 'phone', value: '000000' }, '/value'],
    ] as const) {
      const refused = await call(world, 'find', payload)
      equal(refused.status, 400)
      equal(refused.body.faults[0].path, path)
    }
    equal((await call(world, 'find', { kind: 'email', value: 'b@c.example' })).status, 404)
  })

  it('takes a key out, and joins it again', async (t) => {
    const world = await open(t)
    const key = 'anonymous:d'
    const split = await call(world, 'split', { key, from: 'user:ada' })
    deepStrictEqual(split, { status: 200, body: { key, takenOutOf: 'user:ada' } })
    await until(async () => (await profileOf(world, key)).totals?.['Product Viewed'] !== undefined)
    equal((await profileOf(world, key)).id, key)
    equal((await profileOf(world, 'user:ada')).totals['Product Viewed'], undefined)
    equal((await call(world, 'split', { key })).body.code, 'identity-conflict')
    equal((await call(world, 'join', { keys: ['user:ada', key] })).status, 200)
    await until(async () => (await profileOf(world, key)).id === 'user:ada')
    equal((await call(world, 'split', { key, from: 'user:bob' })).body.faults[0].path, '/from')
  })

  it('says which field is wrong', async (t) => {
    const world = await open(t)
    for (const [what, payload, status, path] of [
      ['split', { key: 'user:ada' }, 409, '/key'],
      ['split', { key: 'ada' }, 400, '/key'],
      ['split', { key: 'user:' }, 400, '/key'],
      ['split', { key: 'user:a\u0000b' }, 400, '/key'],
      ['split', { key: 'anonymous:\ud800' }, 400, '/key'],
      ['split', { key: 'anonymous:guest' }, 400, '/key'],
      ['split', { key: 'anonymous:d', from: 'x' }, 400, '/from'],
      ['join', { keys: ['user:ada', 'user:ada'] }, 400, '/keys/1'],
      ['join', { keys: ['user:ada', 'item:1'] }, 400, '/keys/1'],
      ['join', { keys: ['user:ada'] }, 400, '/keys'],
    ] as const) {
      const answer = await call(world, what, payload)
      equal(answer.status, status, JSON.stringify(payload))
      equal(answer.body.faults[0].path, path, JSON.stringify(payload))
    }
    equal((await call(world, 'split', { key: 'user:nobody' })).status, 404)
  })

  it('shows at the profile which merges were refused', async (t) => {
    const world = await open(t)
    const traits = { email: 'ada@person.example' }
    await world.happen([{ type: 'identify', name: 'identify', userId: 'bob', traits }])
    await until(async () => (await profileOf(world, 'user:bob')).refusedMerges.length === 1)
    const { refusedMerges } = await profileOf(world, 'user:bob')
    equal(refusedMerges[0]?.reason, 'shared')
    match(refusedMerges[0]?.key ?? '', /^email:/)
    await until(async () => (await profileOf(world, 'user:ada')).refusedMerges.length === 1)
  })
})
