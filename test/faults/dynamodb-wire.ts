/**
 * A wire between one process and DynamoDB that knows requests: it can hold them from a named place
 * on, and deliver them when others have gone on.
 */

import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'

export interface WireCall {
  /** As `TransactWriteItems`. */
  readonly name: string
  /** JSON, as it is sent. */
  readonly body: string
}

export interface DynamodbWire {
  readonly port: number
  /** Holds all requests from the first that `isPlace` accepts; resolves when that one is here. */
  holdFrom(isPlace: (call: WireCall) => boolean): Promise<void>
  /**
   * Sends what is held to the server and holds nothing more. Resolves with the status of each
   * answer, in the order in which the requests came.
   */
  deliver(): Promise<readonly number[]>
  close(): Promise<void>
}

const host = '127.0.0.1'

/** Opens on a free port. */
export async function openDynamodbWire(targetPort: number): Promise<DynamodbWire> {
  const agent = new Agent({ keepAlive: true })
  const held: (() => Promise<number>)[] = []
  let isPlace: ((call: WireCall) => boolean) | undefined
  let reached = Promise.withResolvers<void>()
  let isHolding = false
  const take = async (from: IncomingMessage, to: ServerResponse): Promise<void> => {
    const body = await buffer(from)
    const send = (): Promise<number> => sendOn(agent, targetPort, { from, body, to })
    if (isPlace?.(callOf(from, body)) === true) {
      isPlace = undefined
      isHolding = true
      reached.resolve()
    }
    if (isHolding) held.push(send)
    else await send()
  }
  // A client that goes away in the middle of a request has nothing to be told.
  const listener = createServer((from, to) => void take(from, to).catch(() => to.destroy()))
  await new Promise<void>((resolve) => listener.listen(0, host, resolve))
  return {
    port: (listener.address() as AddressInfo).port,
    holdFrom(isWanted) {
      isPlace = isWanted
      reached = Promise.withResolvers()
      return reached.promise
    },
    async deliver() {
      isHolding = false
      return await Promise.all(held.splice(0).map((send) => send()))
    },
    async close() {
      listener.closeAllConnections()
      agent.destroy()
      await new Promise((resolve) => listener.close(resolve))
    },
  }
}

function callOf({ headers }: IncomingMessage, body: Buffer): WireCall {
  const name = String(headers['x-amz-target']).split('.')[1] ?? ''
  return { name, body: body.toString() }
}

interface Passage {
  readonly from: IncomingMessage
  readonly body: Buffer
  readonly to: ServerResponse
}

/** Sends a request on and its answer back; resolves with the status of the answer. */
function sendOn(agent: Agent, port: number, { from, body, to }: Passage): Promise<number> {
  const { method, url, headers } = from
  return new Promise((resolve, reject) => {
    const sent = request({ host, port, agent, method, path: url, headers }, (answer) => {
      const status = answer.statusCode ?? 0
      to.writeHead(status, answer.headers)
      answer.pipe(to)
      answer.on('error', reject)
      answer.on('end', () => resolve(status))
    })
    sent.on('error', reject)
    sent.end(body)
  })
}
