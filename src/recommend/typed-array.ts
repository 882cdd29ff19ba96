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

/**
 * Returns the number of rank `rank` (from 1, the largest) among the first `count` of `numbers`,
 * whose order it changes (quickselect; Hoare, "Find", 1961).
 */
export function selectLargest(numbers: Float64Array, count: number, rank: number): number {
  let first = 0
  let last = count - 1
  const wanted = rank - 1
  while (first < last) {
    const pivot = numbers[(first + last) >>> 1] ?? 0
    let left = first
    let right = last
    while (left <= right) {
      while ((numbers[left] ?? 0) > pivot) left += 1
      while ((numbers[right] ?? 0) < pivot) right -= 1
      if (left > right) break
      const moved = numbers[left] ?? 0
      numbers[left] = numbers[right] ?? 0
      numbers[right] = moved
      left += 1
      right -= 1
    }
    if (wanted <= right) last = right
    else if (wanted >= left) first = left
    else break
  }
  return numbers[wanted] ?? 0
}
