/**
 * Reads a file or standard input as bytes, from any place on, compressed by gzip or not.
 *
 * Compression is told by the first two bytes, not by the name. A place counts bytes behind the
 * decompression, so that a log that was compressed meanwhile goes on at the same place.
 */

import { type FileHandle, open } from 'node:fs/promises'
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
  /** Of the file as it was opened; 0 for standard input. */
  readonly mtimeMs: number
  readonly inode: number
  /** Bytes taken from the store so far. */
  readBytes(): number
  /** Tells whether the bytes before `offset` are those of the hash; undefined = cannot look. */
  hasTail(offset: number, tail: TailMark): Promise<boolean | undefined>
  /** Yields what is behind `offset`; called once. */
  chunks(offset: number, tail?: TailMark): AsyncIterable<Buffer>
  close(): Promise<void>
}

export interface TailMark {
  readonly tail: string
  readonly tailBytes: number
}

const chunkBytes = 256 * 1024

/** Opens a file once: it is the same file from then on, whatever its name is given to. */
export async function openImportInput(path: string): Promise<ImportInput> {
  return path === '-' ? await openStdin() : await openFile(path)
}

async function openStdin(): Promise<ImportInput> {
  const counted = { bytes: 0 }
  const iterator = inflated(count(process.stdin, counted))
  const { head, isWhole } = await readHead(iterator, '-')
  return {
    name: 'stdin',
    head,
    isWhole,
    ...{ storedBytes: undefined, mtimeMs: 0, inode: 0 },
    readBytes: () => counted.bytes,
    hasTail: async () => undefined,
    chunks: (offset, mark) => passTo(chainAgain(head, iterator, '-'), { offset, mark, path: '-' }),
    async close() {},
  }
}

async function openFile(path: string): Promise<ImportInput> {
  const handle = await openOrRefuse(path)
  try {
    const { size, mtimeMs, ino } = await handle.stat()
    const counted = { bytes: 0 }
    const begin = Buffer.alloc(2)
    await handle.read(begin, 0, begin.length, 0)
    const isPacked = isGzip(begin)
    const chunksFrom = (offset: number, into: Counted): AsyncIterable<Buffer> =>
      isPacked ? inflated(count(streamOf(handle), into)) : plainChunks(handle, offset, into)
    const beginning = chunksFrom(0, { bytes: 0 })[Symbol.asyncIterator]()
    const { head, isWhole } = await readHead(beginning, path)
    await beginning.return?.()
    return {
      name: path,
      head,
      isWhole,
      ...{ storedBytes: size, mtimeMs, inode: ino },
      readBytes: () => counted.bytes,
      async hasTail(offset, mark) {
        if (!isPacked) return await hasHandleTail(handle, offset, mark)
        return await hasStreamTail(chunksFrom(0, { bytes: 0 }), offset, mark)
      },
      chunks(offset, mark) {
        const chunks = named(chunksFrom(offset, counted), path)
        return isPacked ? passTo(chunks, { offset, mark, path }) : chunks
      },
      close: () => handle.close(),
    }
  } catch (error) {
    await handle.close()
    throw error instanceof OperatingError ? error : unreadable(path, error)
  }
}

async function openOrRefuse(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r')
  } catch (error) {
    throw unreadable(path, error)
  }
}

interface Counted {
  bytes: number
}

function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b
}

function streamOf(handle: FileHandle): Readable {
  return handle.createReadStream({ start: 0, autoClose: false })
}

async function readHead(
  iterator: AsyncIterator<Buffer>,
  path: string,
): Promise<{ readonly head: Buffer; readonly isWhole: boolean }> {
  const head: Buffer[] = []
  for (let bytes = 0; bytes < identityBytesMax; ) {
    const next = await readNext(iterator, path)
    if (next === undefined) return { head: Buffer.concat(head), isWhole: true }
    head.push(next)
    bytes += next.length
  }
  return { head: Buffer.concat(head), isWhole: false }
}

/** Inflates what is compressed, and passes on what is not. */
async function* inflated(source: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
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

async function* named(chunks: AsyncIterable<Buffer>, path: string): AsyncGenerator<Buffer> {
  const iterator = chunks[Symbol.asyncIterator]()
  for (;;) {
    const next = await readNext(iterator, path)
    if (next === undefined) return
    yield next
  }
}

async function* plainChunks(
  handle: FileHandle,
  offset: number,
  counted: Counted,
): AsyncGenerator<Buffer> {
  counted.bytes = offset
  for (;;) {
    const chunk = Buffer.alloc(chunkBytes)
    const { bytesRead } = await handle.read(chunk, 0, chunkBytes, counted.bytes)
    if (bytesRead === 0) return
    counted.bytes += bytesRead
    yield chunk.subarray(0, bytesRead)
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
