/**
 * Shares the partitions of a log out among the members of a group: fair, and with few moves.
 *
 * Shares differ by one at most. A member keeps what it has as far as its share goes. What moves
 * from one living member to another is given to nobody in this round; the old owner lets go of it
 * and joins again, and the next round gives it away. (The client library's own way leaves a ninth
 * member without anything where eight have eight each.)
 */

export interface ShareClaim {
  readonly memberId: string
  /** What it says it owns. */
  readonly owned: readonly number[]
  /** The round in which it was given that; one of an older round is not believed. */
  readonly generation: number
}

/** Returns what each member owns from now on, sorted. */
export function sharePartitions(
  claims: readonly ShareClaim[],
  partitionCount: number,
): ReadonlyMap<string, readonly number[]> {
  const generation = Math.max(...claims.map((claim) => claim.generation))
  const holders = Array.from({ length: partitionCount }, (): string[] => [])
  for (const claim of claims) {
    if (claim.generation < generation) continue
    for (const partition of claim.owned) holders[partition]?.push(claim.memberId)
  }
  const shares = new Map(claims.map(({ memberId }) => [memberId, [] as number[]]))
  // Two who claim the same partition are both not believed, and both must let go of it.
  for (const [partition, [holder, ...others]] of holders.entries()) {
    if (holder !== undefined && others.length === 0) shares.get(holder)?.push(partition)
  }
  const byOwned = [...shares].sort(
    ([oneId, one], [otherId, other]) => other.length - one.length || (oneId < otherId ? -1 : 1),
  )
  const countMin = Math.floor(partitionCount / claims.length)
  const largerCount = partitionCount % claims.length
  const quotas = new Map(
    byOwned.map(([memberId], index) => [memberId, countMin + (index < largerCount ? 1 : 0)]),
  )
  for (const [memberId, share] of shares) share.splice(quotas.get(memberId) ?? 0)
  const kept = new Set([...shares.values()].flat())
  const free = [...holders.keys()].filter((partition) => !kept.has(partition)).values()
  for (const [memberId, share] of byOwned) {
    const quota = quotas.get(memberId) ?? 0
    for (let missing = quota - share.length; missing > 0; missing--) {
      const { value: partition } = free.next()
      if (partition === undefined) break
      const isHeld = holders[partition]?.some((holder) => holder !== memberId)
      if (!isHeld) share.push(partition)
    }
    share.sort((one, other) => one - other)
  }
  return shares
}
