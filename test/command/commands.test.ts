/** The commands as an operator uses them, on a directory that a real server has filled. */

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, describe, it } from 'node:test'
import { type DataReader, withDataReader } from '../../src/command/data-reader.ts'
import {
  freePort,
  openServerProcess,
  startServerProcess,
  stopServerProcess,
} from '../faults/server-process.ts'
import {
  appendUnfoldable,
  copyDataDir,
  messageCount,
  openWorld,
  parseLines,
  people,
  runCommand,
  type World,
  waitUntil,
} from './run-command.ts'

interface RebuildAnswer {
  readonly isEqual: boolean
  readonly stateHash: string
  readonly rebuiltHash: string
  readonly recordCount: number
  readonly partitions: readonly {
    readonly partition: number
    readonly offset: number
    readonly isEqual: boolean
  }[]
  readonly outbox: { readonly deleted: number; readonly left: number }
}

interface MessageLine {
  readonly messageId: string
  readonly campaign: string
  readonly personKey: string
  readonly state: { readonly kind: string }
}

describe('commands', () => {
  let world: World
  before(async () => {
    world = await openWorld()
  })
  after(() => world.close())

  const run = (...given: readonly string[]) => runCommand([...given, '--data-dir', world.dataDir])

  const firstMessage = async (): Promise<string> => {
    const [message] = parseLines<MessageLine>((await run('messages', '--json')).stdout)
    return message?.messageId ?? ''
  }

  describe('while a server runs', () => {
    it('rebuild proves that the state follows from the log', async () => {
      const into = join(world.folder, 'rebuilt')
      const { code, stdout } = await run('rebuild', '--into', into, '--json')
      const [answer] = parseLines<RebuildAnswer>(stdout)
      assert.equal(answer?.isEqual, true)
      assert.equal(answer.stateHash, answer.rebuiltHash)
      assert.ok(answer.recordCount > people.length * 3)
      // The definitions went from partition 0 to all, and were received: nothing is left to send.
      assert.ok(answer.outbox.deleted > 0)
      assert.equal(code, 0)
      assert.ok(existsSync(join(into, 'state.sqlite')))
      const again = await run('rebuild', '--into', into)
      assert.equal(again.code, 2)
      assert.match(again.stderr, /rebuilt is not empty/)
    })

    it('events shows accepted and rejected ones, with the reason', async () => {
      const { code, stdout } = await run('events')
      assert.equal(code, 0)
      assert.match(stdout, /user:ada +Product Added/)
      assert.match(stdout, /rejected: \S+/)
      assert.ok(!stdout.includes('\u001b'))
      const rejected = await run('events', '--from-start', '--rejected', '--json')
      const [first, ...others] = parseLines<{ kind: string; reason: string }>(rejected.stdout)
      assert.equal(first?.kind, 'rejected')
      assert.equal(first?.reason, 'id-missing')
      assert.equal(others.length, 0)
    })

    it('events --follow shows what comes', async () => {
      const following = run('events', '--follow', '--count', '1', '--json')
      let isSent = false
      void following.then(() => {
        isSent = true
      })
      await waitUntil(async () => {
        if (!isSent) await world.send({ userId: 'dan', event: 'Page Seen' })
        return isSent
      })
      const [event] = parseLines<{ name: string; person: string }>((await following).stdout)
      assert.equal(event?.name, 'Page Seen')
      assert.equal(event?.person, 'user:dan')
    })

    it('events --follow shows what is rejected, with why', async () => {
      const following = run('events', '--follow', '--rejected', '--count', '1', '--json')
      const shown = following.then(() => true)
      await waitUntil(async () => {
        await world.send({ userId: 'dan', event: 5 })
        return await Promise.race([shown, Promise.resolve(false)])
      })
      const [line] = parseLines<Record<string, unknown>>((await following).stdout)
      const { kind, reason, path } = line ?? {}
      assert.deepEqual([kind, reason, path], ['rejected', 'event-name-invalid', '/event'])
    })

    it('a reader that closes the pipe early ends events quietly', async () => {
      const given = ['events', '--follow', '--from-start', '--kind', 'all']
      const ended = runCommand([...given, '--data-dir', world.dataDir], { closeAfter: true })
      const timer = setInterval(() => void world.send({ userId: 'eve', event: 'Seen' }), 50)
      const { code, stderr } = await ended
      clearInterval(timer)
      assert.equal(code, 0)
      assert.equal(stderr, '')
    })

    it('keys made and revoked on disk are taken by the server', async () => {
      const made = await run('keys', 'create', '--name', 'shop', '--scope', 'read')
      const key = made.stdout.trim()
      assert.match(key, /^atk_[\w-]{43}$/)
      const ask = async (): Promise<number> => {
        const headers = { authorization: `Bearer ${key}` }
        const response = await fetch(`${world.server.url}/api/v1/status`, { headers })
        await response.arrayBuffer()
        return response.status
      }
      await waitUntil(async () => (await ask()) === 200)
      const listed = await run('keys', 'list')
      assert.match(listed.stdout, /^shop +read/)
      assert.ok(!listed.stdout.includes(key))
      assert.equal((await run('keys', 'revoke', 'shop')).code, 0)
      await waitUntil(async () => (await ask()) === 401)
      assert.equal((await run('keys', 'revoke', 'shop')).code, 1)
    })

    it('profile shows a person, and a device leads to its user', async () => {
      // What leads from a device to its user lies in another partition than the emails of before.
      await waitUntil(async () => {
        const { code, stdout } = await run('profile', 'get', 'anonymous:device-ada', '--json')
        const [profile] = parseLines<{ id: string; identities: readonly string[] }>(stdout)
        const has = profile?.identities.includes('anonymous:device-ada') === true
        return code === 0 && profile?.id === 'user:ada' && has
      })
      assert.equal((await run('profile', 'get', 'user:nobody')).code, 1)
    })

    it('profile tells the past, and what made each version', async () => {
      const { code, stdout, stderr } = await run('profile', 'changes', 'ada', '--json')
      assert.equal(code, 0, stderr)
      const [feed] = parseLines<{ changes: { version: number; at: string }[] }>(stdout)
      const changes = feed?.changes ?? []
      const [first] = changes
      assert.equal(first?.version, 1)
      const then = await run('profile', 'get', 'ada', '--at', first.at, '--json')
      // What was folded within one millisecond is one instant.
      const last = changes.filter(({ at }) => at === first.at).at(-1)
      const [shown] = parseLines<{ version: number }>(then.stdout)
      assert.equal(shown?.version, last?.version, then.stderr)
      const before = await run('profile', 'get', 'ada', '--at', '2020-01-01')
      assert.equal(before.code, 1)
      assert.match(before.stderr, /Nothing was known of this person then/)
      assert.equal((await run('profile', 'get', 'ada', '--at', 'yesterday')).code, 2)
    })

    it('messages lists what was handed over', async () => {
      const stateIs = ['messages', '--state', 'accepted', '--json']
      const accepted = async () => parseLines<MessageLine>((await run(...stateIs)).stdout)
      await waitUntil(async () => (await accepted()).length === messageCount)
      const { stdout } = await run(...stateIs, '--campaign', 'at-once')
      const ofOne = parseLines<MessageLine>(stdout)
      assert.deepEqual(
        ofOne.map(({ personKey }) => personKey).sort(),
        people.map((userId) => `user:${userId}`),
      )
    })

    it('explain renders the same bytes, and others where an input is changed', async () => {
      const messageId = await firstMessage()
      const same = await run('explain', messageId)
      assert.equal(same.code, 0)
      assert.match(same.stdout, /The event Product Added .* started/)
      assert.match(same.stdout, /The same bytes/)
      const change = 'values.shop.url=https://other.example'
      const changed = await run('explain', messageId, '--change', change)
      assert.equal(changed.code, 1)
      assert.match(changed.stdout, /Different bytes/)
      assert.equal((await run('explain', messageId, '--change', 'values.no.such=1')).code, 1)
      const shown = await run('explain', messageId, '--show')
      const mails = world.catcher.list(messageCount).map(({ raw }) => Buffer.from(raw).toString())
      assert.ok(mails.some((raw) => raw.trimEnd() === shown.stdout.trimEnd()))
    })

    it('doctor looks and finds nothing to care for', async () => {
      const { code, stdout } = await run('doctor', '--json')
      const [found] = parseLines<{
        readonly isServerRunning: boolean
        readonly partitions: { readonly count: number; readonly stopped: readonly unknown[] }
        readonly fsync: { readonly p99Ms: number }
        readonly care: readonly string[]
      }>(stdout)
      assert.equal(found?.isServerRunning, true)
      assert.equal(found?.partitions.count, 64)
      assert.deepEqual(found?.partitions.stopped, [])
      assert.ok((found?.fsync.p99Ms ?? 0) > 0)
      const slowDisk = found?.care.filter((says) => !says.startsWith('The disk takes')) ?? []
      assert.deepEqual(slowDisk, [])
      assert.equal(code, found?.care.length === 0 ? 0 : 1)
    })

    it('doctor tells two events under one id, and where they are in the log', async () => {
      const send = (count: number) =>
        world.send({ userId: 'ada', event: 'Note', messageId: 'same', properties: { count } })
      for (const count of [1, 1, 2]) await send(count)
      let found: Awaited<ReturnType<typeof run>> | undefined
      await waitUntil(async () => {
        found = await run('doctor')
        return found.stdout.includes('id-conflict')
      })
      assert.equal(found?.code, 1)
      assert.match(found?.stdout ?? '', /id-conflict +1: Another event came/)
      assert.match(found?.stdout ?? '', /Z {2}\d+:\d+ {2}Note/)
      assert.match(found?.stdout ?? '', /! 1 times another event came under a known id/)
    })

    it('a backup is restored to an equal state, on which a server starts', async () => {
      const backup = join(world.folder, 'backup')
      const restored = join(world.folder, 'restored')
      assert.equal((await run('backup', '--to', backup)).code, 0)
      const again = await runCommand(['restore', '--from', backup, '--data-dir', restored])
      assert.equal(again.code, 0)
      const [, now, before] = /new incarnation, (\w+) \(before: (\w+)\)/.exec(again.stdout) ?? []
      assert.ok(now !== undefined && before !== undefined && now !== before, again.stdout)
      const into = join(world.folder, 'restored-rebuilt')
      const proof = await runCommand(['rebuild', '--data-dir', restored, '--into', into])
      assert.equal(proof.code, 0)
      const port = await freePort()
      const { definitionsDir } = world
      const server = await openServerProcess({ dataDir: restored, definitionsDir, port })
      await waitUntil(async () => (await fetch(`${server.url}/readyz`)).status === 200)
      assert.equal((await stopServerProcess(server)).code, 0)
      const refused = await runCommand(['restore', '--from', backup, '--data-dir', restored])
      assert.equal(refused.code, 2)
      const state = await readFile(join(backup, 'state.sqlite'))
      state[state.length - 1] = (state.at(-1) ?? 0) ^ 1
      await writeFile(join(backup, 'state.sqlite'), state)
      const dirs = ['--from', backup, '--data-dir', join(world.folder, 'spoiled')]
      const spoiled = await runCommand(['restore', ...dirs])
      assert.equal(spoiled.code, 1)
      assert.match(spoiled.stderr, /STORE_CORRUPT/)
      assert.ok(!existsSync(join(world.folder, 'spoiled')))
    })

    it('a second server on the directory is refused', async () => {
      const { dataDir, definitionsDir } = world
      const second = startServerProcess({ dataDir, definitionsDir, port: await freePort() })
      assert.equal((await second.ended).code, 1)
      assert.match(second.said(), /DATA_DIR_LOCKED/)
    })

    it('a port that is taken is named', async () => {
      const port = Number(new URL(world.server.url).port)
      const dataDir = join(world.folder, 'other')
      const { definitionsDir } = world
      const second = startServerProcess({ dataDir, definitionsDir, port })
      assert.equal((await second.ended).code, 1)
      assert.match(second.said(), new RegExp(`PORT_BUSY.*${port}`))
    })

    it('identity split and join go through the server, and say why not', async () => {
      const { url } = world.server
      const locked = await run('identity', 'split', 'user:ada')
      assert.equal(locked.code, 1)
      assert.match(locked.stderr, /DATA_DIR_LOCKED: .*give its --url/)
      const keyFile = join(world.folder, 'write.key')
      const made = await run('keys', 'create', '--name', 'operator', '--scope', 'write', '--json')
      assert.equal(made.code, 0, made.stderr)
      await writeFile(keyFile, parseLines<{ key: string }>(made.stdout)[0]?.key ?? '')
      const remote = ['--url', url, '--key-file', keyFile]
      const leads = await runCommand(['identity', 'split', 'user:ada', ...remote])
      assert.equal(leads.code, 1)
      assert.match(leads.stderr, /SERVER_REFUSED: .*409: It leads its person/)
      const same = await runCommand(['identity', 'join', 'user:ada', 'user:ada', ...remote])
      assert.match(same.stderr, /400: .*\/keys\/1/s)
    })

    it('skip tells to stop the server first', async () => {
      const place = ['--partition', '0', '--offset', '1', '--reason', 'a test']
      const { code, stderr } = await run('skip', ...place)
      assert.equal(code, 1)
      assert.match(stderr, /DATA_DIR_LOCKED: .*stop it first/)
    })
  })

  describe('while no server runs', () => {
    before(() => world.stop())

    it('rebuild tells a state in which one byte was changed', async () => {
      const dataDir = await copyDataDir(world, 'spoilt')
      const db = new DatabaseSync(join(dataDir, 'state.sqlite'))
      const select = "SELECT rowid, value, partition FROM entry WHERE key = 'person/user:ada'"
      const row = db.prepare(select).get()
      const value = Buffer.from(row?.['value'] as Uint8Array)
      const at = value.indexOf('"version":') + '"version":'.length
      value[at] = (value[at] ?? 0) ^ 1
      db.prepare('UPDATE entry SET value = ? WHERE rowid = ?').run(value, Number(row?.['rowid']))
      db.close()
      const into = join(world.folder, 'spoilt-rebuilt')
      const given = ['rebuild', '--data-dir', dataDir, '--into', into, '--json']
      const { code, stdout } = await runCommand(given)
      const [answer] = parseLines<RebuildAnswer>(stdout)
      assert.equal(code, 1)
      assert.equal(answer?.isEqual, false)
      assert.notEqual(answer?.stateHash, answer?.rebuiltHash)
      const differing = answer?.partitions.filter(({ isEqual }) => !isEqual) ?? []
      assert.deepEqual(
        differing.map(({ partition }) => partition),
        [Number(row?.['partition'])],
      )
    })

    it('check finds nothing, and then the record in which a bit was turned', async () => {
      assert.equal((await run('check')).code, 0)
      const dataDir = await copyDataDir(world, 'damaged')
      const db = new DatabaseSync(join(dataDir, 'events.sqlite'))
      const bytes = Buffer.from(
        db.prepare('SELECT bytes FROM record_0 WHERE n = 1').get()?.['bytes'] as Uint8Array,
      )
      bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1
      db.prepare('UPDATE record_0 SET bytes = ? WHERE n = 1').run(bytes)
      db.close()
      const { code, stdout } = await runCommand(['check', '--data-dir', dataDir])
      assert.equal(code, 1)
      assert.match(stdout, /record-damaged +partition 0/)
    })

    it('identity split refuses a key that leads, and one that nobody has', async () => {
      const leads = await run('identity', 'split', 'user:ada')
      assert.equal(leads.code, 2)
      assert.match(leads.stderr, /take the others out/)
      assert.equal((await run('identity', 'split', 'user:nobody')).code, 2)
      assert.equal((await run('identity', 'join', 'user:ada', 'ada')).code, 2)
    })

    it('skip refuses what was folded, and takes what waits', async () => {
      const folded = ['--partition', '0', '--offset', '1', '--reason', 'a test']
      assert.equal((await run('skip', ...folded)).code, 2)
      const dataDir = await copyDataDir(world, 'behind')
      const db = new DatabaseSync(join(dataDir, 'state.sqlite'))
      db.exec('DELETE FROM head WHERE partition = 0; DELETE FROM entry WHERE partition = 0')
      db.close()
      const taken = await runCommand(['skip', ...folded, '--data-dir', dataDir])
      assert.equal(taken.code, 0, taken.stderr)
      const shown = await runCommand(['events', '--kind', 'skip', '--data-dir', dataDir, '--json'])
      const [skip] = parseLines<{ kind: string; name: string }>(shown.stdout)
      assert.deepEqual([skip?.kind, skip?.name], ['skip', 'a test'])
    })

    it('a record that cannot be folded is named, and skipped by a rebuild too', async () => {
      const [dataDir, partition] = [await copyDataDir(world, 'poisoned'), 3]
      const offset = await appendUnfoldable(dataDir, partition)
      const look = async () => {
        const { stdout } = await runCommand(['doctor', '--json', '--data-dir', dataDir])
        const [found] = parseLines<{ partitions: { stopped: { offset: number }[] } }>(stdout)
        return found?.partitions.stopped.map((stopped) => stopped.offset)
      }
      assert.deepEqual(await look(), [offset])
      const place = ['--partition', String(partition), '--offset', String(offset)]
      const given = ['skip', ...place, '--reason', 'a test', '--data-dir', dataDir]
      assert.equal((await runCommand(given)).code, 0)
      assert.deepEqual(await look(), [])
      const { definitionsDir } = world
      const server = await openServerProcess({ dataDir, definitionsDir, port: await freePort() })
      const isPast = async ({ state }: DataReader) => (await state.head(partition)).offset > offset
      const isReady = async () => (await fetch(`${server.url}/readyz`)).status === 200
      await waitUntil(isReady)
      await withDataReader({ dataDir }, (data) => waitUntil(() => isPast(data)))
      assert.equal((await stopServerProcess(server)).code, 0)
      const into = join(world.folder, 'poisoned-rebuilt')
      const proof = await runCommand(['rebuild', '--data-dir', dataDir, '--into', into, '--json'])
      const [answer] = parseLines<RebuildAnswer>(proof.stdout)
      assert.equal(answer?.isEqual, true)
      const at = answer.partitions.find((each) => each.partition === partition)?.offset ?? 0
      assert.ok(at > offset, 'the partition went on behind the record')
    })
  })
})
