/**
 * Texts kept under keys, within a bound, as bytes outside of V8's heap: a heap of as many texts is
 * marked again and again, and grows to twice its need before it is collected.
 *
 * The bytes lie in slabs that are filled in turn. Where all are full, the oldest is filled anew and
 * all that it held is forgotten: what was put first goes first, whoever asks for it. Nothing is
 * moved; a text that was put again leaves its old bytes where they are until the turn of its slab.
 */

export interface TextRing<Head> {
  get(key: string): KeptText<Head> | undefined
  /**
   * Forgets what the key had, and keeps the text unless it does not fit into a slab. `headBytes` is
   * what the head and its key take of the bound.
   */
  set(key: string, head: Head, text: string, headBytes: number): void
}

export interface KeptText<Head> {
  readonly head: Head
  /** Whether each character is one byte, in UTF-8 as well. */
  readonly isAscii: boolean
  /** Undefined once its slab was filled anew, which may be while its holder awaits something. */
  read(): string | undefined
}

interface Slab {
  readonly bytes: Buffer
  /** Of texts. */
  usedBytes: number
  /** They count as if they lay here: the end stays untouched for them, and so takes no memory. */
  headBytes: number
  readonly keys: string[]
  /** How many times it was filled. */
  turn: number
}

const slabCount = 64
const slabBytesMax = 4 * 1024 * 1024

/** Makes a ring for `bytesMax` of texts and heads; of none where that is 0. */
export function createTextRing<Head>(bytesMax: number): TextRing<Head> {
  const slabBytes = Math.min(slabBytesMax, Math.floor(bytesMax / slabCount))
  const slabCountMax = slabBytes === 0 ? 0 : Math.floor(bytesMax / slabBytes)
  const kept = new Map<string, Kept<Head>>()
  const slabs: Slab[] = []
  let current = -1

  const takeNextSlab = (): Slab => {
    current = (current + 1) % slabCountMax
    const slab = slabs[current]
    if (slab === undefined) {
      const bytes = Buffer.allocUnsafeSlow(slabBytes)
      const made = { bytes, usedBytes: 0, headBytes: 0, keys: [], turn: 0 }
      slabs.push(made)
      return made
    }
    for (const key of slab.keys.splice(0)) if (kept.get(key)?.slab === slab) kept.delete(key)
    slab.usedBytes = 0
    slab.headBytes = 0
    slab.turn++
    return slab
  }

  return {
    get: (key) => kept.get(key),
    set(key, head, text, headBytes) {
      kept.delete(key)
      const textBytes = Buffer.byteLength(text)
      const addedBytes = textBytes + headBytes
      if (addedBytes > slabBytes) return
      let slab = slabs[current] ?? takeNextSlab()
      if (slab.usedBytes + slab.headBytes + addedBytes > slabBytes) slab = takeNextSlab()
      const from = slab.usedBytes
      slab.usedBytes += slab.bytes.write(text, from)
      slab.headBytes += headBytes
      slab.keys.push(key)
      kept.set(key, new Kept(head, slab, from, textBytes === text.length))
    },
  }
}

class Kept<Head> implements KeptText<Head> {
  readonly head: Head
  readonly slab: Slab
  readonly isAscii: boolean
  readonly #from: number
  readonly #to: number
  readonly #turn: number

  /** Of the last text of the slab. */
  constructor(head: Head, slab: Slab, from: number, isAscii: boolean) {
    this.head = head
    this.slab = slab
    this.isAscii = isAscii
    this.#from = from
    this.#to = slab.usedBytes
    this.#turn = slab.turn
  }

  read(): string | undefined {
    const { bytes, turn } = this.slab
    if (turn !== this.#turn) return undefined
    // Several times as fast, and the same where all is ASCII.
    const encoding = this.isAscii ? 'latin1' : 'utf8'
    return bytes.toString(encoding, this.#from, this.#to)
  }
}
