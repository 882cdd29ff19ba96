/**
 * How the contents of an index go to and from a snapshot. A structure hands over each of its fields
 * and takes what it is given back: on the way out the same, on the way in what was written. So one
 * method says both, and the order can only be the same.
 *
 * Snapshots are for the same code and the same options alone: whoever changes the fields that a
 * structure hands over, or what they mean, raises `indexLayout`.
 */

/** Of all structures together. */
export const indexLayout = 6

export type TypedArray = Int32Array | Uint8Array | Float32Array | Float64Array

export interface Transfer {
  number(value: number): number
  array<Kind extends TypedArray>(array: Kind): Kind
  texts(texts: readonly string[]): readonly string[]
}

/** Hands over a map from texts to 32-bit numbers. */
export function transferMap(
  through: Transfer,
  map: ReadonlyMap<string, number>,
): Map<string, number> {
  const texts = through.texts([...map.keys()])
  const values = through.array(Int32Array.from(map.values()))
  return new Map(texts.map((text, index) => [text, values[index] ?? 0]))
}

/** Hands over an instant that may not be known yet. */
export function transferInstant(through: Transfer, ms: number | undefined): number | undefined {
  const given = through.number(ms ?? Number.NaN)
  return Number.isNaN(given) ? undefined : given
}

/** A snapshot that cannot be taken in: the index is built from the feed instead. */
export class SnapshotUnfitError extends Error {}
