/**
 * Flags of V8 for the heaps of all threads of a process, to be called once at the start of a
 * server, before its threads.
 */

import { setFlagsFromString } from 'node:v8'

/**
 * Keeps heaps near to what they need. After a full collection V8 lets a heap of some tens of MB
 * grow up to four times before it looks again, so a server of six threads holds several hundred MB
 * of garbage. By how much is a flag that V8 reads at each collection: 100 percent lets a heap come
 * to twice its need. With 50 a server with files holds 30 MiB less and collects more often.
 */
export function growHeapsLittle(percent: number): void {
  setFlagsFromString(`--heap-growing-percent=${percent}`)
}

/**
 * Has each object begin in the young generation. Where V8 finds that nearly all objects of one
 * place in the code outlive it, as those of requests do when a log is slow for a moment, it makes
 * them in the old one from then on, for good. There they stay until a full collection, and with
 * them the young ones that they name: a server that had come into this kept ten times as much at
 * each scavenge as one that had not, and answered a third less.
 */
export function makeObjectsYoung(): void {
  setFlagsFromString('--no-allocation-site-pretenuring')
}

/**
 * Has each thread collect its own young generation alone. V8's helpers would take part, and the
 * thread would wait for them; where all cores are busy that costs more than it saves, as
 * `docs/benchmarks.md` shows.
 */
export function collectYoungAlone(): void {
  setFlagsFromString('--no-parallel-scavenge')
}

/**
 * Has each thread that begins from here on heed its own `maxYoungGenerationSizeMb`. The flag
 * `--max-semi-space-size` of the process, which bounds the main thread, overrules it otherwise.
 */
export function heedThreadLimits(): void {
  setFlagsFromString('--max-semi-space-size=0')
}
