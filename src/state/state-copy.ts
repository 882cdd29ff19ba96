/**
 * A partial copy of partitions, each with a tag that says what it is a copy of. It may lose
 * anything at any time, but what it says under a tag was written under that tag or before it.
 */

import type { Change } from './state-store.ts'

/** A value; null where the key is known to have none; undefined where the copy does not know. */
export type CopiedValue = Uint8Array | null | undefined

export interface StateCopy {
  /** Empties a partition, and gives it a tag. */
  begin(partition: number, tag: string): Promise<void>
  /** Changes the tag if it is `from`; answers whether it was. */
  retag(partition: number, from: string, to: string): Promise<boolean>
  /** Reads tag and values at one instant; the tag is '' where there is no copy. */
  get(
    partition: number,
    keys: readonly string[],
  ): Promise<{ readonly tag: string; readonly values: readonly CopiedValue[] }>
  /**
   * Makes the changes and the new tag in one step if the tag is `from`; else removes the copy.
   * Answers whether it was.
   */
  apply(
    partition: number,
    from: string,
    to: { readonly tag: string; readonly changes: readonly Change[] },
  ): Promise<boolean>
  /** Adds what the primary holds, undefined where it holds nothing, if the tag is still `tag`. */
  fill(partition: number, tag: string, entries: readonly Change[]): Promise<void>
  close(): Promise<void>
}
