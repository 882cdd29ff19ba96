import assert from 'node:assert/strict'
import { createServer, type Socket } from 'node:net'
import { it, type TestContext } from 'node:test'
import { systemClock } from '../lib/clock.ts'
import { KafkaCluster } from './kafka-cluster.ts'
import { assignByGroup } from './kafka-group.ts'
import { KafkaProgress } from './kafka-progress.ts'

const entryMsMax = 200
const waitMsMax = 20_000

it('makes a new member, and says so, where the cluster does not let one in', async (t) => {
  const broker = await openSilentBroker(t)
  const said: unknown[] = []
  const isSaid = Promise.withResolvers<void>()
  const logger = {
    info: () => {},
    error: () => {},
    warn: (fields: Record<string, unknown>, event: string) => {
      said.push([event, fields['says']])
      isSaid.resolve()
    },
  }
  const stop = new AbortController()
  t.after(() => stop.abort())
  const options = { brokers: [broker.address], topic: 't', clientId: 'c', groupId: 'g' }
  const progress = new KafkaProgress(new KafkaCluster(systemClock, options), 'g')
  const told = { progress, progressMs: 5_000 }
  const limits = { sessionMsMax: 6_000, heartbeatMs: 300, entryMsMax, ...told }
  const members = assignByGroup(
    { clock: systemClock, logger },
    { ...options, ...limits },
    stop.signal,
  )
  const assigned = members.next()
  await Promise.race([isSaid.promise, systemClock.sleep(waitMsMax, stop.signal)])
  assert.deepEqual(said[0], [
    'log group left; joining anew',
    `it was not let in within ${entryMsMax} ms`,
  ])
  const firstCount = broker.connectionCount()
  const deadlineMs = systemClock.monotonicMs() + waitMsMax
  while (broker.connectionCount() === firstCount && systemClock.monotonicMs() < deadlineMs) {
    await systemClock.sleep(20)
  }
  assert.ok(broker.connectionCount() > firstCount, 'another member asks')
  stop.abort()
  assert.equal((await assigned).done, true)
})

/** Takes connections, and answers nothing. */
async function openSilentBroker(t: TestContext) {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.resume()
    sockets.add(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  assert.ok(address !== null && typeof address === 'object')
  return { address: `127.0.0.1:${address.port}`, connectionCount: () => sockets.size }
}
