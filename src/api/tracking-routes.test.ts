import { deepStrictEqual, equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Message } from '../campaign/message.ts'
import { findMessage, findSuppression } from '../delivery/read-state.ts'
import { addressKeyOf } from '../delivery/suppression.ts'
import { withdrawnCountMax } from '../profile/person.ts'
import { type LinkClaim, signToken } from '../template/links.ts'
import { apiDefaults } from './api-options.ts'
import { createApi } from './create-api.ts'
import { suppressRecord } from './suppression-routes.ts'
import {
  adaShops,
  openWorld,
  partitionCount,
  signingKeys,
  until,
  type World,
} from './world.fixture.ts'

async function openWithMessage(t: Parameters<typeof openWorld>[0]) {
  const world = await openWorld(t)
  await world.happen(adaShops())
  const message = await world.acceptedMessage('user:ada')
  const token = (claim: Omit<LinkClaim, 'messageId'>): string =>
    signToken(signingKeys, { ...claim, messageId: message.messageId })
  return { world, message, token }
}

async function outcomesOf(world: World, message: Message) {
  return (await findMessage(world.deps.place, message.messageId))?.outcomes ?? {}
}

async function suppressionOf(world: World, address: string) {
  return await findSuppression(world.deps.place, addressKeyOf(world.deps.addressSecret, address))
}

function countRecords(world: World): number {
  let count = 0
  for (let partition = 0; partition < partitionCount; partition++) {
    count += world.log.count(partition)
  }
  return count
}

const otherKeys = { currentId: 'k1', keys: new Map([['k1', new Uint8Array(32)]]) }

describe('/e/o', () => {
  it('answers a pixel and records the first opening only', async (t) => {
    const { world, message, token } = await openWithMessage(t)
    const path = `/e/o/${token({ purpose: 'open' })}`
    const answer = await world.app.inject(path)
    equal(answer.statusCode, 200)
    equal(answer.headers['content-type'], 'image/gif')
    equal(answer.rawPayload.subarray(0, 6).toString(), 'GIF89a')
    equal(answer.headers['cache-control'], 'no-store')
    await until(async () => (await outcomesOf(world, message)).opened !== undefined)
    await world.settle()
    const count = countRecords(world)
    await world.app.inject(path)
    equal(countRecords(world), count)
  })

  it('answers a pixel with 404 to a token that is not ours, and records nothing', async (t) => {
    const { world, token } = await openWithMessage(t)
    const count = countRecords(world)
    for (const wrong of ['x', token({ purpose: 'unsubscribe' }), token({ purpose: 'click' })]) {
      const answer = await world.app.inject(`/e/o/${wrong}`)
      equal(answer.statusCode, 404)
      equal(answer.headers['content-type'], 'image/gif')
    }
    equal(countRecords(world), count)
  })
})

describe('/e/c', () => {
  it('redirects to the stored destination of the index and records the click', async (t) => {
    const { world, message, token } = await openWithMessage(t)
    const answer = await world.app.inject(`/e/c/${token({ purpose: 'click', index: 0 })}`)
    equal(answer.statusCode, 302)
    equal(answer.headers.location, 'https://shop.example/order?id=o-1&x=1')
    equal(answer.headers['cache-control'], 'no-store')
    equal(answer.headers['referrer-policy'], 'no-referrer')
    const second = await world.app.inject(`/e/c/${token({ purpose: 'click', index: 1 })}`)
    equal(second.headers.location, 'https://shop.example/p/1')
    await until(async () => (await outcomesOf(world, message)).clicked !== undefined)
  })

  it('never redirects anywhere else, whatever is asked', async (t) => {
    const { world, token } = await openWithMessage(t)
    const good = token({ purpose: 'click', index: 0 })
    const cut = good.slice(0, -1)
    const evil = 'https://evil.example/'
    const hostile = [
      `/e/c/${evil}`,
      `/e/c/${encodeURIComponent(evil)}`,
      '/e/c///evil.example',
      '/e/c/%2F%2Fevil.example',
      '/e/c/%5C%5Cevil.example',
      '/e/c/javascript:alert(1)',
      `/e/c/${cut}`,
      `/e/c/${cut}B?url=${evil}`,
      `/e/c/${good}${encodeURIComponent(evil)}`,
      `/e/c/${good}%0d%0aLocation:%20${encodeURIComponent(evil)}`,
      `/e/c/${good}/${evil}`,
      `/e/c/${good}@evil.example`,
      `/e/c/${token({ purpose: 'click', index: 999 })}`,
      `/e/c/${token({ purpose: 'open' })}`,
      `/e/c/${token({ purpose: 'unsubscribe' })}`,
      `/e/c/${good.replace('~0', '~1')}`,
      `/e/c/${good.replace('v1.', 'v2.')}`,
      `/e/c/${good.replace('.k1.', '.k2.')}`,
      `/e/c/${signToken(signingKeys, { purpose: 'click', messageId: 'preview', index: 0 })}`,
      `/e/c/${signToken(otherKeys, { purpose: 'click', messageId: 'x', index: 0 })}`,
      `//evil.example/e/c/${cut}`,
    ]
    for (const path of hostile) {
      const answer = await world.app.inject({ url: path, headers: { host: 'evil.example' } })
      ok(answer.statusCode >= 400 && answer.statusCode < 500, `${path} ${answer.statusCode}`)
      equal(answer.headers.location, undefined, path)
    }
    const destination = 'https://shop.example/order?id=o-1&x=1'
    for (const query of [`?url=${evil}`, `?u=${evil}&redirect=${evil}`, '#//evil.example']) {
      const headers = { host: 'evil.example', referer: evil, 'x-forwarded-host': 'evil.example' }
      const answer = await world.app.inject({ url: `/e/c/${good}${query}`, headers })
      equal(answer.headers.location, destination)
    }
  })
})

