/**
 * Reads a file or standard input as bytes, from any place on, compressed by gzip or not.
 *
 * Compression is told by the first two bytes, not by the name. A place counts bytes behind the
 * decompression, so that a log that was compressed meanwhile goes on at the same place.
 */

import { createReadStream } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { identityBytesMax } from '../collect/import-id.ts'
import { OperatingError } from '../lib/errors.ts'
import { hashTail } from './import-state.ts'

export interface ImportInput {
  readonly name: string
  /** The first bytes; all of them where `isWhole`. */
  readonly head: Buffer
  readonly isWhole: boolean
  /** Size as stored, for the progress; undefined for standard input. */
  readonly storedBytes: number | undefined
  /** Bytes taken from the store so far. */
  readBytes(): number
  /** Tells whether the bytes before `offset` are those of the hash; undefined = cannot look. */
  hasTail(offset: number, tail: TailMark): Promise<boolean | undefined>
  /** Yields what is behind `offset`; called once. */
  chunks(offset: number, tail?: TailMark): AsyncIterable<Buffer>
  /** For an input whose chunks are not wanted. */
  close(): Promise<void>
}

export interface TailMark {
  readonly tail: string
  readonly tailBytes: number
}

const chunkBytes = 256 * 1024

export async function openImportInput(path: string): Promise<ImportInput> {
  const counted = { bytes: 0 }
  const isStdin = path === '-'
  const storedBytes = isStdin ? undefined : await sizeOf(path)
  const bytes = openBytes(path, counted)
  const head: Buffer[] = []
  let headBytes = 0
  let isWhole = false
  const iterator = bytes.chunks[Symbol.asyncIterator]()
  while (headBytes < identityBytesMax) {
    const next = await readNext(iterator, path)
    if (next === undefined) {
      isWhole = true
      break
    }
    head.push(next)
    headBytes += next.length
  }
  const first = Buffer.concat(head)
  const isPlain = !isStdin && !isGzip(await peek(path))
  return {
    name: isStdin ? 'stdin' : path,
    head: first,
    isWhole,
    storedBytes,
    readBytes: () => counted.bytes,
    async hasTail(offset, mark) {
      if (isStdin) return undefined
      if (isPlain) return await hasPlainTail(path, offset, mark)
      return await hasStreamTail(openBytes(path, { bytes: 0 }).chunks, offset, mark)
    },
    chunks(offset, mark) {
      if (isPlain && (offset > first.length || !isWhole)) {
        void iterator.return?.()
        counted.bytes = offset
        return plainChunks(path, offset, counted)
      }
      return passTo(chainAgain(first, iterator, path), { offset, mark, path })
    },
    async close() {
      await iterator.return?.()
    },
  }
}

interface Counted {
  bytes: number
}

function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b
}

async function sizeOf(path: string): Promise<number> {
  const found = await stat(path).catch((error: unknown) => {
    throw unreadable(path, error)
  })
  if (found.isDirectory()) throw unreadable(path, new Error('it is a folder'))
  return found.size
}

async function peek(path: string): Promise<Buffer> {
  const handle = await open(path, 'r')
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(2), 0, 2, 0)
    return buffer.subarray(0, bytesRead)
  } finally {
    await handle.close()
  }
}

/** Opens from the beginning, and inflates what is compressed. */
function openBytes(path: string, counted: Counted): { readonly chunks: AsyncIterable<Buffer> } {
  const raw: Readable = path === '-' ? process.stdin : createReadStream(path)
  async function* inflated(): AsyncGenerator<Buffer> {
    const source = count(raw, counted)
    const first = await source.next()
    if (first.done === true) return
    if (!isGzip(first.value)) {
      yield first.value
      yield* source
      return
    }
    const gunzip = createGunzip({ chunkSize: chunkBytes })
    const feeding = pipeline(Readable.from(chain(first.value, source)), gunzip)
    feeding.catch(() => {
      // The same error comes out of the loop below.
    })
    for await (const chunk of gunzip) yield chunk as Buffer
    await feeding
  }
  return { chunks: inflated() }
}

