/** Counts the entries up to and with an offset, by halves; they are in the order of offsets. */
export function countThrough(
  entries: readonly ({ readonly offset: number } | undefined)[],
  offset: number,
  fromIndex = 0,
): number {
  let low = fromIndex
  let high = entries.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((entries[middle]?.offset ?? 0) <= offset) low = middle + 1
    else high = middle
  }
  return low
}
