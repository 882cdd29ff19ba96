import assert from 'node:assert/strict'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { describe, it, type TestContext } from 'node:test'
import { parseAddressList } from '../lib/address-list.ts'
import { systemClock } from '../lib/clock.ts'
import { limitConnections } from './connection-limits.ts'

interface Stage {
  readonly server: Server
  readonly counts: { refused: number }
  /** Opens a connection from one of this machine's addresses; says what became of it. */
  open(from: string): Promise<Socket | 'closed'>
}

async function openStage(t: TestContext, trusted: string): Promise<Stage> {
  const server = createServer((_, response) => response.end('here'))
  const parsed = parseAddressList(trusted)
  const counts = { refused: 0 }
  limitConnections(server, {
    connectionCountMax: 8,
    connectionsPerAddressMax: 3,
    isTrustedProxy: parsed.kind === 'list' ? parsed.has : () => false,
    onRefused: () => counts.refused++,
  })
  await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve))
  const { port } = server.address() as AddressInfo
  const sockets: Socket[] = []
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.closeAllConnections()
    return new Promise((resolve) => server.close(resolve))
  })
  return {
    server,
    counts,
    open: (from) =>
      new Promise((resolve) => {
        const socket = connect({ port, host: '127.0.0.1', localAddress: from })
        sockets.push(socket)
        socket.on('error', () => resolve('closed'))
        socket.on('close', () => resolve('closed'))
        socket.on('data', () => resolve(socket))
        socket.write('GET / HTTP/1.1\r\nHost: here\r\n\r\n')
      }),
  }
}

async function openMany(stage: Stage, from: string, count: number): Promise<(Socket | 'closed')[]> {
  const opened: (Socket | 'closed')[] = []
  for (let number = 0; number < count; number++) opened.push(await stage.open(from))
  return opened
}

describe('connections', () => {
  it('of one address are bounded, and those of another are not touched', async (t) => {
    const stage = await openStage(t, '')
    const [first, ...rest] = await openMany(stage, '127.0.0.2', 4)
    assert.deepEqual(
      rest.map((each) => each === 'closed'),
      [false, false, true],
    )
    assert.notEqual(await stage.open('127.0.0.3'), 'closed')
    assert.equal(stage.counts.refused, 1)
    if (first !== 'closed') first?.destroy()
    const deadlineMs = systemClock.monotonicMs() + 60_000
    while ((await stage.open('127.0.0.2')) === 'closed') {
      assert.ok(systemClock.monotonicMs() < deadlineMs, 'a place that is left can be taken')
    }
  })

  it('of trusted proxies are bounded in all only', async (t) => {
    const stage = await openStage(t, '127.0.0.0/8')
    const opened = await openMany(stage, '127.0.0.2', 9)
    assert.equal(opened.filter((each) => each !== 'closed').length, 8)
    assert.equal(stage.counts.refused, 1)
  })
})
