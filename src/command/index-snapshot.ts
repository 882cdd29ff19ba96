/**
 * The recommendation index as a file, so that a restart need not learn all again.
 *
 *     "ATTUNEIX" | part ... | CRC-32 of all before        a part = kind, bytes, content
 *
 * Order of effects of `save`: write beside, sync, rename, sync the folder; a crash leaves the file
 * of before or this one, whole. While the index is read nothing may be learned: that is until all
 * is handed to the system, not until the disk has it. Questions are answered between two pieces.
 *
 * A file that does not fit (another log, other limits, cut, changed by hand) is told and not used:
 * the index is then built from the feed. Numbers are in the byte order of the machine; another
 * machine's file fails by its first number.
 */

import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { crc32 } from 'node:zlib'
import { SnapshotUnfitError, type Transfer, type TypedArray } from '../recommend/transfer.ts'

/** Where the feed stood, and of which log it is. */
export interface SnapshotPlace {
  readonly incarnation: string
  /** By partition: number of the next entry of its feed. */
  readonly next: readonly number[]
}

export type LoadedSnapshot =
  | { readonly kind: 'loaded'; readonly place: SnapshotPlace }
  | { readonly kind: 'absent' }
  | { readonly kind: 'unfit'; readonly says: string }

interface Transferable {
  transfer(through: Transfer): void
}

const magic = Buffer.from('ATTUNEIX')
const headBytes = 16
const sumBytes = 4
/** Written or read at a time. */
const pieceBytes = 4 * 1024 * 1024

const kinds = ['number', 'lengths', 'text', 'i32', 'u8', 'f32', 'f64'] as const
type Kind = (typeof kinds)[number]

/** Returns where a snapshot is written before it gets its name. */
export function besideOf(path: string): string {
  return `${path}.writing`
}

/**
 * Writes an index, and returns the bytes written; undefined where it was given up. The index must
 * not learn until it has been read, or this has ended.
 */
export async function saveSnapshot(
  path: string,
  place: SnapshotPlace,
  index: Transferable,
  reading: {
    /** Asked before each piece: whether to give up, for others wait for the index. */
    isTooLong?(): boolean
    /** Told once: the index may learn again. */
    done?(): void
  } = {},
): Promise<number | undefined> {
  const beside = besideOf(path)
  const handle = await open(beside, 'w', 0o600)
  try {
    const out = new Collected()
    out.texts([JSON.stringify(place)])
    index.transfer(out)
    const byteCount = await writeParts(handle, out.parts, () => reading.isTooLong?.() ?? false)
    if (byteCount === undefined) {
      await handle.close()
      await rm(beside, { force: true })
      return undefined
    }
    reading.done?.()
    await handle.sync()
    await handle.close()
    await rename(beside, path)
    await syncFolder(dirname(path))
    return byteCount
  } catch (error) {
    await handle.close().catch(() => {})
    await rm(beside, { force: true })
    throw error
  }
}

/**
 * Reads an index into `index`, which is to be thrown away where the answer is not `loaded`. `judge`
 * says why a place is of no use, before anything is read into it.
 */
export function loadSnapshot(
  path: string,
  index: Transferable,
  judge: (place: SnapshotPlace) => string | undefined,
): LoadedSnapshot {
  let file: number
  try {
    file = openSync(path, 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { kind: 'absent' }
    return { kind: 'unfit', says: String(error) }
  }
  try {
    const source = new Read(file)
    const place = parsePlace(source.texts([])[0] ?? '')
    const says = judge(place)
    if (says !== undefined) return { kind: 'unfit', says }
    index.transfer(source)
    source.checkEnd()
    return { kind: 'loaded', place }
  } catch (error) {
    // A file that was changed may say anything, also a length that no array can have.
    return { kind: 'unfit', says: error instanceof Error ? error.message : String(error) }
  } finally {
    closeSync(file)
  }
}

function parsePlace(text: string): SnapshotPlace {
  const place = JSON.parse(text) as SnapshotPlace
  const isPlace = typeof place.incarnation === 'string' && Array.isArray(place.next)
  if (!isPlace) throw new SnapshotUnfitError('does not say where the feed stood')
  return place
}

/** Takes what an index hands over, without a copy of its arrays. */
class Collected implements Transfer {
  readonly parts: { readonly kind: Kind; readonly bytes: Uint8Array }[] = []

  number(value: number): number {
    this.#add('number', Float64Array.of(value))
    return value
  }

  array<Taken extends TypedArray>(array: Taken): Taken {
    this.#add(kindOf(array), array)
    return array
  }

  texts(texts: readonly string[]): readonly string[] {
    this.#add(
      'lengths',
      Int32Array.from(texts, ({ length }) => length),
    )
    this.#add('text', Buffer.from(texts.join('')))
    return texts
  }

  #add(kind: Kind, array: TypedArray | Buffer): void {
    const { buffer, byteOffset, byteLength } = array
    this.parts.push({ kind, bytes: new Uint8Array(buffer, byteOffset, byteLength) })
  }
}

