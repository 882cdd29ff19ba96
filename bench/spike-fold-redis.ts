/**
 * Measures the same commit on Redis, by one Lua script per partition, and shows what a command that
 * fails in the middle of the script leaves behind. Starts a Redis of its own on a free port and
 * ends it.
 *
 *   node bench/spike-fold-redis.ts [eventCount]
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { PartitionCommit } from '../src/state/state-store.ts'
import {
  jsonLayout,
  measureFold,
  packedLayout,
  partitionCount,
  type SpikeStore,
} from './spike-fold.ts'

type Reply = string | number | null | Buffer | Error | readonly Reply[]

/**
 * KEYS: head, index, then the keys. ARGV: epoch, nonce, previous offset, offset, id, then name,
 * value of each.
 */
const plainScript = `
local head = redis.call('HMGET', KEYS[1], 'epoch', 'nonce', 'offset')
if head[1] ~= ARGV[1] or head[2] ~= ARGV[2] then return 'fenced' end
if head[3] ~= ARGV[3] then return 'moved' end
for i = 3, #KEYS do
  redis.call('SET', KEYS[i], ARGV[2 * i + 1])
  redis.call('ZADD', KEYS[2], 0, ARGV[2 * i])
end
redis.call('HSET', KEYS[1], 'offset', ARGV[4], 'id', ARGV[5])
return 'committed'`

/** As above, but takes back what it wrote when a command fails: Redis itself does not. */
const undoScript = `
local head = redis.call('HMGET', KEYS[1], 'epoch', 'nonce', 'offset')
if head[1] ~= ARGV[1] or head[2] ~= ARGV[2] then return 'fenced' end
if head[3] ~= ARGV[3] then return 'moved' end
local olds, failure = {}, nil
for i = 3, #KEYS do
  local old = redis.pcall('SET', KEYS[i], ARGV[2 * i + 1], 'GET')
  if type(old) == 'table' and old.err then failure = old break end
  olds[i] = old
  local added = redis.pcall('ZADD', KEYS[2], 0, ARGV[2 * i])
  if type(added) == 'table' and added.err then failure = added break end
end
if failure then
  for i, old in pairs(olds) do
    if old then redis.call('SET', KEYS[i], old)
    else redis.call('DEL', KEYS[i]) redis.pcall('ZREM', KEYS[2], ARGV[2 * i]) end
  end
  return redis.error_reply(failure.err)
end
redis.call('HSET', KEYS[1], 'offset', ARGV[4], 'id', ARGV[5])
return 'committed'`

class RedisLink {
  readonly #socket: Socket
  readonly #waiting: ((reply: Reply) => void)[] = []
  #received: Buffer = Buffer.alloc(0)

  constructor(socket: Socket) {
    this.#socket = socket
    socket.setNoDelay(true)
    socket.on('data', (chunk) => {
      this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk])
      this.#takeReplies()
    })
  }

  call(...args: readonly (string | Uint8Array)[]): Promise<Reply> {
    const parts: Uint8Array[] = [Buffer.from(`*${args.length}\r\n`)]
    for (const arg of args) {
      const bytes = typeof arg === 'string' ? Buffer.from(arg) : arg
      parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'))
    }
    this.#socket.write(Buffer.concat(parts))
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  end(): void {
    this.#socket.destroy()
  }

  #takeReplies(): void {
    let at = 0
    for (;;) {
      const parsed = parseReply(this.#received, at)
      if (parsed === undefined) break
      at = parsed.end
      this.#waiting.shift()?.(parsed.reply)
    }
    this.#received = this.#received.subarray(at)
  }
}

function parseReply(
  bytes: Buffer,
  at: number,
): { readonly reply: Reply; readonly end: number } | undefined {
  const lineEnd = bytes.indexOf('\r\n', at)
  if (lineEnd < 0) return undefined
  const kind = bytes.toString('latin1', at, at + 1)
  const text = bytes.toString('utf8', at + 1, lineEnd)
  let end = lineEnd + 2
  if (kind === '+') return { reply: text, end }
  if (kind === '-') return { reply: new Error(text), end }
  if (kind === ':') return { reply: Number(text), end }
  const count = Number(text)
  if (count < 0) return { reply: null, end }
  if (kind === '$') {
    if (bytes.length < end + count + 2) return undefined
    return { reply: Buffer.from(bytes.subarray(end, end + count)), end: end + count + 2 }
  }
  const items: Reply[] = []
  for (let n = 0; n < count; n++) {
    const item = parseReply(bytes, end)
    if (item === undefined) return undefined
    items.push(item.reply)
    end = item.end
  }
  return { reply: items, end }
}

