/**
 * Imports a log that a server still writes, through its rotations, until it is stopped.
 *
 * - Only whole lines are read; the last line of a file that was rotated away ends with the file.
 * - Renamed and made anew: the old file is read on until nothing came for `quietMs` after the new
 *   one was there, since its writer goes on for a moment; then the new one from its beginning.
 * - Copied and truncated: seen by the first line or the size; what stood behind the last line read
 *   is taken from the copy. (What the server writes between copy and truncation is lost by that way
 *   of rotating itself.)
 * - Rotated while nobody read: the file is found again among its neighbours (`NAME.1`,
 *   `NAME-20261126.gz`, ...) by its first line and the bytes before the saved place. It is read to
 *   its end, then each neighbour that was written later, then the file of the name.
 *
 * A file that is not found any more is told of aloud: lines of it may be missing.
 */

import { type FileHandle, open, readdir, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { identifyFile, identityBytesMax } from '../collect/import-id.ts'
import type { Clock } from '../lib/clock.ts'
import { OperatingError } from '../lib/errors.ts'
import { hasHandleTail, type ImportInput, openImportInput, type TailMark } from './import-input.ts'
import {
  type Chunk,
  findPlace,
  type ImportedFile,
  type ImportRun,
  importInput,
  importRows,
  openReader,
} from './import-run.ts'
import type { SavedPlace } from './import-state.ts'

export interface FollowOptions {
  readonly pollMs: number
  /** How long a file that was renamed may be silent before it is left. */
  readonly quietMs: number
}

export const followDefaults: FollowOptions = { pollMs: 200, quietMs: 2000 }

const chunkBytes = 256 * 1024
const neighbourCountMax = 1000
/** Looks at a folder whose names are being moved. */
const lookCountMax = 10
/** Bytes of the beginning that are compared at each look. */
const beginBytesMax = 512

/** Follows `path` until the run is stopped; answers what became of each file. */
export async function followFile(
  run: ImportRun,
  path: string,
  options: FollowOptions = followDefaults,
): Promise<readonly ImportedFile[]> {
  const follower = new Follower(run, resolve(path), options)
  await follower.run()
  return follower.done
}

interface LastFile {
  readonly mtimeMs: number
  readonly inode: number
}

interface CurrentFile {
  readonly handle: FileHandle
  /** Its beginning when it was opened. */
  readonly head: Buffer
  readonly identity: string
  readonly inode: number
}

interface Neighbour extends LastFile {
  readonly path: string
  readonly identity: string
}

class Follower {
  readonly done: ImportedFile[] = []
  readonly #run: ImportRun
  readonly #path: string
  readonly #options: FollowOptions

  constructor(run: ImportRun, path: string, options: FollowOptions) {
    this.#run = run
    this.#path = path
    this.#options = options
  }

  async run(): Promise<void> {
    const saved = this.#run.isAgain ? undefined : this.#run.state?.findFollowed(this.#path)
    let last: LastFile | undefined
    let isFirst = true
    while (!this.#run.signal.aborted) {
      const current = await this.#openCurrent()
      if (current === undefined) return
      try {
        if (isFirst && saved !== undefined) last = await this.#catchUp(saved, current)
        isFirst = false
        // A file that came and was rotated away between two looks lies among the neighbours.
        if (last !== undefined) {
          await this.#readLater(last.mtimeMs, new Set([last.inode, current.inode]))
        }
        last = await this.#followOne(current)
      } finally {
        await current.handle.close()
      }
    }
  }

  /** Reads the rest of the file of the last place, where it was rotated away since. */
  async #catchUp(saved: SavedPlace, current: CurrentFile): Promise<LastFile | undefined> {
    const { handle, identity } = current
    const isSame = identity === saved.identity && (await hasHandleTail(handle, saved.offset, saved))
    if (isSame) return undefined
    const own = await this.#findRotated(saved)
    if (own === undefined) {
      this.#run.report.say(
        `${this.#path}: the file that was read up to byte ${saved.offset} is not here any more; ` +
          'lines that it got since are missing',
      )
      return { mtimeMs: saved.savedAtMs, inode: 0 }
    }
    await this.#readRotated(own)
    return own
  }

  async #findRotated(saved: SavedPlace): Promise<Neighbour | undefined> {
    const same = (await this.#neighbours()).filter(({ identity }) => identity === saved.identity)
    for (const neighbour of same) {
      const input = await this.#open(neighbour)
      const hasTail = (await input?.hasTail(saved.offset, saved)) === true
      await input?.close()
      if (hasTail) return neighbour
    }
    return undefined
  }

  /**
   * Reads neighbours that were not written before `mtimeMs`, oldest first. One that was read
   * already has nothing new.
   */
  async #readLater(mtimeMs: number, without: ReadonlySet<number>): Promise<void> {
    const all = await this.#neighbours()
    const later = all.filter((one) => one.mtimeMs >= mtimeMs && !without.has(one.inode))
    for (const one of later.sort((left, right) => left.mtimeMs - right.mtimeMs)) {
      if (this.#run.signal.aborted) return
      await this.#readRotated(one)
    }
  }

  /** Reads a file that nobody writes any more, from its saved place, to its end. */
  async #readRotated(neighbour: Neighbour): Promise<void> {
    const input = await this.#open(neighbour)
    if (input === undefined) {
      this.#run.report.say(`${neighbour.path}: it is gone; lines of it may be missing`)
      return
    }
    try {
      this.done.push(await importInput(this.#run, input, this.#path))
    } finally {
      await input.close()
    }
  }

  /** Opens a file by its first line: its name may belong to another one by now. */
  async #open({ path, identity }: Neighbour): Promise<ImportInput | undefined> {
    let now = path
    for (let look = 0; look < lookCountMax; look++) {
      const input = await openIdentified(now, this.#run)
      if (input?.identity === identity) return input.input
      await input?.input.close()
      const all = await this.#neighbours()
      now = all.find((one) => one.identity === identity)?.path ?? path
    }
    return undefined
  }

  /**
   * Waits until the file of the name has a whole first line. That line is what the file is from
   * then on: when other bytes stand there, it was truncated, however soon that was.
   */
  async #openCurrent(): Promise<CurrentFile | undefined> {
    const { clock, signal, format } = this.#run
    while (!signal.aborted) {
      const handle = await openIfThere(this.#path)
      if (handle !== undefined) {
        const head = await readHead(handle)
        const identity = identifyFile(head, format.identityLineCount, false)
        const { ino: inode } = await handle.stat()
        if (identity !== undefined) return { handle, head, identity, inode }
        await handle.close()
      }
      await clock.sleep(this.#options.pollMs, signal)
    }
    return undefined
  }

  /** Reads a file until it is rotated away; answers the file whose end was read last. */
  async #followOne({ handle, head, identity }: CurrentFile): Promise<LastFile> {
    const run = this.#run
    const isAgain = run.isAgain && this.done.length === 0
    const found = isAgain ? undefined : await this.#findPlace(identity, handle)
    const file = { name: this.#path, identity, saved: found?.place, savedId: found?.id }
    const reader = openReader(run, { ...file, head, isWhole: false })
    const given = { ...this.#options, ...run, path: this.#path, handle, head }
    const tail = new LiveTail(given, reader.from)
    run.report.begin(this.#path, { storedBytes: undefined, readBytes: () => tail.readBytes })
    const followed = { ...file, followedPath: this.#path }
    const chunks = tail.chunks()
    this.done.push(await importRows(run, { file: followed, reader, chunks }))
    if (tail.ending !== 'truncated') return tail
    return (await this.#readCopy(identity, tail.offset)) ?? tail
  }

  #findPlace(identity: string, handle: FileHandle): ReturnType<typeof findPlace> {
    const hasTail = (offset: number, mark: TailMark): Promise<boolean> =>
      hasHandleTail(handle, offset, mark)
    return findPlace(this.#run, { identity, input: { hasTail } })
  }

  /** Reads the end of a file that was truncated from the copy that was made of it. */
  async #readCopy(identity: string, offset: number): Promise<LastFile | undefined> {
    for (const neighbour of await this.#neighbours()) {
      if (neighbour.identity !== identity) continue
      await this.#readRotated(neighbour)
      return neighbour
    }
    this.#run.report.say(
      `${this.#path}: it was truncated behind byte ${offset}, and no copy of it is here; ` +
        'lines that it got just before are missing',
    )
    return undefined
  }

  /**
   * Returns the files beside the followed one whose names begin with its name. Looks again where
   * names were moved on during the look.
   */
  async #neighbours(): Promise<readonly Neighbour[]> {
    for (let look = 1; ; look++) {
      const before = await namesBeside(this.#path)
      const found: Neighbour[] = []
      for (const path of before.keys()) {
        const opened = await openIdentified(path, this.#run)
        if (opened === undefined) continue
        const { identity, input } = opened
        const { mtimeMs, inode } = input
        await input.close()
        // While a file is compressed, both are there.
        const isTwice = found.some((one) => one.identity === identity)
        if (!isTwice) found.push({ path, identity, mtimeMs, inode })
      }
      const after = await namesBeside(this.#path)
      const isSame =
        before.size === after.size && [...before].every(([path, ino]) => after.get(path) === ino)
      if (isSame || look >= lookCountMax) return found
    }
  }
}

/** Returns the paths beside `path` that begin with its name, with their inodes. */
async function namesBeside(path: string): Promise<ReadonlyMap<string, number>> {
  const folder = dirname(path)
  const name = basename(path)
  const found = new Map<string, number>()
  for (const entry of (await readdir(folder)).sort()) {
    const isOther = entry.startsWith(`${name}.`) || entry.startsWith(`${name}-`)
    if (!isOther || found.size >= neighbourCountMax) continue
    const beside = join(folder, entry)
    const stats = await stat(beside).catch(() => undefined)
    if (stats?.isFile() === true) found.set(beside, stats.ino)
  }
  return found
}

interface TailGiven extends FollowOptions {
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly path: string
  readonly handle: FileHandle
  readonly head: Buffer
}

/** The bytes of a file as they come, and how it ended. */
class LiveTail {
  readonly #given: TailGiven
  ending: 'rotated' | 'truncated' | 'stopped' = 'stopped'
  /** Behind the last byte read. */
  offset: number
  readBytes = 0
  /** Of the file, at the last look. */
  mtimeMs = 0
  inode = 0
  /** When another file was first seen under the name, or the newest bytes came after that. */
  #renamedAtMs: number | undefined

  constructor(given: TailGiven, from: { readonly offset: number }) {
    this.#given = given
    this.offset = from.offset
  }

  async *chunks(): AsyncGenerator<Chunk> {
    const { clock, signal, handle, head, pollMs } = this.#given
    const begin = head.subarray(0, beginBytesMax)
    while (!signal.aborted) {
      const chunk = Buffer.alloc(chunkBytes)
      const { bytesRead } = await handle.read(chunk, 0, chunkBytes, this.offset)
      // Only then is it known that the bytes were those of the same file.
      if (await this.#isTruncated(begin)) {
        this.ending = 'truncated'
        return
      }
      if (bytesRead > 0) {
        this.offset += bytesRead
        this.readBytes += bytesRead
        this.#renamedAtMs = undefined
        // What is kept of a few bytes shall not hold a whole chunk.
        yield Buffer.from(chunk.subarray(0, bytesRead))
        continue
      }
      if (await this.#isLeft()) {
        this.ending = 'rotated'
        return
      }
      yield 'idle'
      await clock.sleep(pollMs, signal)
    }
  }

  async #isTruncated(begin: Buffer): Promise<boolean> {
    const { handle } = this.#given
    const { size, mtimeMs, ino } = await handle.stat()
    this.mtimeMs = mtimeMs
    this.inode = ino
    if (size < this.offset) return true
    const now = await readBegin(handle)
    return !now.subarray(0, begin.length).equals(begin)
  }

  /** Tells whether another file has the name, and this one was silent long enough since. */
  async #isLeft(): Promise<boolean> {
    const { clock, path, quietMs } = this.#given
    const named = await stat(path).catch(() => undefined)
    if (named === undefined || named.ino === this.inode) return false
    this.#renamedAtMs ??= clock.monotonicMs()
    return clock.monotonicMs() - this.#renamedAtMs >= quietMs
  }
}

/** Opens a file that may be compressed; nothing where it cannot be read. */
async function openIdentified(
  path: string,
  run: ImportRun,
): Promise<{ readonly input: ImportInput; readonly identity: string } | undefined> {
  try {
    const input = await openImportInput(path)
    const identity = identifyFile(input.head, run.format.identityLineCount, input.isWhole)
    if (identity !== undefined) return { input, identity }
    await input.close()
    return undefined
  } catch (error) {
    // Gone since, or half compressed: another look will show it.
    if (error instanceof OperatingError) return undefined
    throw error
  }
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new OperatingError('INPUT_UNREADABLE', `follow ${path}`, error)
  }
}

async function readHead(handle: FileHandle): Promise<Buffer> {
  const bytes = Buffer.alloc(identityBytesMax)
  const { bytesRead } = await handle.read(bytes, 0, bytes.length, 0)
  return bytes.subarray(0, bytesRead)
}

async function readBegin(handle: FileHandle): Promise<Buffer> {
  const bytes = Buffer.alloc(beginBytesMax)
  const { bytesRead } = await handle.read(bytes, 0, bytes.length, 0)
  return bytes.subarray(0, bytesRead)
}
