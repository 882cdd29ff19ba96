/**
 * The steps by which a person became what it is, packed: the place of each record, and the place
 * and name of each timer, that made a new version. Folding them again from a known version gives
 * every one behind it.
 *
 * Appending reads the head alone. Layout, big endian:
 *   u8 steps | u48 version of the last checkpoint | u32 version of the definitions | u48 offset |
 *   u48 ms, these three of the last step
 *   then for each step a number (bytes of seven bits, the low ones first): 4 x (offset less that of
 *   the step before) + kind, and behind it
 *     record: twice the ms less those of the step before (odd for a loss, less one)
 *     timer: the same | bytes of its name | name
 *     again: nothing; the step before made one more version
 *     definitions: their version from here on; no step of its own
 * The first step counts from what the pack before ended with, or from 0.
 */

import { assert } from '../lib/assert.ts'
import { emptyPack } from './activity-pack.ts'

export type Step =
  | { readonly kind: 'record'; readonly offset: number; readonly atMs: number }
  | {
      readonly kind: 'timer'
      readonly offset: number
      readonly atMs: number
      readonly what: string
    }
  /** One more version by the step before. */
  | { readonly kind: 'again' }

/** A step as it is read: an `again` has the place of the one before. */
export type PlacedStep = Exclude<Step, { readonly kind: 'again' }> & {
  readonly isAgain: boolean
  readonly definitionsVersion: number
}

/** What a pack ends with, and the next one begins with. */
export interface StepsEnd {
  readonly definitionsVersion: number
  readonly offset: number
  readonly atMs: number
}

/** Steps that a person carries along; then they are put aside, and a new pack begins. */
export const stepCountMax = 16

const headBytes = 23
const countAt = 0
const checkpointAt = 1
const definitionsAt = 7
const offsetAt = 11
const atMsAt = 17
const kinds = { record: 0, timer: 1, again: 2, definitions: 3 } as const
const kindCount = 4
/** The longest number takes eight bytes of seven bits. */
const numberBytesMax = 8
const numberMax = 2 ** 48
const noEnd: StepsEnd = { definitionsVersion: 0, offset: 0, atMs: 0 }

/** Returns how many versions the steps of a pack made. */
export function countSteps(pack: Uint8Array): number {
  return pack[countAt] ?? 0
}

export function readStepsEnd(pack: Uint8Array): StepsEnd {
  if (pack.length === 0) return noEnd
  const bytes = bufferOf(pack)
  return {
    definitionsVersion: bytes.readUInt32BE(definitionsAt),
    offset: bytes.readUIntBE(offsetAt, 6),
    atMs: bytes.readUIntBE(atMsAt, 6),
  }
}

/** Returns the version of the last checkpoint; 0 for none. */
export function readCheckpointVersion(pack: Uint8Array): number {
  return pack.length === 0 ? 0 : bufferOf(pack).readUIntBE(checkpointAt, 6)
}

/** Returns a pack without steps that begins where `pack` ended. */
export function beginSteps(pack: Uint8Array, checkpointVersion: number): Uint8Array {
  const begun = Buffer.from(pack.subarray(0, headBytes))
  begun[countAt] = 0
  begun.writeUIntBE(checkpointVersion, checkpointAt, 6)
  return Uint8Array.from(begun)
}

/** Returns `pack` with a step behind it. */
export function appendStep(pack: Uint8Array, step: Step, definitionsVersion: number): Uint8Array {
  const end = readStepsEnd(pack)
  const count = countSteps(pack) + 1
  const place = step.kind === 'again' ? end : step
  const name = step.kind === 'timer' ? Buffer.from(step.what) : emptyPack
  assert(count <= 255 && place.offset >= end.offset, 'steps follow each other, and are not many')
  const bytes = Buffer.allocUnsafe(
    Math.max(headBytes, pack.length) + 5 * numberBytesMax + name.length,
  )
  if (pack.length === 0) bytes.fill(0, 0, headBytes)
  bytes.set(pack)
  let at = Math.max(headBytes, pack.length)
  if (definitionsVersion !== end.definitionsVersion) {
    at = writeNumber(bytes, at, kinds.definitions)
    at = writeNumber(bytes, at, definitionsVersion)
  }
  at = writeNumber(bytes, at, (place.offset - end.offset) * kindCount + kinds[step.kind])
  // A timer that was set too late sees its due time as now: time may go back.
  if (step.kind !== 'again') at = writeNumber(bytes, at, foldSign(place.atMs - end.atMs))
  if (step.kind === 'timer') {
    at = writeNumber(bytes, at, name.length)
    bytes.set(name, at)
    at += name.length
  }
  bytes[countAt] = count
  bytes.writeUInt32BE(definitionsVersion, definitionsAt)
  bytes.writeUIntBE(place.offset, offsetAt, 6)
  bytes.writeUIntBE(place.atMs, atMsAt, 6)
  return Uint8Array.from(bytes.subarray(0, at))
}

/** Returns the steps in order; `from` is what the pack before ended with. */
export function decodeSteps(pack: Uint8Array, from: StepsEnd = noEnd): readonly PlacedStep[] {
  const bytes = bufferOf(pack)
  const steps: PlacedStep[] = []
  let { definitionsVersion, offset, atMs } = from
  let at = headBytes
  const read = (): number => {
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++]
      assert(byte !== undefined && scale <= numberMax, 'a number of a step is whole')
      value += (byte & 127) * scale
      if (byte < 128) return value
    }
  }
  while (at < bytes.length) {
    const tag = read()
    const kind = tag % kindCount
    if (kind === kinds.definitions) {
      definitionsVersion = read()
      continue
    }
    offset += Math.floor(tag / kindCount)
    if (kind === kinds.again) {
      const last = steps.at(-1)
      assert(last !== undefined, 'a step comes again behind itself')
      steps.push({ ...last, isAgain: true })
      continue
    }
    atMs += unfoldSign(read())
    const place = { offset, atMs, isAgain: false, definitionsVersion }
    if (kind === kinds.record) steps.push({ kind: 'record', ...place })
    else {
      const length = read()
      steps.push({ kind: 'timer', what: bytes.toString('utf8', at, at + length), ...place })
      at += length
    }
  }
  return steps
}

function writeNumber(bytes: Buffer, from: number, value: number): number {
  assert(Number.isInteger(value) && value >= 0 && value < numberMax * kindCount, 'a number fits')
  let rest = value
  let at = from
  while (rest > 127) {
    bytes[at++] = (rest % 128) + 128
    rest = Math.floor(rest / 128)
  }
  bytes[at++] = rest
  return at
}

/** Makes a number without a sign of one with a sign; small ones stay small. */
function foldSign(value: number): number {
  return value < 0 ? -2 * value - 1 : 2 * value
}

function unfoldSign(value: number): number {
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2
}

function bufferOf(pack: Uint8Array): Buffer {
  return Buffer.from(pack.buffer, pack.byteOffset, pack.byteLength)
}
