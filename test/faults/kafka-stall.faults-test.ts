/**
 * A connection to Kafka that lives and delivers nothing.
 *
 * A proxy before the broker goes silent on the connections that poll. Reading goes on all the same,
 * by single requests, until the watchdog has connected anew.
 */

import assert from 'node:assert/strict'
import { connect, createServer, type Socket } from 'node:net'
import { it, type TestContext } from 'node:test'
import { freePorts } from '../../scripts/service.ts'
import { hasKafka, kafkaIsMissing, startKafka } from '../../scripts/service-kafka.ts'
import { systemClock } from '../../src/lib/clock.ts'
import type { Logger } from '../../src/lib/logger.ts'
import { aRecord } from '../../src/log/event-log.contract.ts'
import { openKafkaEventLog } from '../../src/log/kafka-event-log.ts'
import { initKafkaTopics } from '../../src/log/kafka-topic.ts'

const host = '127.0.0.1'
const fetchKey = 1
const stallMsMax = 1_000
const { sleep } = systemClock

/** Passes on everything; goes silent on what polls now when it is told to. */
async function startProxy(t: TestContext, port: number, target: number) {
  const pairs = new Set<{ readonly client: Socket; readonly server: Socket; firstKey?: number }>()
  const proxy = createServer((client) => {
    const server = connect(target, host)
    const pair: { readonly client: Socket; readonly server: Socket; firstKey?: number } = {
      client,
      server,
    }
    pairs.add(pair)
    client.once('data', (bytes) => {
      pair.firstKey = bytes.readInt16BE(4)
    })
    client.pipe(server).pipe(client)
    for (const socket of [client, server]) {
      socket.on('error', () => undefined)
      socket.once('close', () => {
        client.destroy()
        server.destroy()
        pairs.delete(pair)
      })
    }
  })
  await new Promise<void>((resolve) => proxy.listen(port, host, resolve))
  t.after(() => {
    for (const { client } of pairs) client.destroy()
    proxy.close()
  })
  return {
    silence(): number {
      const polling = [...pairs].filter(({ firstKey }) => firstKey === fetchKey)
      for (const { client, server } of polling) server.unpipe(client)
      return polling.length
    },
  }
}

const name = 'reads on, and connects anew, where a connection lives and delivers nothing'
if (hasKafka()) it(name, goOn)
else it(name, (t) => t.skip(kafkaIsMissing))

async function goOn(t: TestContext): Promise<void> {
  const [proxyPort = 0] = await freePorts(1)
  const kafka = await startKafka(t, {
    settings: { 'advertised.listeners': `BROKER://${host}:${proxyPort}` },
  })
  const brokerPort = Number(kafka.addresses[0]?.split(':')[1])
  const proxy = await startProxy(t, proxyPort, brokerPort)
  const cluster = { brokers: kafka.addresses, clientId: 'faults' }
  await initKafkaTopics({ ...cluster, topics: ['events'] }, { partitionCount: 2 })
  const warnings: string[] = []
  const logger: Logger = {
    info: () => undefined,
    warn: (_fields, event) => warnings.push(event),
    error: (_fields, event) => warnings.push(event),
  }
  // No answer counts as late within this test: only the watchdog can tell.
  const limits = { stallMsMax, requestMsMax: 60_000 }
  const log = await openKafkaEventLog(
    { clock: systemClock, logger },
    { ...cluster, ...limits, topic: 'events' },
  )
  t.after(() => log.close())
  let after = 0
  const appendAndRead = async (): Promise<number> => {
    const [place] = await log.append([aRecord()])
    const beganAt = performance.now()
    const page = await log.read(0, after, 100)
    assert.equal(page.at(-1)?.offset, place?.offset)
    after = place?.offset ?? after
    return performance.now() - beganAt
  }
  for (let n = 0; n < 5; n++) await appendAndRead()
  await sleep(200)
  assert.equal(proxy.silence(), 1)
  const stalledAt = performance.now()
  await appendAndRead()
  await log.append([aRecord()])
  while (log.measures().reopenedCount === 0) {
    assert.ok(performance.now() - stalledAt < 60 * stallMsMax, 'the watchdog sees it')
    await sleep(20)
  }
  const tookMs = Math.round(performance.now() - stalledAt)
  assert.ok(warnings.includes('log stalled; connecting anew'))
  assert.equal((await log.read(0, after, 100)).length, 1)
  after++
  await sleep(500)
  // Without it each read would take longer; with it some do on a busy machine.
  const readMs: number[] = []
  for (let n = 0; n < 10; n++) readMs.push(await appendAndRead())
  assert.ok(Math.min(...readMs) < 250, `the loop delivers again: ${readMs.join(', ')} ms`)
  t.diagnostic(`connected anew after ${tookMs} ms`)
}
