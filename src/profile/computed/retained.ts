/**
 * A kind in a window, by retained samples: what counts now is put into the kind of all time when
 * it is read. For all kinds but count, sum and average, whose buckets can be joined.
 *
 * Exact while the window holds at most `cellCountMax` samples of one identity key. Beyond, the
 * oldest go; the answer is that of the newest, and not called exact while one that went would
 * count. A list needs no more than its length, so it stays exact.
 */

import type { Json } from '../../lib/json.ts'
import { bySampleOrder } from './chosen.ts'
import { type Bounds, createKind, type Sample, type TraitKind, viewOf } from './kind.ts'

/**
 * Layout, big endian: f64 cut | f64 first atMs | f64 last atMs | f64 last order | u16 count | per
 * sample f64 atMs | f64 order | u16 value bytes | value (JSON). The head is there so that a newest
 * sample is put behind the others without reading them.
 */
const headBytes = 34
const sampleHeadBytes = 18

interface Retained {
  /** Time of the newest sample that had to go; -1 for none. */
  readonly cutMs: number
  readonly samples: readonly Sample[]
}

export interface RetainedOptions {
  /** Number of newest samples that are all that matters; Infinity where every one does. */
  readonly newestCount: number
}

const emptyBytes = new Uint8Array(0)
const everything = { edgeMs: -Infinity, cellCountMax: Infinity }

export function createRetained(kind: TraitKind, { newestCount }: RetainedOptions): TraitKind {
  const bound = (
    { cutMs, samples }: Retained,
    { edgeMs, cellCountMax }: { readonly edgeMs: number; readonly cellCountMax: number },
  ): Retained => {
    const live = samples.filter(({ atMs }) => atMs > edgeMs)
    const excess = Math.max(0, live.length - cellCountMax)
    const lastCut = live[excess - 1]
    return {
      cutMs: lastCut === undefined ? cutMs : Math.max(cutMs, lastCut.atMs),
      samples: live.slice(excess),
    }
  }
  return createKind<Retained>({
    empty: { cutMs: -1, samples: [] },
    prepare: kind.prepare,
    add: ({ cutMs, samples }, more, bounds) =>
      bound({ cutMs, samples: insert(samples, more) }, bounds),
    merge: (left, right, bounds) => {
      const samples = [...left.samples, ...right.samples].sort(bySampleOrder)
      return bound({ cutMs: Math.max(left.cutMs, right.cutMs), samples }, bounds)
    },
    answerAt: ({ cutMs, samples }, nowMs, edgeMs) => {
      const counting = samples.filter(({ atMs }) => atMs > edgeMs && atMs <= nowMs)
      const state = counting.length === 0 ? emptyBytes : kind.add(emptyBytes, counting, everything)
      const { value, isExact } = kind.open([state]).answerAt(nowMs, edgeMs)
      // What a key has cut is older than all that it keeps.
      const isEnough = cutMs <= edgeMs || afterCut(counting, cutMs) >= newestCount
      return { value, isExact: isExact && isEnough }
    },
    nextChangeAt: ({ samples }, nowMs, windowMs) => {
      let nextMs = Infinity
      for (const { atMs } of samples) {
        const changeMs = atMs > nowMs ? atMs : atMs + windowMs
        if (changeMs > nowMs && changeMs < nextMs) nextMs = changeMs
      }
      return nextMs
    },
    addToBytes: appendSample,
    encode: encodeRetained,
    decode: decodeRetained,
  })
}

function encodeRetained({ cutMs, samples }: Retained): Uint8Array {
  const encoded = samples.map(encodeSample)
  const head = Buffer.alloc(headBytes)
  const last = samples.at(-1)
  head.writeDoubleBE(cutMs, 0)
  head.writeDoubleBE(samples[0]?.atMs ?? 0, 8)
  head.writeDoubleBE(last?.atMs ?? 0, 16)
  head.writeDoubleBE(last?.order ?? 0, 24)
  head.writeUInt16BE(samples.length, 32)
  return Buffer.concat([head, ...encoded])
}

function encodeSample(sample: Sample): Buffer {
  const text = JSON.stringify(sample.value)
  const bytes = Buffer.allocUnsafe(sampleHeadBytes + Buffer.byteLength(text))
  writeSample(bytes, 0, sample, text)
  return bytes
}

function writeSample(bytes: Buffer, at: number, { atMs, order }: Sample, text: string): void {
  bytes.writeDoubleBE(atMs, at)
  bytes.writeDoubleBE(order, at + 8)
  bytes.writeUInt16BE(bytes.length - at - sampleHeadBytes, at + 16)
  bytes.write(text, at + sampleHeadBytes)
}

function decodeRetained(source: Uint8Array): Retained {
  const bytes = Buffer.from(source.buffer, source.byteOffset, source.byteLength)
  const samples: Sample[] = []
  for (let at = headBytes; at < bytes.length; ) {
    const valueAt = at + sampleHeadBytes
    const end = valueAt + bytes.readUInt16BE(at + 16)
    const value = JSON.parse(bytes.toString('utf8', valueAt, end)) as Json
    samples.push({ atMs: bytes.readDoubleBE(at), order: bytes.readDoubleBE(at + 8), value })
    at = end
  }
  return { cutMs: bytes.readDoubleBE(0), samples }
}

/** The newest of few; those that have left the window go, as the oldest does where all are. */
function appendSample(
  bytes: Uint8Array,
  sample: Sample,
  { edgeMs, cellCountMax }: Bounds,
): Uint8Array | undefined {
  if (sample.atMs <= edgeMs) return undefined
  if (bytes.length === 0) return encodeRetained({ cutMs: -1, samples: [sample] })
  const view = viewOf(bytes)
  const lastMs = view.getFloat64(16)
  const count = view.getUint16(32)
  const isNewest =
    lastMs < sample.atMs || (lastMs === sample.atMs && view.getFloat64(24) <= sample.order)
  if (count === 0 || !isNewest) return undefined
  let from = headBytes
  let left = count
  let cutMs = view.getFloat64(0)
  while (left > 0) {
    const atMs = view.getFloat64(from)
    if (atMs > edgeMs && left < cellCountMax) break
    if (atMs > edgeMs) cutMs = Math.max(cutMs, atMs)
    from += sampleHeadBytes + view.getUint16(from + 16)
    left--
  }
  const text = JSON.stringify(sample.value)
  const end = headBytes + bytes.length - from
  const added = Buffer.allocUnsafe(end + sampleHeadBytes + Buffer.byteLength(text))
  added.writeDoubleBE(cutMs, 0)
  added.writeDoubleBE(left === 0 ? sample.atMs : view.getFloat64(from), 8)
  added.writeDoubleBE(sample.atMs, 16)
  added.writeDoubleBE(sample.order, 24)
  added.writeUInt16BE(left + 1, 32)
  added.set(from === bytes.length ? emptyBytes : bytes.subarray(from), headBytes)
  writeSample(added, end, sample, text)
  return added
}

function afterCut(samples: readonly Sample[], cutMs: number): number {
  return samples.filter(({ atMs }) => atMs >= cutMs).length
}

/** Mostly the newest: then nothing is sorted. */
function insert(samples: readonly Sample[], more: readonly Sample[]): readonly Sample[] {
  const all = [...samples, ...more]
  const isOrdered = all.every((each, index) => {
    const before = all[index - 1]
    return before === undefined || bySampleOrder(before, each) <= 0
  })
  return isOrdered ? all : all.sort(bySampleOrder)
}
