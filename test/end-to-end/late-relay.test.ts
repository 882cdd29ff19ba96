/**
 * A relay that takes its time: while one message has the only connection to it, the person whose
 * message waits behind it leaves, by the API or by an event. That message is never handed over.
 */

import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { createApiKey } from '../../src/api/api-keys.ts'
import { type Message, type MessageState, messagePrefix } from '../../src/campaign/message.ts'
import { openMailCatcher } from '../../src/catcher/mail-catcher.ts'
import { findPerson } from '../../src/delivery/read-state.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { systemRandom } from '../../src/lib/random.ts'
import { decodeJson } from '../../src/process/meta.ts'
import { hasWithdrawn } from '../../src/profile/person.ts'
import { openSqliteStateStore } from '../../src/state/sqlite-state-store.ts'
import { waitUntil } from '../command/run-command.ts'
import { openClusterProxy } from '../faults/cluster-proxy.ts'
import { freePort, openServerProcess, stopServerProcess } from '../faults/server-process.ts'
import { writeKey, writeSmallShop } from '../faults/small-shop.ts'

const partitionCount = 64

it('hands nothing over to who left while the message waited for a connection', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'attune-late-'))
  const closers: (() => unknown)[] = []
  t.after(async () => {
    for (const close of closers.reverse()) await close()
    await rm(folder, { recursive: true, force: true })
  })
  const [dataDir, definitionsDir] = [join(folder, 'data'), join(folder, 'shop')]
  await writeSmallShop(definitionsDir, { without: ['waiting'] })
  const catcher = await openMailCatcher({ host: '127.0.0.1', port: 0 })
  closers.push(() => catcher.close())
  const relay = await openClusterProxy(catcher.port)
  closers.push(() => relay.close())
  const server = await openServerProcess({
    ...{ dataDir, definitionsDir, port: await freePort(), smtpPort: relay.port },
    environment: { ATTUNE_DELIVERY__CONNECTION_COUNT_MAX: '1' },
  })
  closers.push(() => server.signal('SIGKILL'))
  const post = async (path: string, authorization: string, body: object): Promise<number> => {
    const headers = { authorization, 'content-type': 'application/json' }
    const init = { method: 'POST', headers, body: JSON.stringify(body) }
    const response = await fetch(server.url + path, init)
    await response.arrayBuffer()
    return response.status
  }
  const basic = `Basic ${Buffer.from(`${writeKey}:`).toString('base64')}`
  const collect = async (...batch: readonly object[]): Promise<void> =>
    assert.equal(await post('/v1/batch', basic, { batch }), 200)
  const addToCart = (userId: string): Promise<void> =>
    collect(
      { type: 'identify', userId, traits: { email: `${userId}@people.example` } },
      { type: 'track', userId, event: 'Product Added', properties: { product_id: 'cup' } },
    )
  const state = await openSqliteStateStore({ dataDir, readOnly: true })
  closers.push(() => state.close())
  const stateOf = async (userId: string): Promise<MessageState | undefined> => {
    for (let partition = 0; partition < partitionCount; partition++) {
      for (const { value } of await state.scan(partition, messagePrefix, '', 100)) {
        const message = decodeJson<unknown>(value) as Message
        if (message.personKey === `user:${userId}`) return message.state
      }
    }
    return undefined
  }

  // Told before the mail is answered: the connection is not free until the answers pass.
  const hold = catcher.subscribe(() => relay.block('answers'))
  await addToCart('first')
  await waitUntil(() => catcher.count === 1)
  hold()
  for (const userId of ['suppressed', 'withdrawn', 'stays']) {
    await addToCart(userId)
    await waitUntil(async () => (await stateOf(userId))?.kind === 'granted')
  }
  const key = await createApiKey(
    dataDir,
    { clock: systemClock, random: systemRandom },
    { name: 'test', scopes: ['write'] },
  )
  // A new key is noticed within a second.
  const address = 'suppressed@people.example'
  await waitUntil(
    async () => (await post('/api/v1/suppressions', `Bearer ${key}`, { address })) === 200,
  )
  await collect({ type: 'track', userId: 'withdrawn', event: 'Unsubscribed' })
  const place = { state, workspace: 'default', partitionCount }
  await waitUntil(async () => {
    const found = await findPerson(place, 'user:withdrawn')
    return found !== undefined && hasWithdrawn(found.person, 'reminders')
  })

  relay.open()
  const ended: Record<string, string> = {}
  for (const userId of ['first', 'suppressed', 'withdrawn', 'stays']) {
    let last: MessageState | undefined
    await waitUntil(async () => {
      last = await stateOf(userId)
      return last?.kind === 'accepted' || last?.kind === 'refused'
    })
    ended[userId] = last?.kind === 'refused' ? last.reason : (last?.kind ?? '')
  }
  assert.deepEqual(ended, {
    first: 'accepted',
    suppressed: 'suppressed',
    withdrawn: 'consent',
    stays: 'accepted',
  })
  const written = catcher.list(10).flatMap(({ envelopeTo }) => envelopeTo)
  assert.deepEqual(written.toSorted(), ['first@people.example', 'stays@people.example'])
  assert.equal((await stopServerProcess(server)).code, 0, server.said())
})
