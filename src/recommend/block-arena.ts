/**
 * One growing array that lends blocks of 4, 8, 16... numbers, so that a million short lists cost
 * neither a million objects nor the garbage collector's time. A block is named by its offset;
 * whoever borrowed it remembers its length and gives it back. Blocks are not cleared.
 */

import type { Transfer } from './transfer.ts'
import { growTo } from './typed-array.ts'

export const blockLengthMin = 4

/** Returns the length of the smallest block for `count` numbers; 0 for none. */
export function blockLengthFor(count: number): number {
  if (count <= blockLengthMin) return count === 0 ? 0 : blockLengthMin
  return 1 << (32 - Math.clz32(count - 1))
}

export class BlockArena {
  /** The numbers. Replaced when the arena grows, so it is read anew after each `borrow`. */
  ints = new Int32Array(1024)
  /** The same memory as 32-bit floats. */
  floats = new Float32Array(this.ints.buffer)
  #used = 0
  /** Free offsets by log2 of the block's length. */
  readonly #free: number[][] = Array.from({ length: 32 }, () => [])

  /** Returns the offset of a block of `length` numbers, a power of two from 4. */
  borrow(length: number): number {
    const offset = this.#free[31 - Math.clz32(length)]?.pop()
    if (offset !== undefined) return offset
    const start = this.#used
    this.#used += length
    if (this.#used > this.ints.length) {
      this.ints = growTo(this.ints, this.#used)
      this.floats = new Float32Array(this.ints.buffer)
    }
    return start
  }

  giveBack(offset: number, length: number): void {
    this.#free[31 - Math.clz32(length)]?.push(offset)
  }

  transfer(through: Transfer): void {
    this.ints = through.array(this.ints)
    this.floats = new Float32Array(this.ints.buffer)
    this.#used = through.number(this.#used)
    for (const [index, offsets] of this.#free.entries()) {
      this.#free[index] = [...through.array(Int32Array.from(offsets))]
    }
  }
}
