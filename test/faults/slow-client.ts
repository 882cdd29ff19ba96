/** Clients that send a request byte by byte and never come to its end. */

import { connect, type Socket } from 'node:net'
import { systemClock } from '../../src/lib/clock.ts'
import { writeKey } from './small-shop.ts'

export interface SlowClient {
  readonly socket: Socket
  readonly text: string
  sentCount: number
  isClosed: boolean
}

const authorization = `authorization: Basic ${Buffer.from(`${writeKey}:`).toString('base64')}\r\n`

/** Opens a client; every second one is slow with its head, the others with their body. */
export function openSlow(port: number, index: number): SlowClient {
  const start = 'POST /v1/track HTTP/1.1\r\nhost: attune.example\r\n'
  const isHead = index % 2 === 0
  const text = isHead ? `${start}x-slow: ${'a'.repeat(200)}` : ' '.repeat(200)
  const client: SlowClient = {
    socket: connect(port, '127.0.0.1'),
    text,
    sentCount: 0,
    isClosed: false,
  }
  client.socket.on('error', () => {})
  client.socket.on('close', () => {
    client.isClosed = true
  })
  client.socket.resume()
  if (!isHead) client.socket.write(`${start}${authorization}content-length: 200\r\n\r\n`)
  return client
}

/** Has each client send a byte every `dripMs`, until `signal` aborts. */
export async function dripInto(
  clients: readonly SlowClient[],
  dripMs: number,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    for (const client of clients) {
      if (!client.isClosed) client.socket.write(client.text.charAt(client.sentCount++))
    }
    await systemClock.sleep(dripMs, signal)
  }
}
