/**
 * The copy of a state in Redis or a Redis Cluster: a hash for each partition, in which the field ''
 * is the tag and every other one a key.
 *
 *     {attune:7}copy    hash: '' = tag, KEY = 'v' and the value, or 'n' where it has none
 *
 * One hash, so that tag and values are lost, evicted, rolled back and removed together, and one
 * read shows both. The server may evict: give it `allkeys-lru` if it holds nothing but copies,
 * since a copy grows to all that its owner reads and writes. A server that is full refuses a commit
 * to the copy, whose owner empties it then.
 */

import { parseKeyPrefix } from './redis-client.ts'
import {
  createScript,
  openRedisLink,
  type RedisArgument,
  type RedisLink,
  type RedisLinkDeps,
  type RedisLinkOptions,
  textOf,
} from './redis-link.ts'
import type { CopiedValue, StateCopy } from './state-copy.ts'
import type { Change } from './state-store.ts'

export interface RedisStateCopyOptions extends RedisLinkOptions {
  /** Begins every key; letters, digits, `-`, `_` and `.`. */
  readonly keyPrefix?: string
}

/** Short: the primary can answer too. */
const callMsMaxDefault = 500
const valueMark = Buffer.from('v')
const noneMark = Buffer.from('n')
const valueByte = valueMark[0]

/** KEYS: copy. ARGV: tag. The removal comes first, so that a full server takes the rest. */
const beginScript = createScript(`
redis.call('UNLINK', KEYS[1])
redis.call('HSET', KEYS[1], '', ARGV[1])
return 1`)

/** KEYS: copy. ARGV: tag that it must have, new tag. */
const retagScript = createScript(`
if redis.call('HGET', KEYS[1], '') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], '', ARGV[2])
return 1`)

/**
 * KEYS: copy. ARGV: tag that it must have, new tag, '1' to remove a copy of another tag, count of
 * the deleted keys, these, then key and value of each other one. Lua passes about 8,000 values to a
 * function at most. The tag comes last: what fails before leaves a tag that nobody uses again.
 */
const applyScript = createScript(`
if redis.call('HGET', KEYS[1], '') ~= ARGV[1] then
  if ARGV[3] == '1' then redis.call('UNLINK', KEYS[1]) end
  return 0
end
local putFrom = 5 + tonumber(ARGV[4])
for from = 5, putFrom - 1, 4000 do
  redis.call('HDEL', KEYS[1], unpack(ARGV, from, math.min(from + 3999, putFrom - 1)))
end
for from = putFrom, #ARGV, 4000 do
  redis.call('HSET', KEYS[1], unpack(ARGV, from, math.min(from + 3999, #ARGV)))
end
if ARGV[1] ~= ARGV[2] then redis.call('HSET', KEYS[1], '', ARGV[2]) end
return 1`)

/** Connects; the eviction policy may be any. */
export async function openRedisStateCopy(
  deps: RedisLinkDeps,
  options: RedisStateCopyOptions,
): Promise<StateCopy> {
  const keyPrefix = parseKeyPrefix(options.keyPrefix)
  const callMsMax = options.callMsMax ?? callMsMaxDefault
  const link = await openRedisLink(deps, { ...options, callMsMax, mayEvict: true })
  return new RedisStateCopy(link, keyPrefix)
}

class RedisStateCopy implements StateCopy {
  readonly #link: RedisLink
  readonly #keyPrefix: string

  constructor(link: RedisLink, keyPrefix: string) {
    this.#link = link
    this.#keyPrefix = keyPrefix
  }

  async begin(partition: number, tag: string): Promise<void> {
    const attempted = `begin the copy of partition ${partition}`
    await this.#link.run(attempted, beginScript, [this.#keyOf(partition)], [tag])
  }

  async retag(partition: number, from: string, to: string): Promise<boolean> {
    const attempted = `tag the copy of partition ${partition}`
    const keys = [this.#keyOf(partition)]
    return (await this.#link.run(attempted, retagScript, keys, [from, to])) === 1
  }

  async get(
    partition: number,
    keys: readonly string[],
  ): Promise<{ readonly tag: string; readonly values: readonly CopiedValue[] }> {
    const attempted = `read the copy of partition ${partition}`
    const reply = await this.#link.call(attempted, 'hmget', [this.#keyOf(partition), '', ...keys])
    const [tag, ...values] = reply as readonly (Buffer | null)[]
    return { tag: textOf(tag), values: values.map(decodeValue) }
  }

  async apply(
    partition: number,
    from: string,
    to: { readonly tag: string; readonly changes: readonly Change[] },
  ): Promise<boolean> {
    // A later change of a key is over the earlier, which the order of the script would not keep.
    const changes = new Map(to.changes.map(({ key, value }) => [key, value]))
    const deleted = [...changes].filter(([, value]) => value === undefined).map(([key]) => key)
    const put = [...changes].flatMap(([key, value]) => (value ? [key, encodeValue(value)] : []))
    const head = [from, to.tag, '1', `${deleted.length}`]
    return await this.#change(partition, [...head, ...deleted, ...put])
  }

  async fill(partition: number, tag: string, entries: readonly Change[]): Promise<void> {
    const put = entries.flatMap(({ key, value }) => [key, encodeValue(value)])
    await this.#change(partition, [tag, tag, '0', '0', ...put])
  }

  async close(): Promise<void> {
    await this.#link.close()
  }

  async #change(partition: number, parameters: readonly RedisArgument[]): Promise<boolean> {
    const attempted = `change the copy of partition ${partition}`
    const keys = [this.#keyOf(partition)]
    return (await this.#link.run(attempted, applyScript, keys, parameters)) === 1
  }

  #keyOf(partition: number): string {
    return `{${this.#keyPrefix}:${partition}}copy`
  }
}

function encodeValue(value: Uint8Array | undefined): Uint8Array {
  return value === undefined ? noneMark : Buffer.concat([valueMark, value])
}

function decodeValue(field: Buffer | null): CopiedValue {
  if (field === null) return undefined
  return field[0] === valueByte ? new Uint8Array(field.subarray(1)) : null
}
