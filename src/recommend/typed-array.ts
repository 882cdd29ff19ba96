/** Returns the smallest power of two that is at least `count`. */
export function powerOfTwoFrom(count: number): number {
  return count <= 1 ? 1 : 2 ** Math.ceil(Math.log2(count))
}

/**
 * Returns `array` where it is long enough, else a copy at least twice as long, filled up with
 * zeros.
 */
export function growTo<T extends Int32Array | Uint8Array | Float32Array | Float64Array>(
  array: T,
  length: number,
): T {
  if (array.length >= length) return array
  const Constructor = array.constructor as new (length: number) => T
  const grown = new Constructor(Math.max(length, array.length * 2))
  grown.set(array)
  return grown
}