describe('/e/u', () => {
  it('shows a page that asks, and unsubscribes nobody by GET or HEAD', async (t) => {
    const { world, message, token } = await openWithMessage(t)
    const path = `/e/u/${token({ purpose: 'unsubscribe' })}`
    const count = countRecords(world)
    const page = await world.app.inject(path)
    equal(page.statusCode, 200)
    ok(page.body.includes('<form method="post">') && page.body.includes('lang="en"'))
    ok(!page.body.includes('ada@'))
    for (const url of [path, path.replace('/u/', '/o/'), path.replace('/u/', '/c/')]) {
      await world.app.inject({ method: 'HEAD', url })
    }
    await world.app.inject({ method: 'HEAD', url: `/e/o/${token({ purpose: 'open' })}` })
    await world.app.inject({ method: 'HEAD', url: `/e/c/${token({ purpose: 'click', index: 0 })}` })
    equal(countRecords(world), count)
    deepStrictEqual(await outcomesOf(world, message), {})
    equal(await suppressionOf(world, 'ada@person.example'), undefined)
  })

  it('suppresses the address and withdraws the person before it answers a POST', async (t) => {
    const bodies: [string | undefined, string][] = [
      ['application/x-www-form-urlencoded', 'List-Unsubscribe=One-Click'],
      ['multipart/form-data; boundary=x', '--x\r\n\r\nOne-Click\r\n--x--'],
      ['application/json', 'not json'],
      [undefined, ''],
    ]
    for (const [type, payload] of bodies) {
      const { world, message, token } = await openWithMessage(t)
      const answer = await world.app.inject({
        method: 'POST',
        url: `/e/u/${token({ purpose: 'unsubscribe' })}`,
        headers: type === undefined ? {} : { 'content-type': type },
        payload,
      })
      equal(answer.statusCode, 200, type)
      const suppression = await suppressionOf(world, 'ada@person.example')
      equal(suppression?.['orders']?.reason, 'unsubscribed', type)
      ok((await outcomesOf(world, message)).unsubscribed !== undefined)
    }
  })

  it('uses the address that was written to, and answers a repeat alike', async (t) => {
    const { world, token } = await openWithMessage(t)
    const traits = { email: 'new@person.example' }
    await world.happen([{ type: 'identify', name: 'identify', userId: 'ada', traits }])
    const call = { method: 'POST', url: `/e/u/${token({ purpose: 'unsubscribe' })}` } as const
    equal((await world.app.inject(call)).statusCode, 200)
    const first = await suppressionOf(world, 'ada@person.example')
    equal((await world.app.inject(call)).statusCode, 200)
    deepStrictEqual(await suppressionOf(world, 'ada@person.example'), first)
    equal(await suppressionOf(world, 'new@person.example'), undefined)
  })

  it('takes who leaves more topics than are kept out of all mail, and says so', async (t) => {
    const { world, token } = await openWithMessage(t)
    const given = {
      address: 'ada@person.example',
      reason: 'unsubscribed',
      isLifted: false,
    } as const
    const topics = Array.from({ length: withdrawnCountMax }, (_, index) => `t${index}`)
    await world.append(topics.map((topic) => suppressRecord(world.deps, { ...given, topic })))
    await world.settle()
    const url = `/e/u/${token({ purpose: 'unsubscribe' })}`
    const answer = await world.app.inject({ method: 'POST', url })
    equal(answer.statusCode, 200)
    ok(answer.body.includes('no more emails from us'), answer.body)
    const suppression = (await suppressionOf(world, given.address)) ?? {}
    equal(suppression['*']?.reason, 'unsubscribed')
    equal(Object.keys(suppression).length, withdrawnCountMax + 1)
  })

  it('answers 503 with Retry-After where no commit comes, 404 for a wrong token', async (t) => {
    const { world, token } = await openWithMessage(t)
    const app = createApi({ ...world.deps, waitCommitted: async () => false }, apiDefaults)
    const url = `/e/u/${token({ purpose: 'unsubscribe' })}`
    const late = await app.inject({ method: 'POST', url })
    equal(late.statusCode, 503)
    equal(late.headers['retry-after'], '5')
    const wrong = await world.app.inject({ method: 'POST', url: `${url.slice(0, -2)}xx` })
    equal(wrong.statusCode, 404)
    const page = await world.app.inject('/e/u/nonsense')
    equal(page.statusCode, 404)
    ok(page.body.startsWith('<!doctype html>'))
  })
})
