/**
 * A set of offsets of one partition that grows towards the whole: a bit for each, in stretches of
 * 4,096. A stretch that is full is a mark, and full stretches from the first on are one number, so
 * memory goes with what is half done, not with what was ever done.
 */

const stretchBits = 4096
const wordBits = 32

interface Stretch {
  readonly words: Uint32Array
  count: number
}

export interface ResolvedOffsets {
  has(offset: number): boolean
  /** Answers whether it was new. */
  add(offset: number): boolean
  /** Memory of the bits. */
  readonly bytes: number
}

/** Makes an empty set, in which all up to `from` counts as there. */
export function createResolvedOffsets(from = 0): ResolvedOffsets {
  const stretches = new Map<number, Stretch | 'full'>()
  const firstIndex = Math.floor((from + 1) / stretchBits)
  let fullBelow = firstIndex
  const has = (offset: number): boolean => {
    const index = Math.floor(offset / stretchBits)
    if (offset <= from || index < fullBelow) return true
    const stretch = stretches.get(index)
    if (stretch === undefined || stretch === 'full') return stretch === 'full'
    const bit = offset % stretchBits
    return ((stretch.words[Math.floor(bit / wordBits)] ?? 0) & (1 << (bit % wordBits))) !== 0
  }
  const settle = (index: number): void => {
    stretches.set(index, 'full')
    for (; stretches.get(fullBelow) === 'full'; fullBelow++) stretches.delete(fullBelow)
  }
  return {
    has,
    add(offset) {
      if (has(offset)) return false
      const index = Math.floor(offset / stretchBits)
      let stretch = stretches.get(index)
      if (stretch === undefined || stretch === 'full') {
        // What lies up to `from` will not be added.
        const count = index === firstIndex ? (from + 1) % stretchBits : 0
        stretch = { words: new Uint32Array(stretchBits / wordBits), count }
        stretches.set(index, stretch)
      }
      const bit = offset % stretchBits
      const word = Math.floor(bit / wordBits)
      stretch.words[word] = (stretch.words[word] ?? 0) | (1 << (bit % wordBits))
      stretch.count++
      if (stretch.count === stretchBits) settle(index)
      return true
    },
    get bytes() {
      return [...stretches.values()].filter((one) => one !== 'full').length * (stretchBits / 8)
    },
  }
}
