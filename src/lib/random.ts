import { randomBytes } from 'node:crypto'

/** Chance, as the rest of the program may see it, so that a simulation can run from a seed. */
export interface Random {
  /** Returns `countBytes` unpredictable bytes. */
  bytes(countBytes: number): Uint8Array
  /** Returns a number in [0, 1). Not for secrets. */
  unit(): number
}

export const systemRandom: Random = {
  bytes: (countBytes) => randomBytes(countBytes),
  unit: () => Math.random(),
}

/**
 * Returns a repeatable `Random` from a 32-bit seed (mulberry32, public domain, Tommy Ettinger). For
 * tests and demos.
 */
export function createSeededRandom(seed: number): Random {
  let state = seed >>> 0
  const unit = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return {
    unit,
    bytes: (countBytes) => Uint8Array.from({ length: countBytes }, () => Math.floor(unit() * 256)),
  }
}
