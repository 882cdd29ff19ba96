/**
 * An HTTP proxy of one server that spoils the first requests it is told to spoil, then passes all.
 *
 * Only POST is spoiled: preflights, settings and scripts always pass. What the proxy answers itself
 * has the headers that the server's own answer would have, so that a page may read it.
 */

import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export type Fault =
  | { readonly kind: 'answer'; readonly status: number; readonly retryAfterSeconds?: number }
  /** Half of the body reaches the server, then both sides lose the connection. */
  | { readonly kind: 'cut-request' }
  /** The server takes the request, and its answer never arrives. */
  | { readonly kind: 'cut-answer' }

/** Ways to fail after which a client that repeats requests must have lost nothing. */
export const faults: Readonly<Record<string, Fault>> = {
  'a 429': { kind: 'answer', status: 429, retryAfterSeconds: 1 },
  'a 503': { kind: 'answer', status: 503, retryAfterSeconds: 1 },
  'a connection cut in its request': { kind: 'cut-request' },
  'a connection cut before its answer': { kind: 'cut-answer' },
}

/** What a client on the other side of the proxy did, in the order in which requests ended. */
export interface Seen {
  readonly method: string
  readonly path: string
  readonly headers: IncomingMessage['headers']
  /** As the client sent it, compressed or not. */
  readonly body: Buffer
  /** What the client was told; a cut tells it nothing. */
  readonly outcome: number | 'cut-request' | 'cut-answer'
}

export function outcomeOf(fault: Fault): Seen['outcome'] {
  return fault.kind === 'answer' ? fault.status : fault.kind
}

export interface FaultyProxy {
  readonly url: string
  readonly port: number
  readonly seen: readonly Seen[]
  /** Spoils the next POST requests, one fault each. */
  spoil(faults: readonly Fault[]): void
  /** Spoils nothing more. */
  heal(): void
  /** Outcomes of the POST requests, in the order in which they ended. */
  outcomes(): readonly Seen['outcome'][]
  close(): Promise<void>
}

export async function openFaultyProxy(targetPort: number): Promise<FaultyProxy> {
  const due: Fault[] = []
  const seen: Seen[] = []
  const server = createServer((asked, response) => {
    const chunks: Buffer[] = []
    asked.on('data', (chunk: Buffer) => chunks.push(chunk))
    asked.on('end', () => {
      const body = Buffer.concat(chunks)
      const fault = asked.method === 'POST' ? due.shift() : undefined
      const note = (outcome: Seen['outcome']): void => {
        const { method = '', url: path = '', headers } = asked
        seen.push({ method, path, headers, body, outcome })
      }
      if (fault?.kind === 'answer') answerFault(response, fault)
      if (fault?.kind === 'answer') note(fault.status)
      else pass({ asked, response, body, targetPort }, fault?.kind, note)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    seen,
    spoil: (more) => due.push(...more),
    heal: () => due.splice(0),
    outcomes: () => seen.filter(({ method }) => method === 'POST').map(({ outcome }) => outcome),
    close() {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}

function answerFault(
  response: ServerResponse,
  fault: Extract<Fault, { readonly kind: 'answer' }>,
): void {
  const { status, retryAfterSeconds } = fault
  response.writeHead(status, {
    'access-control-allow-origin': '*',
    'access-control-expose-headers': 'retry-after, x-ratelimit-reset',
    ...(retryAfterSeconds === undefined ? {} : { 'retry-after': String(retryAfterSeconds) }),
  })
  response.end('{"title":"spoiled by the test"}')
}

interface Passage {
  readonly asked: IncomingMessage
  readonly response: ServerResponse
  readonly body: Buffer
  readonly targetPort: number
}

/** Asks the server; a `cut` ends both connections at its place. */
function pass(
  { asked, response, body, targetPort }: Passage,
  cut: 'cut-request' | 'cut-answer' | undefined,
  note: (outcome: Seen['outcome']) => void,
): void {
  const { method, url: path, headers } = asked
  const given = { host: '127.0.0.1', port: targetPort, method, path, agent: false }
  const length = body.length > 0 ? { 'content-length': body.length } : {}
  const onward = request({ ...given, headers: { ...headers, ...length, connection: 'close' } })
  onward.on('error', () => response.destroy())
  if (cut === 'cut-request') {
    note(cut)
    onward.write(body.subarray(0, body.length / 2), () => {
      onward.destroy()
      response.destroy()
    })
    return
  }
  onward.on('response', (answer) => {
    const chunks: Buffer[] = []
    answer.on('data', (chunk: Buffer) => chunks.push(chunk))
    answer.on('end', () => {
      note(cut ?? answer.statusCode ?? 0)
      if (cut !== undefined) return response.destroy()
      const { connection: _connection, 'transfer-encoding': _encoding, ...kept } = answer.headers
      response.writeHead(answer.statusCode ?? 502, kept).end(Buffer.concat(chunks))
    })
  })
  onward.end(body)
}
