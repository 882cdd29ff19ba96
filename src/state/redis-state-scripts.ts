/**
 * What runs inside Redis for the state store. A script is one step for everybody else.
 *
 * A command that fails in the middle of a script would leave what was written before it. So each
 * write keeps the value it replaced, and a failure puts the old ones back, last first, before it
 * returns the error. A server that is full refuses a script at its first write, and never later.
 *
 * The append-only file holds what a script wrote between MULTI and EXEC. Where the file ends in
 * between, Redis leaves that out when it starts, but many versions (7.0 among them) leave it in the
 * file: after more writes the next start applies it, without its end. So a commit first raises
 * `begun` by one and sets the same number last. Part of a commit raises only the first, for good.
 */

import { createScript } from './redis-link.ts'

/**
 * KEYS: head, index, then a key for each change. ARGV: epoch, nonce, previous offset, offset, last
 * record's id, incarnation, number of the commit before, '1' where the offset grows, a letter for
 * each change (p put, d delete), length of the keys' common part, then the values that are put.
 * Returns the answer and the number of the newest commit.
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

local letters, keyFrom, valueAt = ARGV[9], tonumber(ARGV[10]) + 1, 10
local olds, failure, at = {}, nil, 0
-- A full Redis refuses the first write of a script unless that one takes no memory, like this one.
if not string.find(letters, 'p', 1, true) then redis.call('ZREM', KEYS[2], '') end
redis.call('HINCRBY', KEYS[1], 'begun', 1)
for i = 3, #KEYS do
  at = i
  local isPut = string.byte(letters, i - 2) == 112
  local old
  if isPut then
    valueAt = valueAt + 1
    old = redis.pcall('SET', KEYS[i], ARGV[valueAt], 'GET')
  else
    old = redis.pcall('GETDEL', KEYS[i])
  end
  if type(old) == 'table' then failure = old break end
  olds[i] = old
  if isPut ~= (old and true or false) then
    local done
    if isPut then done = redis.pcall('ZADD', KEYS[2], 0, string.sub(KEYS[i], keyFrom))
    else done = redis.pcall('ZREM', KEYS[2], string.sub(KEYS[i], keyFrom)) end
    if type(done) == 'table' then failure = done break end
  end
end
if not failure then
  local done = redis.pcall('HSET', KEYS[1], 'epoch', ARGV[1], 'nonce', ARGV[2], 'offset', ARGV[4],
    'id', ARGV[5], 'incarnation', ARGV[6], 'number', number + 1)
  if type(done) == 'table' then failure = done end
end
if not failure then return {'committed', number + 1} end
for i = at, 3, -1 do
  local old = olds[i]
  if old then
    redis.pcall('SET', KEYS[i], old)
    redis.pcall('ZADD', KEYS[2], 0, string.sub(KEYS[i], keyFrom))
  elseif old == false then
    redis.pcall('DEL', KEYS[i])
    redis.pcall('ZREM', KEYS[2], string.sub(KEYS[i], keyFrom))
  end
end
redis.call('HINCRBY', KEYS[1], 'begun', -1)
return redis.error_reply(failure.err)`)

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
