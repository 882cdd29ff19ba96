/**
 * A deployment that was killed while it handed a message over goes over to Kafka and DynamoDB, with
 * real servers and a move that is killed on its way: what was granted becomes unclear and is never
 * sent twice, what was due is sent once.
 */

import assert from 'node:assert/strict'
import { it, type TestContext } from 'node:test'
import {
  dynamodbEnvironment,
  dynamodbIsMissing,
  hasDynamodb,
  startDynamodb,
} from '../../scripts/service-dynamodb.ts'
import { hasKafka, kafkaIsMissing } from '../../scripts/service-kafka.ts'
import type { Message } from '../../src/campaign/message.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { stopServerProcess } from '../faults/server-process.ts'
import { writeKey } from '../faults/small-shop.ts'
import { type MoveWorld, openMoveWorld } from './move-harness.ts'
import { parseLines, runCommand, waitUntil } from './run-command.ts'

/** In each partition more than are claimed at a time. */
const people = Array.from({ length: 160 }, (_, index) => `p${index}`)
const partitionCount = 4
/** A command has begun to copy by then, or not; it is right in both cases. */
const killAfterMs = 2_000
const rowPattern = /^\s*(\d+)\s+\d+\s+\d+\s+([0-9a-f]{16})\s+([0-9a-f]{16})\s+equal\s*$/gm

interface Moved {
  readonly isEqual: boolean
  readonly partitions: readonly { readonly hashBefore: string; readonly hashAfter: string }[]
}

it('move carries messages in hand over to Kafka and DynamoDB, and is cut off', async (t) => {
  if (!hasKafka()) return t.skip(kafkaIsMissing)
  if (!hasDynamodb()) return t.skip(dynamodbIsMissing)
  const world = await openWorld(t)
  const { dataDir, configPath, catcher } = world
  const environment = dynamodbEnvironment
  await killInHand(world)
  assert.equal(catcher.count, 0)
  const before = await messagesOf(['--data-dir', dataDir])
  const granted = before.filter(({ state }) => state.kind === 'granted')
  const due = before.filter(({ state }) => state.kind === 'due')
  assert.ok(granted.length > 0 && due.length > 0, `${granted.length} granted, ${due.length} due`)

  const given = ['move', '--data-dir', dataDir, '--to', configPath]
  const cut = await runCommand(given, { environment, killAfterMs })
  t.diagnostic(`killed: ${cut.code === null}, having said ${cut.stdout.length} characters`)
  const shown = await runCommand(given, { environment })
  assert.equal(shown.code, 0, shown.stderr)
  const rows = [...shown.stdout.matchAll(rowPattern)].map(([, ...row]) => row)
  const again = await runCommand([...given, '--json'], { environment })
  const [moved] = parseLines<Moved>(again.stdout)
  assert.equal(moved?.isEqual, true, again.stderr)
  assert.deepEqual(
    rows,
    moved.partitions.map(({ hashBefore, hashAfter }, partition) => [
      String(partition),
      hashBefore.slice(0, 16),
      hashAfter.slice(0, 16),
    ]),
  )
  assert.equal(rows.length, partitionCount)

  const after = await world.openServer({
    environment: { ...environment, ATTUNE_CONFIG: configPath },
  })
  await waitUntil(() => catcher.count >= people.length - granted.length)
  await systemClock.sleep(1000)
  assert.equal((await stopServerProcess(after)).code, 0, after.said())
  const unsent = new Set(granted.map(({ personKey }) => personKey))
  const receivers = catcher.list(people.length).flatMap(({ envelopeTo }) => envelopeTo)
  const expected = people.filter((userId) => !unsent.has(`user:${userId}`)).map(addressOf)
  assert.deepEqual(receivers.toSorted(), expected.toSorted())
  const messages = await messagesOf(['--config', configPath], environment)
  for (const { personKey, state } of messages) {
    assert.equal(state.kind, unsent.has(personKey) ? 'unknown' : 'accepted', personKey)
  }
  assert.equal(messages.length, people.length)
})

/** Runs a server that is killed before its first hand-over, when its claims are granted. */
async function killInHand(world: MoveWorld): Promise<void> {
  const server = await world.openServer({ failpoint: 'hand-over-before:1' })
  const properties = { product_id: 'kettle-1', price: 24.5, quantity: 1 }
  const batch = people.flatMap((userId) => [
    { type: 'identify', userId, traits: { email: addressOf(userId) } },
    { type: 'track', userId, event: 'Product Added', properties },
  ])
  const authorization = `Basic ${Buffer.from(`${writeKey}:`).toString('base64')}`
  const response = await fetch(`${server.url}/v1/batch`, {
    method: 'POST',
    headers: { authorization, 'content-type': 'application/json' },
    body: JSON.stringify({ batch }),
  })
  assert.equal(response.status, 200)
  assert.equal((await server.ended).signal, 'SIGKILL', server.said())
}

function addressOf(userId: string): string {
  return `${userId}@people.example`
}

async function messagesOf(
  where: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<readonly Message[]> {
  const ran = await runCommand(['messages', ...where, '--json'], { environment })
  assert.equal(ran.code, 0, ran.stderr)
  return parseLines<Message>(ran.stdout)
}

function openWorld(t: TestContext): Promise<MoveWorld> {
  return openMoveWorld(t, {
    ...{ partitionCount, wait: '3s' },
    startState: () => startDynamodb(),
    stateConfig: (address) => ({
      state: { kind: 'dynamodb' },
      dynamodb: { region: 'local', endpoint: `http://${address}` },
    }),
  })
}
