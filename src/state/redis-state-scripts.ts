/**
 * What runs inside Redis for the state store. A script is one step for everybody else.
 *
 * A command that fails in the middle of a script would leave what was written before it. So a
 * commit first looks at all that could make one fail: the types of head and index, and the user's
 * rights. Other keys may be of any type: MSET and DEL take them. A server that is full, or that may
 * not write for another reason, refuses a script at its first write, and never later. Values
 * replaced are not read, which would cost Redis as much as to write them.
 *
 * The append-only file holds what a script wrote between MULTI and EXEC. Where the file ends in
 * between, Redis leaves that out when it starts, but many versions (7.0 among them) leave it in the
 * file: after more writes the next start applies it, without its end. So a commit first raises
 * `begun` by one and sets the same number last. Part of a commit raises only the first, for good.
 */

import { createScript } from './redis-link.ts'

/**
 * KEYS: head, index, those that are put, those that are deleted; none comes twice. ARGV: epoch,
 * nonce, previous offset, offset, last record's id, incarnation, number of the commit before, '1'
 * where the offset grows, count of the keys that are put, length of the keys' common part, then the
 * values that are put. Returns the answer and the number of the newest commit. Lua passes about
 * 8,000 values to a function at most.
 */
export const commitScript = createScript(`
local head = redis.call('HMGET', KEYS[1], 'epoch', 'nonce', 'offset', 'id', 'number', 'begun')
local number = tonumber(head[5] or '0')
if (head[6] or '0') ~= (head[5] or '0') then return {'torn', number} end
if (head[1] or '0') ~= ARGV[1] or (head[2] or '') ~= ARGV[2] then return {'fenced', number} end
local offset = head[3] or '0'
if ARGV[8] == '1' and offset == ARGV[4] and (head[4] or '') == ARGV[5] then
  return {'committed', number}
end
if offset ~= ARGV[3] then return {'moved', number} end
local known = tonumber(ARGV[7])
if known == nil or number > known then return {'renumbered', number} end
if number < known then return {'moved', number} end

local mayWrite = redis.acl_check_cmd('HINCRBY', KEYS[1], 'begun', 1)
  and redis.acl_check_cmd('HSET', KEYS[1], 'number', 1)
  and redis.acl_check_cmd('ZADD', KEYS[2], 0, '') and redis.acl_check_cmd('ZREM', KEYS[2], '')
if mayWrite and KEYS[3] then
  mayWrite = redis.acl_check_cmd('MSET', KEYS[3], '') and redis.acl_check_cmd('DEL', KEYS[3])
end
if not mayWrite then return redis.error_reply('NOPERM a commit needs more rights') end
redis.call('ZCARD', KEYS[2])

local putCount, memberFrom = tonumber(ARGV[9]), tonumber(ARGV[10]) + 1
local puts, scored, deleted = {}, {}, {}
for i = 1, putCount do
  puts[2 * i - 1], puts[2 * i] = KEYS[i + 2], ARGV[i + 10]
  scored[2 * i - 1], scored[2 * i] = '0', string.sub(KEYS[i + 2], memberFrom)
end
for i = putCount + 3, #KEYS do deleted[#deleted + 1] = string.sub(KEYS[i], memberFrom) end

-- A full Redis refuses the first write of a script unless that one takes no memory, like this one.
if putCount == 0 then redis.call('ZREM', KEYS[2], '') end
redis.call('HINCRBY', KEYS[1], 'begun', 1)
for from = 1, #puts, 4000 do
  local to = math.min(from + 3999, #puts)
  redis.call('ZADD', KEYS[2], unpack(scored, from, to))
  redis.call('MSET', unpack(puts, from, to))
end
for from = 1, #deleted, 4000 do
  local to = math.min(from + 3999, #deleted)
  redis.call('ZREM', KEYS[2], unpack(deleted, from, to))
  redis.call('DEL', unpack(KEYS, putCount + 2 + from, putCount + 2 + to))
end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'nonce', ARGV[2], 'offset', ARGV[4], 'id', ARGV[5],
  'incarnation', ARGV[6], 'number', number + 1)
return {'committed', number + 1}`)

/** KEYS: head. ARGV: epoch, nonce. Returns the answer and the number of the newest commit. */
export const acquireScript = createScript(`
local head = redis.call('HMGET', KEYS[1], 'epoch', 'nonce', 'number', 'begun')
local number = tonumber(head[3] or '0')
if (head[4] or '0') ~= (head[3] or '0') then return {'torn', number} end
if head[1] == ARGV[1] and head[2] == ARGV[2] then return {'acquired', number} end
if tonumber(ARGV[1]) <= tonumber(head[1] or '0') then return {'fenced', number} end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'nonce', ARGV[2])
return {'acquired', number}`)

/** KEYS: head. ARGV: epoch, nonce. */
export const releaseScript = createScript(`
local head = redis.call('HMGET', KEYS[1], 'epoch', 'nonce')
if head[1] == ARGV[1] and head[2] == ARGV[2] then redis.call('HSET', KEYS[1], 'nonce', '') end
return 'done'`)

/**
 * KEYS: index. ARGV: first key and the key behind the last as ZRANGEBYLEX wants them, the greatest
 * count, the keys' common part. Returns the keys, then their values, each in one array. Lua passes
 * about 8,000 values to a function at most.
 */
export const scanScript = createScript(`
local keys = redis.call('ZRANGEBYLEX', KEYS[1], ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[3])
local names = {}
for i = 1, #keys do names[i] = ARGV[4] .. keys[i] end
local values = {}
for from = 1, #names, 4000 do
  local some = redis.call('MGET', unpack(names, from, math.min(from + 3999, #names)))
  for i = 1, #some do values[#values + 1] = some[i] end
end
return {keys, values}`)
