/**
 * Ends the process's present work when a belief of ours is false. `belief` says what should hold.
 */
export function assert(condition: unknown, belief: string): asserts condition {
  if (!condition) throw new Error(`broken belief: ${belief}`)
}

/** Marks a switch arm that the types say cannot be reached. */
export function unreachable(value: never): never {
  throw new Error(`broken belief: no such case: ${JSON.stringify(value)}`)
}
