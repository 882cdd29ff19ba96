/**
 * Reads the body of a request to its end, inflates it, and reads it as JSON, within limits at each
 * step.
 *
 * A body over its limit, or one for which there is no room, is not kept, but more of it is read
 * away before the answer: a client that is cut off while it writes sees a broken connection and
 * not why, and sends the same again at once.
 */

import type { IncomingMessage } from 'node:http'
import { promisify } from 'node:util'
import { brotliDecompress, gunzip, inflate, inflateRaw } from 'node:zlib'
import type { RequestReason } from './reject-reason.ts'
import { type BodyEncoding, bodyEncodings } from './rejected-record.ts'

export type ReadBody =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  /** `isEnded` is false where the client was still writing. */
  | { readonly kind: 'too-large'; readonly bytes: Uint8Array; readonly isEnded: boolean }
  /** There was no room for it. Nothing is kept, and the client can hear of it. */
  | { readonly kind: 'overloaded'; readonly isEnded: boolean }
  /** The client went away. */
  | { readonly kind: 'gone' }

export type ParsedBody =
  | {
      readonly kind: 'json'
      readonly body: unknown
      readonly bytes: Uint8Array
      /** False where no backslash is in it: then every text is sound, see `findLimitFault`. */
      readonly hasEscapes: boolean
    }
  | { readonly kind: 'refused'; readonly reason: RequestReason; readonly says: string }

/** Bytes of all bodies in hand, shared by all requests. */
export interface BodyBudget {
  readonly bytesMax: number
  bytesInFlight: number
}

const drainBytesMax = 1024 * 1024

const gunzipAsync = promisify(gunzip)
const inflateAsync = promisify(inflate)
const inflateRawAsync = promisify(inflateRaw)
const brotliAsync = promisify(brotliDecompress)
const textDecoder = new TextDecoder('utf-8', { fatal: true })

/** Returns the encoding that a header names; undefined for one that is not taken, or several. */
export function encodingOf(header: string | undefined): BodyEncoding | undefined {
  const name = (header ?? '').trim().toLowerCase()
  if (name === '') return 'identity'
  return name === 'x-gzip' ? 'gzip' : bodyEncodings.find((each) => each === name)
}

/**
 * Resolves when the body has ended or is refused. The caller gives back `bytes.length` to the
 * budget.
 */
export function readBody(
  request: IncomingMessage,
  bytesMax: number,
  budget: BodyBudget,
): Promise<ReadBody> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let keptBytes = 0
    let readBytes = 0
    let isOverloaded = false
    let isDone = false
    const dropKept = (): void => {
      chunks.length = 0
      budget.bytesInFlight -= keptBytes
      keptBytes = 0
    }
    const finish = (result: ReadBody): void => {
      if (isDone) return
      isDone = true
      if (result.kind === 'gone') dropKept()
      if (!request.readableEnded) request.off('data', take)
      resolve(result)
    }
    const finishRefused = (isEnded: boolean): void => {
      if (isOverloaded) finish({ kind: 'overloaded', isEnded })
      else finish({ kind: 'too-large', bytes: Buffer.concat(chunks), isEnded })
    }
    const take = (chunk: Buffer): void => {
      readBytes += chunk.length
      if (readBytes > bytesMax || isOverloaded) {
        if (readBytes > bytesMax + drainBytesMax) finishRefused(false)
      } else if (budget.bytesInFlight + chunk.length > budget.bytesMax) {
        isOverloaded = true
        dropKept()
      } else {
        chunks.push(chunk)
        keptBytes += chunk.length
        budget.bytesInFlight += chunk.length
      }
    }
    request.on('data', take)
    request.on('end', () => {
      const bytes = chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks)
      if (readBytes > bytesMax || isOverloaded) finishRefused(true)
      else finish({ kind: 'bytes', bytes })
    })
    // A client that goes away is a close without an end, and an error only where one listens.
    request.on('close', () => finish({ kind: 'gone' }))
  })
}

/**
 * Inflates and reads `bytes`; at once where they are not compressed. Never rejects: a body that
 * cannot be read is a value.
 */
export function parseBody(
  bytes: Uint8Array,
  encoding: BodyEncoding,
  inflatedBytesMax: number,
): ParsedBody | Promise<ParsedBody> {
  if (bytes.length === 0) return refuse('body-empty', 'The body is empty.')
  if (encoding === 'identity' && !isGzipped(bytes)) return parseJson(bytes)
  return parseInflated(bytes, encoding === 'identity' ? 'gzip' : encoding, inflatedBytesMax)
}

/** PostHog's browser client says so in the query alone. No JSON begins with these bytes. */
function isGzipped(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b
}

async function parseInflated(
  bytes: Uint8Array,
  encoding: Exclude<BodyEncoding, 'identity'>,
  inflatedBytesMax: number,
): Promise<ParsedBody> {
  try {
    return parseJson(await inflateBody(bytes, encoding, inflatedBytesMax))
  } catch (error) {
    if (error instanceof RangeError) {
      return refuse('body-too-large', `The body inflates to more than ${inflatedBytesMax} bytes.`)
    }
    return refuse('body-not-inflatable', `The body is not whole ${encoding} data.`)
  }
}

/** Rejects with a `RangeError` where the output passes the limit. */
export function inflateBody(
  bytes: Uint8Array,
  encoding: Exclude<BodyEncoding, 'identity'>,
  bytesMax: number,
): Promise<Uint8Array> {
  // Stops with a RangeError as soon as the output passes the limit.
  const options = { maxOutputLength: bytesMax }
  if (encoding === 'gzip') return gunzipAsync(bytes, options)
  if (encoding === 'br') return brotliAsync(bytes, options)
  // Some clients send deflate without the zlib head, whose first byte ends in 8.
  const hasHead = ((bytes[0] ?? 0) & 0x0f) === 8
  return hasHead ? inflateAsync(bytes, options) : inflateRawAsync(bytes, options)
}

function parseJson(bytes: Uint8Array): ParsedBody {
  let text: string
  try {
    text = textDecoder.decode(bytes)
  } catch {
    return refuse('body-not-utf8', 'The body is not UTF-8.')
  }
  if (text.trim() === '') return refuse('body-empty', 'The body is empty.')
  try {
    const body = JSON.parse(text) as unknown
    return { kind: 'json', body, bytes, hasEscapes: text.includes('\\') }
  } catch (error) {
    // The engine's message quotes the body, which may be personal: only the place is taken from it.
    const place = error instanceof Error ? /at position (\d+)/.exec(error.message)?.[1] : undefined
    const where = place === undefined ? '' : ` (at character ${place})`
    return refuse('body-not-json', `The body is not JSON${where}.`)
  }
}

function refuse(reason: RequestReason, says: string): ParsedBody {
  return { kind: 'refused', reason, says }
}
