/**
 * How much of what is dropped again the heaps of a server may hold, by where its state is.
 *
 * In a file: little, since its memory is to stay within 512 MiB with a million people. Elsewhere
 * the reads and commits of a round of the fold are round trips, so that a round lasts some 100 ms
 * in place of 20 and has the records and people of sixteen partitions in hand: a young generation
 * that is collected every 30 ms copies them each time and then makes them old, and a full
 * collection follows twice a second. No cache of a file takes memory there.
 */

import type { ServerValues } from '../config.ts'
import {
  collectYoungAlone,
  growHeapsLittle,
  heedThreadLimits,
  makeObjectsYoung,
} from '../lib/heap-flags.ts'

/** Of the thread that folds, where the state is in a file and elsewhere; a third is allocated. */
const workYoungMb = { file: 48, elsewhere: 192 } as const
const growingPercent = { file: 100, elsewhere: 200 } as const

/** Sets what counts for all threads; to be called once, before there are any. */
export function limitHeaps(values: ServerValues): void {
  growHeapsLittle(growingPercent[placeOf(values)])
  makeObjectsYoung()
  collectYoungAlone()
  heedThreadLimits()
}

/** Returns the most that the thread that folds has in its young generation. */
export function workYoungMbOf(values: ServerValues): number {
  return workYoungMb[placeOf(values)]
}

/** Processes that do not fold have no rounds, and are as small as with files. */
function placeOf(values: ServerValues): 'file' | 'elsewhere' {
  const role = values['server.role']
  const isFolding = role === 'all' || role === 'work'
  return isFolding && values['log.kind'] !== 'sqlite' ? 'elsewhere' : 'file'
}
