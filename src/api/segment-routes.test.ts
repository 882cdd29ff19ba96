import { deepStrictEqual, equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parse as parseYaml } from 'yaml'
import { sha256Bytes } from '../lib/hash.ts'
import { emptyBody } from '../log/record.ts'
import { type DefinitionsDocument, encodeDocument } from '../process/definitions.ts'
import { listCountMax } from '../process/list-record.ts'
import { decodeJson, encodeJson, metaKey, type PartitionMeta, readMeta } from '../process/meta.ts'
import { computedKey, decodeInForce } from '../profile/computed/computed-trait.ts'
import type { StateReader } from '../state/state-store.ts'
import { createDefinitionsInForce } from './definitions-in-force.ts'
import { type Preview, previewSegment } from './preview-segment.ts'
import { explainSegment, listSegments, type SegmentDeps } from './segment-answer.ts'
import { adaShops, eventRecord, openWorld, until, viewOf, type World } from './world.fixture.ts'

interface Explained {
  readonly isMember: boolean
  readonly isPending: boolean
  readonly since?: string
  readonly rule: { readonly says: string; readonly isMet: boolean; readonly saw: unknown }
}

async function get(world: World, path: string) {
  return await world.app.inject({ url: `/api/v1/${path}`, headers: world.keys.read })
}

async function preview(world: World, payload: object) {
  const headers = world.keys.read
  return await world.app.inject({
    method: 'POST',
    url: '/api/v1/segments/preview',
    headers,
    payload,
  })
}

async function putList(world: World, name: string, payload: string | object) {
  const isText = typeof payload === 'string'
  const headers = { ...world.keys.write, ...(isText ? { 'content-type': 'text/csv' } : {}) }
  return await world.app.inject({ method: 'PUT', url: `/api/v1/lists/${name}`, headers, payload })
}

/** Puts more segments in force, beside the one of the fixture, and computed traits. */
async function addSegments(
  world: World,
  yaml: string,
  traits: NonNullable<DefinitionsDocument['traits']> = [],
): Promise<void> {
  const { place, blobs } = world.deps
  const meta = await readMeta(place.state, 0)
  const bytes = await blobs.get(meta?.definitionsHash ?? '')
  ok(bytes !== undefined)
  const document = decodeJson<DefinitionsDocument>(bytes)
  const added = Object.entries(parseYaml(yaml) as Record<string, never>)
  const segments = [...document.segments, ...added.map(([name, content]) => ({ name, content }))]
  const [hash = ''] = await blobs.put([encodeDocument({ ...document, segments, traits })])
  await world.append([
    {
      partition: 0,
      key: 'control:0',
      kind: 'apply',
      id: sha256Bytes(hash, 16),
      recordedAtMs: world.deps.clock.nowMs(),
      isBackfill: false,
      keyId: 0,
      skeleton: { version: 1, hash },
      body: emptyBody,
    },
  ])
  await until(async () => {
    const partitions = Array.from({ length: place.partitionCount }, (_, partition) => partition)
    const metas = await Promise.all(partitions.map((partition) => readMeta(place.state, partition)))
    return metas.every((each) => each?.definitionsHash === hash)
  })
  await untilEvaluated(world)
}

async function untilEvaluated(world: World): Promise<void> {
  await until(async () => (await get(world, 'segments')).json().progress === undefined)
}

/** Shows a state in which the past of computed traits is not in yet. */
function stillFilling(state: StateReader): StateReader {
  return {
    head: (partition) => state.head(partition),
    scan: (partition, prefix, after, countMax) => state.scan(partition, prefix, after, countMax),
    async get(partition, keys) {
      const values = await state.get(partition, keys)
      return values.map((bytes, index) => {
        if (bytes === undefined) return undefined
        if (keys[index] === metaKey) return withWaiting(bytes)
        if (keys[index] !== computedKey) return bytes
        const { traits, properties = [], ...rest } = decodeInForce(bytes)
        const unfilled = <Filled>(each: Filled) => ({ ...each, readyAtMs: undefined })
        const filling = { traits: traits.map(unfilled), properties: properties.map(unfilled) }
        return encodeJson({ ...rest, ...filling })
      })
    },
  }
}

function withWaiting(bytes: Uint8Array): Uint8Array {
  return encodeJson({ ...decodeJson<PartitionMeta>(bytes), waiting: ['keen'] })
}

/** A state that goes on to other definitions as soon as one has looked what is in force. */
function goingOn(state: StateReader): StateReader {
  const seen = new Set<number>()
  return {
    head: (partition) => state.head(partition),
    scan: (...given) => state.scan(...given),
    async get(partition, keys) {
      const values = await state.get(partition, keys)
      return values.map((value, at) => {
        if (value === undefined || keys[at] !== metaKey) return value
        if (!seen.has(partition)) {
          seen.add(partition)
          return value
        }
        return encodeJson({ ...decodeJson<PartitionMeta>(value), definitionsHash: '' })
      })
    },
  }
}

