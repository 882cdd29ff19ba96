/**
 * The libraries of DynamoDB and Kinesis ask a service for credentials first where the machine has
 * a role. One that takes the connection and says nothing must not hold up a request for ever.
 */

import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { before, describe, it, type TestContext } from 'node:test'
import { systemClock } from '../../src/lib/clock.ts'
import { silentLogger } from '../../src/lib/logger.ts'
import { openKinesisClient } from '../../src/log/kinesis-client.ts'
import { openDynamodbClient } from '../../src/state/dynamodb-client.ts'

const deps = { clock: systemClock, logger: silentLogger }
/** Nobody listens there: an attempt that had credentials would be refused at once. */
const endpoint = 'http://127.0.0.1:1'
const region = 'eu-central-1'
const requestMsMax = 100
/** Shorter than one wait between attempts: the first failure is the answer. */
const retryMsMax = 1
const waitMsMax = 60_000

describe('a credential service that says nothing', () => {
  before(() => {
    for (const name of ['ACCESS_KEY_ID', 'SECRET_ACCESS_KEY', 'SESSION_TOKEN', 'PROFILE']) {
      delete process.env[`AWS_${name}`]
    }
  })

  it('fails a call to DynamoDB in bounded time', async (t) => {
    const asked = await openSilentService(t)
    const client = await openDynamodbClient(deps, { region, endpoint, requestMsMax, retryMsMax })
    t.after(() => client.close())
    const call = () => client.call('GetItem', { TableName: 't', Key: {} }, 'get')
    await rejectsInTime(call, asked)
  })

  it('fails a call to Kinesis in bounded time', async (t) => {
    const asked = await openSilentService(t)
    const options = { region, endpoint, stream: 's', table: 't', requestMsMax }
    const client = await openKinesisClient(deps, { ...options, readMsMax: retryMsMax })
    t.after(() => client.close())
    const call = () => client.call('DescribeStreamSummary', { StreamName: 's' }, 'look')
    await rejectsInTime(call, asked)
  })
})

/**
 * The first calls may be over before the libraries have come to ask for credentials: they are
 * loaded when they are needed.
 */
async function rejectsInTime(call: () => Promise<unknown>, asked: () => number): Promise<void> {
  const ended = new AbortController()
  const late = systemClock.sleep(waitMsMax, ended.signal).then(() => 'no answer')
  const unreachable = { code: 'STORE_UNREACHABLE' }
  while (asked() === 0) await assert.rejects(Promise.race([call(), late]), unreachable)
  await assert.rejects(Promise.race([call(), late]), unreachable)
  ended.abort()
}

/** Has the libraries ask a service that never answers; returns how often it was connected to. */
async function openSilentService(t: TestContext): Promise<() => number> {
  const folder = await mkdtemp(join(tmpdir(), 'attune-role-'))
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    sockets.add(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(async () => {
    for (const socket of sockets) socket.destroy()
    server.close()
    await rm(folder, { recursive: true, force: true })
  })
  const address = server.address()
  assert.ok(address !== null && typeof address === 'object')
  const tokenPath = join(folder, 'token')
  await writeFile(tokenPath, 'a.b.c')
  Object.assign(process.env, {
    AWS_ROLE_ARN: 'arn:aws:iam::123456789012:role/attune',
    AWS_WEB_IDENTITY_TOKEN_FILE: tokenPath,
    AWS_ENDPOINT_URL_STS: `http://127.0.0.1:${address.port}`,
  })
  return () => sockets.size
}
