/**
 * HTTP as bytes on a socket of its own: what `fetch` would refuse to send, and answers as they
 * came. One request at a time; the connection is kept for the next one where the server keeps it.
 */

import { connect, type Socket } from 'node:net'
import type { SentRequest } from './bad-input.ts'

export interface WireAnswer {
  /** 0 where the connection ended without one. */
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
}

const answerMsMax = 60_000
const noChunks = '0\r\n\r\n'
const noAnswer: WireAnswer = { status: 0, headers: new Map(), body: '' }

/** Returns the bytes of a request. */
export function writeRequest(sent: SentRequest): Buffer {
  const { method, path, headers, body } = sent
  const lines = [`${method} ${path} HTTP/1.1`, 'host: attune.example']
  for (const [name, value] of headers) lines.push(`${name}: ${value}`)
  lines.push(`content-length: ${body.length}`, '', '')
  return Buffer.concat([Buffer.from(lines.join('\r\n'), 'latin1'), body])
}

/** A connection that is opened when it is needed, and again when the server has closed it. */
export class WireClient {
  readonly #port: number
  #socket: Socket | undefined
  #received = Buffer.alloc(0)
  #look: () => void = () => {}

  constructor(port: number) {
    this.#port = port
  }

  /** Sends `bytes` and resolves with the answer. Never rejects. */
  exchange(bytes: Uint8Array): Promise<WireAnswer> {
    return new Promise((resolve) => {
      const socket = this.#open()
      const finish = (answer: WireAnswer, isKept: boolean): void => {
        this.#look = () => {}
        if (!isKept) this.close()
        resolve(answer)
      }
      this.#look = () => {
        const read = readAnswer(this.#received)
        if (read !== undefined) {
          this.#received = this.#received.subarray(read.bytes)
          const isKept = read.answer.headers.get('connection') !== 'close' && !socket.destroyed
          finish(read.answer, isKept)
        } else if (socket.destroyed) finish(noAnswer, false)
      }
      socket.write(bytes)
    })
  }

  close(): void {
    this.#socket?.destroy()
    this.#socket = undefined
    this.#received = Buffer.alloc(0)
  }

  #open(): Socket {
    if (this.#socket !== undefined && !this.#socket.destroyed) return this.#socket
    this.#received = Buffer.alloc(0)
    const socket = connect({ port: this.#port, host: '127.0.0.1', timeout: answerMsMax })
    this.#socket = socket
    socket.on('data', (chunk) => {
      this.#received = Buffer.concat([this.#received, chunk])
      this.#look()
    })
    socket.on('timeout', () => socket.destroy())
    socket.on('error', () => {})
    socket.on('close', () => this.#look())
    return socket
  }
}

/** Sent behind what may be anything: an answer to it tells that the server waits for no more. */
const lastRequest = Buffer.from(
  'GET /healthz HTTP/1.1\r\nhost: attune.example\r\nconnection: close\r\n\r\n',
)

/**
 * Sends `bytes` that may be anything over a connection of its own. Resolves with all answers, since
 * what is left of a broken request may be read as another one: none where there was nothing to
 * answer, and a single one of status 0 where the server said nothing at all.
 */
export function exchangeRaw(port: number, bytes: Uint8Array): Promise<readonly WireAnswer[]> {
  return new Promise((resolve) => {
    let received = Buffer.alloc(0)
    const socket = connect({ port, host: '127.0.0.1', timeout: answerMsMax })
    socket.write(Buffer.concat([bytes, lastRequest]))
    socket.on('timeout', () => socket.destroy())
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk])
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      const answers: WireAnswer[] = []
      for (let read = readAnswer(received); read !== undefined; read = readAnswer(received)) {
        answers.push(read.answer)
        received = received.subarray(read.bytes)
      }
      const last = answers.at(-1)
      if (last?.status === 200 && last.headers.get('connection') === 'close') answers.pop()
      resolve(last === undefined ? [noAnswer] : answers)
    })
  })
}

/** Returns the first whole answer in `bytes`, and how many of them it took. */
function readAnswer(
  bytes: Buffer,
): { readonly answer: WireAnswer; readonly bytes: number } | undefined {
  const headEnd = bytes.indexOf('\r\n\r\n')
  if (headEnd < 0) return undefined
  const [first = '', ...lines] = bytes.toString('latin1', 0, headEnd).split('\r\n')
  const headers = new Map(
    lines.map((line) => {
      const at = line.indexOf(':')
      return [line.slice(0, at).toLowerCase(), line.slice(at + 1).trim()] as const
    }),
  )
  const from = headEnd + 4
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(first)?.[1] ?? 0)
  // Only the HTTP parser's own answers come in chunks, and those have no body.
  const isChunked = headers.get('transfer-encoding') === 'chunked'
  const length = isChunked ? noChunks.length : Number(headers.get('content-length') ?? 0)
  const to = from + length
  if (bytes.length < to) return undefined
  const body = isChunked ? '' : bytes.toString('utf8', from, to)
  return { answer: { status, headers, body }, bytes: to }
}