describe('/api/v1/segments', () => {
  it('evaluates everybody by a new rule, without their next event, and says when', async (t) => {
    const world = await openWorld(t)
    const people = Array.from({ length: 40 }, (_, index) => `person-${index}`)
    await world.append(people.map((userId) => eventRecord(viewOf(userId, '1'))))
    await world.settle()
    await addSegments(world, 'viewers: { event: Product Viewed, within: 7d }')
    const list = (await get(world, 'segments')).json()
    deepStrictEqual(list.segments, [
      { name: 'buyers', state: 'in-force', memberCount: 0 },
      { name: 'viewers', state: 'in-force', memberCount: 40 },
    ])
    const profile = (await get(world, 'profiles/person-7')).json()
    equal(profile.segments[0].name, 'viewers')
    deepStrictEqual(profile.segmentChanges, [])
    equal((await get(world, 'status')).json().evaluation, null)
  })

  it('shows one with its rule, what it names and who names it', async (t) => {
    const world = await openWorld(t)
    await addSegments(world, 'loyal: { all: [{ segment: buyers }, { trait: plan, is: pro }] }')
    const shown = (await get(world, 'segments/buyers')).json()
    deepStrictEqual(shown.namedBy, ['loyal'])
    deepStrictEqual(shown.names.events, ['Order Completed'])
    const loyal = (await get(world, 'segments/loyal')).json()
    deepStrictEqual(loyal.rule, { all: [{ segment: 'buyers' }, { trait: 'plan', is: 'pro' }] })
    equal((await get(world, 'segments/none')).statusCode, 404)
  })

  it('explains a membership by what each condition saw', async (t) => {
    const world = await openWorld(t)
    await world.happen(adaShops())
    const explained = (await get(world, 'segments/buyers/explain/ada')).json<Explained>()
    equal(explained.isMember, true)
    equal(explained.isPending, false)
    equal(explained.rule.says, 'event Order Completed counted atLeast 1 in all time')
    equal(explained.rule.saw, 1)
    const profile = (await get(world, 'profiles/ada')).json()
    equal(profile.segmentChanges[0].change, 'entered')
    equal(profile.segmentChanges[0].at, explained.since)
    equal((await get(world, 'segments/none/explain/ada')).statusCode, 404)
    equal((await get(world, 'segments/buyers/explain/nobody')).json().code, 'profile-unknown')
  })

  it('tells of one moment, whatever comes into force meanwhile', async (t) => {
    const world = await openWorld(t)
    await world.happen(adaShops())
    const depsNow = (): SegmentDeps => {
      const place = { ...world.deps.place, state: goingOn(world.deps.place.state) }
      return { ...world.deps, place, inForce: createDefinitionsInForce(place, world.deps.blobs) }
    }
    const explained = await explainSegment(depsNow(), 'buyers', 'user:ada')
    ok(typeof explained !== 'string' && explained.isMember, JSON.stringify(explained))
    equal((await listSegments(depsNow())).segments[0]?.name, 'buyers')
  })

  it('sees computed traits of the past too, once they are filled', async (t) => {
    const world = await openWorld(t)
    const views = { name: 'views', content: { kind: 'count', event: 'Product Viewed' } }
    for (const userId of ['ada', 'ada', 'bob']) await world.happen([viewOf(userId, '1')])
    const event = "event: Product Viewed, within: 1d, where: { properties: { shade: { is: 'x' } } }"
    const rules = `keen: { trait: views, atLeast: 2 }\nshady: { ${event} }`
    await addSegments(world, rules, [views])
    const { segments } = (await get(world, 'segments')).json()
    deepStrictEqual(
      segments.find(({ name }: { name: string }) => name === 'keen'),
      { name: 'keen', state: 'in-force', memberCount: 1 },
    )
    const explained = (await get(world, 'segments/keen/explain/ada')).json<Explained>()
    deepStrictEqual([explained.isMember, explained.isPending], [true, false])
    deepStrictEqual([explained.rule.isMet, explained.rule.saw], [true, 2])
    const rule = { trait: 'views', is: 1 }
    equal((await preview(world, { rule })).json<Preview>().count, 1)

    const { place } = world.deps
    const deps = {
      ...world.deps,
      inForce: createDefinitionsInForce(place, world.deps.blobs),
      place: { ...place, state: stillFilling(place.state) },
    }
    const waiting = (await listSegments(deps)).segments.find(({ name }) => name === 'keen')
    deepStrictEqual([waiting?.state, waiting?.progress?.partitionsPending], ['pending', 4])
    const unsure = await explainSegment(deps, 'keen', 'user:ada')
    ok(typeof unsure !== 'string' && unsure.isPending)
    const refused = await previewSegment(deps, rule, 10)
    deepStrictEqual(refused, {
      kind: 'refused',
      faults: [{ path: '', says: 'sees views, whose past is not in yet' }],
    })
    const named = await previewSegment(deps, parseYaml(`{ ${event} }`), 10)
    const says = 'names Product Viewed/shade, whose past is not in yet'
    deepStrictEqual(named, { kind: 'refused', faults: [{ path: '', says }] })
  })

  it('counts whom a rule would take: exactly where all are looked at', async (t) => {
    const world = await openWorld(t)
    const people = Array.from({ length: 60 }, (_, index) => `person-${index}`)
    await world.append(people.map((userId) => eventRecord(viewOf(userId, '1'))))
    await world.append(people.slice(0, 20).map((userId) => eventRecord(viewOf(userId, '2'))))
    await world.settle()
    const rule = { event: 'Product Viewed', count: { atLeast: 2 }, within: '1h' }
    const all = (await preview(world, { rule })).json<Preview>()
    equal(all.isExact, true)
    deepStrictEqual([all.count, all.countLow, all.countHigh, all.peopleCount], [20, 20, 20, 60])
    const some = (await preview(world, { rule, sampleCountMin: 10 })).json<Preview>()
    equal(some.isExact, false)
    ok(some.sampleCount >= 5 && some.sampleCount < 60, `${some.sampleCount} looked at`)
    ok(some.countLow <= some.count && some.count <= some.countHigh)
    ok(some.countLow < some.countHigh)
    const where = { properties: { category: { is: 'a' } } }
    const named = { ...rule, where }
    const { propertiesNotKept } = (await preview(world, { rule: named })).json<Preview>()
    deepStrictEqual(propertiesNotKept, ['Product Viewed/category'])
  })

  it('refuses a rule with the path of each fault', async (t) => {
    const world = await openWorld(t)
    const rule = { all: [{ event: 'Buy', within: 'soon' }, { trait: 'plan' }] }
    const refused = await preview(world, { rule })
    equal(refused.statusCode, 400)
    deepStrictEqual(
      refused.json().faults.map(({ path }: { path: string }) => path),
      ['/all/0/within', '/all/1'],
    )
    const unknown = await preview(world, { rule: { not: { segment: 'none' } } })
    equal(unknown.json().faults[0].says, 'names the unknown segment none')
    equal((await preview(world, { rule, sampleCountMin: 0 })).statusCode, 400)
  })
})