function createRedisStore(link: RedisLink, scriptHash: string): SpikeStore {
  const commitOne = (commit: PartitionCommit): Promise<Reply> => {
    const { partition, epoch, nonce, previousOffset, offset, lastRecordId, changes } = commit
    const tag = `{${partition}}`
    const keys = changes.map(({ key }) => `${tag}${key}`)
    const values = changes.flatMap(({ key, value }) => [key, value ?? new Uint8Array()])
    const guard = [epoch, nonce, previousOffset, offset, lastRecordId].map(String)
    const heads = [`${tag}head`, `${tag}index`]
    return link.call(
      'EVALSHA',
      scriptHash,
      `${keys.length + 2}`,
      ...heads,
      ...keys,
      ...guard,
      ...values,
    )
  }
  return {
    async get(partition, keys) {
      const reply = await link.call('MGET', ...keys.map((key) => `{${partition}}${key}`))
      return (reply as readonly (Buffer | null)[]).map((value) => value ?? undefined)
    },
    async commit(commits) {
      const replies = await Promise.all(commits.map(commitOne))
      return replies.map((reply) => (reply instanceof Error ? reply.message : String(reply)))
    },
  }
}

async function startRedis(folder: string): Promise<{ server: ChildProcess; port: number }> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const address = probe.address()
  const port = typeof address === 'object' && address ? address.port : 0
  probe.close()
  const settings = {
    bind: '127.0.0.1',
    dir: folder,
    save: '',
    appendonly: 'yes',
    appendfsync: 'everysec',
  }
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value])
  const server = spawn('redis-server', ['--port', `${port}`, ...args], { stdio: 'pipe' })
  for await (const chunk of server.stdout ?? [])
    if (String(chunk).includes('Ready to accept')) break
  return { server, port }
}

async function resetHeads(link: RedisLink): Promise<void> {
  await link.call('FLUSHALL')
  for (let partition = 0; partition < partitionCount; partition++) {
    await link.call('HSET', `{${partition}}head`, 'epoch', '1', 'nonce', 'n', 'offset', '0')
  }
}

/**
 * Commits 'a' and 'b' where the index is no sorted set, so that the first ZADD of the script fails.
 */
async function showFailure(link: RedisLink, store: SpikeStore): Promise<Record<string, unknown>> {
  await resetHeads(link)
  await link.call('SET', '{0}a', 'before')
  await link.call('SET', '{0}index', 'no sorted set')
  const changes = ['a', 'b'].map((key) => ({ key, value: Buffer.from('after') }))
  const guard = { partition: 0, epoch: 1, nonce: 'n', previousOffset: 0, offset: 2 }
  const answers = await store.commit([{ ...guard, lastRecordId: '', incarnation: '', changes }])
  const [first, second] = await store.get(0, ['a', 'b'])
  const offset = await link.call('HGET', '{0}head', 'offset')
  const text = (value: unknown): string | null => (Buffer.isBuffer(value) ? value.toString() : null)
  return { answer: answers[0], a: text(first), b: text(second), offset: text(offset) }
}

const eventCount = Number(process.argv[2] ?? 120_000)
const folder = mkdtempSync(join(tmpdir(), 'spike-redis-'))
const { server, port } = await startRedis(folder)
server.stdout?.resume()
const socket = connect(port, '127.0.0.1')
await once(socket, 'connect')
const link = new RedisLink(socket)
for (const [script, source] of Object.entries({ plain: plainScript, undo: undoScript })) {
  const store = createRedisStore(link, String(await link.call('SCRIPT', 'LOAD', source)))
  for (const layout of script === 'plain' ? [jsonLayout, packedLayout] : [packedLayout]) {
    await resetHeads(link)
    const result = await measureFold(store, layout, { hasSeen: true, eventCount, batchCount: 400 })
    console.log(JSON.stringify({ script, layout: layout.name, hasSeen: true, ...result }))
  }
  console.log(JSON.stringify({ script, afterFailure: await showFailure(link, store) }))
}
link.end()
server.kill()
await once(server, 'close')
rmSync(folder, { recursive: true })