async function* count(raw: Readable, counted: Counted): AsyncGenerator<Buffer> {
  for await (const chunk of raw) {
    counted.bytes += (chunk as Buffer).length
    yield chunk as Buffer
  }
}

async function* chain(first: Buffer, rest: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  yield first
  yield* rest
}

async function* chainAgain(
  first: Buffer,
  iterator: AsyncIterator<Buffer>,
  path: string,
): AsyncGenerator<Buffer> {
  if (first.length > 0) yield first
  for (;;) {
    const next = await readNext(iterator, path)
    if (next === undefined) return
    yield next
  }
}

async function readNext(
  iterator: AsyncIterator<Buffer>,
  path: string,
): Promise<Buffer | undefined> {
  try {
    const next = await iterator.next()
    return next.done === true ? undefined : next.value
  } catch (error) {
    throw error instanceof OperatingError ? error : unreadable(path, error)
  }
}

async function* plainChunks(
  path: string,
  offset: number,
  counted: Counted,
): AsyncGenerator<Buffer> {
  const stream = createReadStream(path, { start: offset })
  const iterator = count(stream, counted)
  try {
    for (;;) {
      const next = await readNext(iterator, path)
      if (next === undefined) return
      yield next
    }
  } finally {
    stream.destroy()
  }
}

/** Passes over the bytes before `offset`, and refuses where they are not those of before. */
async function* passTo(
  chunks: AsyncIterable<Buffer>,
  to: { readonly offset: number; readonly mark: TailMark | undefined; readonly path: string },
): AsyncGenerator<Buffer> {
  const { offset, mark, path } = to
  let at = 0
  let last: Buffer = Buffer.alloc(0)
  for await (const chunk of chunks) {
    const end = at + chunk.length
    if (mark !== undefined && at < offset) {
      const kept = Buffer.concat([last, chunk.subarray(0, Math.max(0, offset - at))])
      last = kept.subarray(Math.max(0, kept.length - mark.tailBytes))
      if (end >= offset && hashTail(last) !== mark.tail) throw otherBytes(path, offset)
    }
    if (end > offset) yield at >= offset ? chunk : chunk.subarray(offset - at)
    at = end
  }
  if (at < offset) throw otherBytes(path, offset)
}

async function hasPlainTail(path: string, offset: number, mark: TailMark): Promise<boolean> {
  const handle = await open(path, 'r')
  try {
    return await hasHandleTail(handle, offset, mark)
  } finally {
    await handle.close()
  }
}

/** Tells whether the bytes before `offset` of a file as it is stored are those of the mark. */
export async function hasHandleTail(
  handle: FileHandle,
  offset: number,
  mark: TailMark,
): Promise<boolean> {
  const bytes = Buffer.alloc(mark.tailBytes)
  const { bytesRead } = await handle.read(bytes, 0, bytes.length, offset - bytes.length)
  return bytesRead === bytes.length && hashTail(bytes) === mark.tail
}

async function hasStreamTail(
  chunks: AsyncIterable<Buffer>,
  offset: number,
  mark: TailMark,
): Promise<boolean> {
  try {
    for await (const _chunk of passTo(chunks, { offset, mark, path: '' })) return true
    // The place is the end.
    return true
  } catch {
    return false
  }
}

function otherBytes(path: string, offset: number): OperatingError {
  const name = path === '-' ? 'standard input' : path
  const says = `go on behind byte ${offset} of ${name}: what stands before it is not what was read`
  return new OperatingError('INPUT_CHANGED', says)
}

function unreadable(path: string, cause: unknown): OperatingError {
  const name = path === '-' ? 'standard input' : path
  return new OperatingError('INPUT_UNREADABLE', `read ${name}`, cause)
}