describe('/api/v1/lists', () => {
  it('replaces a list as a whole; its people are in the segments that name it', async (t) => {
    const world = await openWorld(t)
    for (const userId of ['ada', 'bob']) await world.happen([viewOf(userId, '1')])
    await addSegments(world, 'vips: { list: vip }')
    const put = await putList(world, 'vip', 'user_id,name\nada,Ada\neve,Eve\n')
    equal(put.statusCode, 200)
    equal(put.json().keyCount, 2)
    const isMember = async (id: string): Promise<boolean> =>
      (await get(world, `segments/vips/explain/${id}`)).json<Explained>().isMember
    await until(() => isMember('ada'))
    equal(await isMember('bob'), false)
    equal((await putList(world, 'vip', { keys: ['user:bob'] })).statusCode, 200)
    await until(() => isMember('bob'))
    await until(async () => !(await isMember('ada')))
    await untilEvaluated(world)
    const { lists } = (await get(world, 'lists')).json()
    deepStrictEqual([lists[0].name, lists[0].keyCount, lists[0].isEverywhere], ['vip', 1, true])
    const { rule } = (await get(world, 'segments/vips/explain/bob')).json<Explained>()
    equal(rule.isMet, true)
    equal((await preview(world, { rule: { list: 'vip' } })).json<Preview>().count, 1)
  })

  it('refuses one list more than can be', async (t) => {
    const world = await openWorld(t)
    const names = Array.from({ length: listCountMax }, (_, number) => `list-${number}`)
    for (const name of names) equal((await putList(world, name, 'user_id\nada\n')).statusCode, 200)
    await until(async () => (await get(world, 'lists')).json().lists.length === listCountMax)
    const refused = await putList(world, 'one-more', 'user_id\nada\n')
    deepStrictEqual([refused.statusCode, refused.json().code], [409, 'lists-too-many'])
    equal((await putList(world, 'list-7', 'user_id\nbob\n')).statusCode, 200)
  })

  it('refuses a list with a fault as a whole', async (t) => {
    const world = await openWorld(t)
    const refused = await putList(world, 'vip', 'user_id\nada\nguest\n')
    equal(refused.statusCode, 400)
    equal(refused.json().faults[0].path, 'line 3')
    equal((await putList(world, 'vip', { keys: ['ada'] })).statusCode, 400)
    equal((await putList(world, 'vip', { people: [] })).json().code, 'list-missing')
    equal((await putList(world, 'VIP', { keys: [] })).json().code, 'list-name-invalid')
    deepStrictEqual((await get(world, 'lists')).json().lists, [])
  })
})