/** Gives an index what was written, in the same order. */
class Read implements Transfer {
  readonly #file: number
  readonly #byteCount: number
  #sum = 0
  #at = 0

  constructor(file: number) {
    this.#file = file
    this.#byteCount = fstatSync(file).size
    const start = this.#readBytes(magic.length)
    if (!start.equals(magic)) throw new SnapshotUnfitError('is no snapshot of an index')
  }

  number(_value: number): number {
    return this.#readPart('number', Float64Array)[0] ?? Number.NaN
  }

  array<Taken extends TypedArray>(array: Taken): Taken {
    const Constructor = array.constructor as new (length: number) => Taken
    return this.#readPart(kindOf(array), Constructor)
  }

  texts(_texts: readonly string[]): readonly string[] {
    const lengths = this.#readPart('lengths', Int32Array)
    const text = Buffer.from(this.#readPart('text', Uint8Array)).toString()
    let at = 0
    return Array.from(lengths, (length) => {
      const start = at
      at += length
      return text.slice(start, at)
    })
  }

  /** Checks that nothing is left, and that all was as it was written. */
  checkEnd(): void {
    const written = Buffer.alloc(sumBytes)
    const readCount = readSync(this.#file, written, 0, sumBytes, this.#at)
    const isWhole = readCount === sumBytes && this.#at + sumBytes === this.#byteCount
    if (!isWhole || written.readUInt32LE() !== this.#sum) {
      throw new SnapshotUnfitError('is not as it was written')
    }
  }

  #readPart<Taken extends TypedArray>(
    kind: Kind,
    Constructor: new (length: number) => Taken,
  ): Taken {
    const head = this.#readBytes(headBytes)
    const found = kinds[head.readUInt8(0)]
    const byteLength = head.readDoubleLE(8)
    const isFit = found === kind && byteLength <= this.#byteCount - this.#at
    if (!isFit) throw new SnapshotUnfitError('has other parts than this version')
    const bytesEach = new Constructor(0).BYTES_PER_ELEMENT
    const array = new Constructor(byteLength / bytesEach)
    this.#fill(Buffer.from(array.buffer, array.byteOffset, array.byteLength))
    return array
  }

  #readBytes(count: number): Buffer {
    const bytes = Buffer.alloc(count)
    this.#fill(bytes)
    return bytes
  }

  #fill(target: Buffer): void {
    for (let at = 0; at < target.length; ) {
      const piece = target.subarray(at, at + pieceBytes)
      const readCount = readSync(this.#file, piece, 0, piece.length, this.#at)
      if (readCount === 0) throw new SnapshotUnfitError('ends too early')
      this.#sum = crc32(piece.subarray(0, readCount), this.#sum)
      this.#at += readCount
      at += readCount
    }
  }
}

/** Returns the bytes written; undefined where `isTooLong` said so. */
async function writeParts(
  handle: FileHandle,
  parts: Collected['parts'],
  isTooLong: () => boolean,
): Promise<number | undefined> {
  let sum = 0
  let byteCount = 0
  for (const bytes of [
    magic,
    ...parts.flatMap(({ kind, bytes }) => [headOf(kind, bytes), bytes]),
  ]) {
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      if (isTooLong()) return undefined
      const piece = bytes.subarray(at, at + pieceBytes)
      sum = crc32(piece, sum)
      await handle.writeFile(piece)
    }
    byteCount += bytes.length
  }
  const end = Buffer.alloc(sumBytes)
  end.writeUInt32LE(sum)
  await handle.writeFile(end)
  return byteCount + sumBytes
}

function headOf(kind: Kind, bytes: Uint8Array): Buffer {
  const head = Buffer.alloc(headBytes)
  head.writeUInt8(kinds.indexOf(kind), 0)
  head.writeDoubleLE(bytes.length, 8)
  return head
}

function kindOf(array: TypedArray): Kind {
  if (array instanceof Int32Array) return 'i32'
  if (array instanceof Uint8Array) return 'u8'
  return array instanceof Float32Array ? 'f32' : 'f64'
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
