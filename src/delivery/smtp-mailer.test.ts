import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { describe, it, type TestContext } from 'node:test'
import { SMTPServer } from 'smtp-server'
import { systemClock } from '../lib/clock.ts'
import { aHandOver, describeMailer, type ProviderBehaviour } from './mailer.contract.ts'
import type { Mailer } from './mailer.ts'
import { openSmtpMailer } from './smtp-mailer.ts'

/** What the scripted server does instead of the usual reply, by the command it has just read. */
type Script = Partial<Record<'CONNECT' | 'EHLO' | 'MAIL' | 'RCPT' | 'DATA' | 'DOT', string>>

const cutHere = 'CUT'
const sayNothing = ''

interface ScriptedServer {
  readonly port: number
  readonly transcript: string[]
  takenCount(): number
  connectionCount(): number
}

/** Speaks SMTP by hand, so that it can fail at any place. */
async function openScriptedServer(t: TestContext, script: Script): Promise<ScriptedServer> {
  const transcript: string[] = []
  let taken = 0
  let connections = 0
  const server = createServer((socket) => {
    connections += 1
    socket.on('error', () => {})
    const reply = (step: keyof Script, usual: string): void => {
      const text = script[step] ?? usual
      if (text === cutHere) socket.destroy()
      else if (text !== sayNothing) socket.write(`${text}\r\n`)
    }
    reply('CONNECT', '220 scripted')
    let buffer = ''
    let isData = false
    socket.on('data', (chunk) => {
      buffer += chunk.toString('latin1')
      for (;;) {
        const end = isData ? buffer.indexOf('\r\n.\r\n') : buffer.indexOf('\r\n')
        if (end < 0) return
        const line = buffer.slice(0, end)
        buffer = buffer.slice(end + (isData ? 5 : 2))
        transcript.push(line)
        if (isData) {
          isData = false
          taken += 1
          reply('DOT', '250 taken')
        } else if (line === 'DATA') {
          isData = script.DATA === undefined
          reply('DATA', '354 go on')
        } else if (line.startsWith('MAIL')) reply('MAIL', '250 ok')
        else if (line.startsWith('RCPT')) reply('RCPT', '250 ok')
        else if (line.startsWith('EHLO')) reply('EHLO', '250 scripted')
        else socket.write('250 ok\r\n')
      }
    })
  })
  const port = await listen(t, server)
  return {
    port,
    transcript,
    takenCount: () => taken,
    connectionCount: () => connections,
  }
}

async function listen(t: TestContext, server: Server): Promise<number> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => sockets.add(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  assert.ok(address !== null && typeof address === 'object')
  return address.port
}

async function openMailer(
  t: TestContext,
  port: number,
  given: { connectionCountMax?: number; timeLimitMs?: number } = {},
): Promise<Mailer> {
  const url = `smtp://127.0.0.1:${port}`
  const mailer = await openSmtpMailer({ url, connectionCountMax: 2, timeLimitMs: 20_000, ...given })
  t.after(() => mailer.close())
  return mailer
}

const scripts: Record<ProviderBehaviour, Script> = {
  accepts: {},
  'refuses-for-now': { DOT: '451 4.7.1 later' },
  'refuses-for-good': { DOT: '554 5.7.1 never' },
  'cuts-before-data': { RCPT: cutHere },
  'cuts-after-data': { DOT: cutHere },
  'is-silent-after-data': { DOT: sayNothing },
  'is-silent': { CONNECT: sayNothing },
  'is-away': {},
}

describeMailer('smtp', async (t, behaviour, timeLimitMs) => {
  const server = await openScriptedServer(t, scripts[behaviour])
  const port = behaviour === 'is-away' ? 1 : server.port
  const mailer = await openMailer(t, port, { timeLimitMs })
  return { mailer, takenCount: server.takenCount }
})

/** For a server that says nothing: a busy machine must have come that far by then. */
const silentMsMax = 1000
const waitMsMax = 20_000

const cases: readonly (readonly [Script, string])[] = [
  [{ CONNECT: '421 busy' }, 'deferred'],
  [{ CONNECT: '554 no service' }, 'deferred'],
  [{ CONNECT: cutHere }, 'deferred'],
  [{ EHLO: cutHere }, 'deferred'],
  [{ EHLO: sayNothing }, 'deferred'],
  [{ MAIL: '451 later' }, 'deferred'],
  [{ MAIL: '552 too big' }, 'failed'],
  [{ MAIL: cutHere }, 'deferred'],
  [{ MAIL: sayNothing }, 'deferred'],
  [{ RCPT: '421 closing' }, 'deferred'],
  [{ RCPT: '450 busy' }, 'deferred'],
  [{ RCPT: '550 5.1.1 no such user' }, 'failed'],
  [{ RCPT: sayNothing }, 'deferred'],
  [{ DATA: '421 closing' }, 'deferred'],
  [{ DATA: '452 full' }, 'deferred'],
  [{ DATA: '554 no' }, 'failed'],
  [{ DATA: cutHere }, 'deferred'],
  [{ DATA: sayNothing }, 'deferred'],
  [{ DOT: '250 taken' }, 'accepted'],
  [{ DOT: '421 closing' }, 'deferred'],
  [{ DOT: '451 later' }, 'deferred'],
  [{ DOT: '452 full' }, 'deferred'],
  [{ DOT: '552 too big' }, 'failed'],
  [{ DOT: '554 no' }, 'failed'],
  [{ DOT: '354 what' }, 'unknown'],
  [{ DOT: 'hello' }, 'unknown'],
  [{ DOT: cutHere }, 'unknown'],
  [{ DOT: sayNothing }, 'unknown'],
]

describe('an smtp hand-over', () => {
  for (const [script, kind] of cases) {
    it(`is ${kind} after ${JSON.stringify(script)}`, async (t) => {
      const server = await openScriptedServer(t, script)
      const timeLimitMs = Object.values(script).includes(sayNothing) ? silentMsMax : waitMsMax
      const mailer = await openMailer(t, server.port, { timeLimitMs })
      const handOver = await mailer.handOver(aHandOver(), new AbortController().signal)
      assert.equal(handOver.kind, kind, handOver.response)
    })
  }

  it('is deferred when a long message is cut in its middle', async (t) => {
    const server = createServer((socket) => {
      socket.on('error', () => {})
      socket.write('220 hi\r\n')
      socket.on('data', (chunk) => {
        const text = chunk.toString('latin1')
        if (text.includes('xxxx')) socket.destroy()
        else socket.write(text.startsWith('DATA') ? '354 go on\r\n' : '250 ok\r\n')
      })
    })
    const mailer = await openMailer(t, await listen(t, server))
    const raw = Buffer.from(`Subject: a\r\n\r\n${`${'x'.repeat(70)}\r\n`.repeat(200_000)}`)
    const handOver = await mailer.handOver(aHandOver({ raw }), new AbortController().signal)
    assert.equal(handOver.kind, 'deferred', handOver.response)
  })

  it('sends nothing more once it was given up', async (t) => {
    let heard = ''
    const server = createServer((socket) => {
      socket.on('error', () => {})
      socket.write('220 hi\r\n')
      socket.on('data', (chunk) => {
        const text = chunk.toString('latin1')
        heard += text
        const answer = (): void => {
          socket.write(text.startsWith('DATA') ? '354 go on\r\n' : '250 ok\r\n')
        }
        if (text.startsWith('DATA')) void systemClock.sleep(200).then(answer)
        else answer()
      })
    })
    const mailer = await openMailer(t, await listen(t, server))
    const given = new AbortController()
    const handOver = mailer.handOver(aHandOver(), given.signal)
    while (!heard.includes('DATA')) await systemClock.sleep(5)
    given.abort()
    assert.equal((await handOver).kind, 'deferred')
    await systemClock.sleep(400)
    assert.match(heard, /DATA\r\n$/)
  })

  it('is unknown when an answer breaks off', async (t) => {
    const server = createServer((socket) => {
      socket.on('error', () => {})
      socket.write('220 hi\r\n')
      socket.on('data', (chunk) => {
        const text = chunk.toString('latin1')
        if (text.endsWith('\r\n.\r\n')) socket.end('550 5.1')
        else socket.write(text.startsWith('DATA') ? '354 go on\r\n' : '250 ok\r\n')
      })
    })
    const mailer = await openMailer(t, await listen(t, server))
    const handOver = await mailer.handOver(aHandOver(), new AbortController().signal)
    assert.equal(handOver.kind, 'unknown', handOver.response)
  })

  it('uses a connection again, and resets it after a refusal', async (t) => {
    const server = await openScriptedServer(t, { RCPT: '550 no' })
    const mailer = await openMailer(t, server.port, { connectionCountMax: 1 })
    const { signal } = new AbortController()
    const both = [mailer.handOver(aHandOver(), signal), mailer.handOver(aHandOver(), signal)]
    assert.deepEqual(
      (await Promise.all(both)).map((handOver) => handOver.kind),
      ['failed', 'failed'],
    )
    assert.equal(server.connectionCount(), 1)
    assert.deepEqual(
      server.transcript.map((line) => line.slice(0, 4)),
      ['EHLO', 'MAIL', 'RCPT', 'RSET', 'MAIL', 'RCPT'],
    )
  })

  it('asks whether a message may begin behind its wait for a connection', async (t) => {
    const server = await openScriptedServer(t, {})
    const mailer = await openMailer(t, server.port, { connectionCountMax: 1 })
    const { signal } = new AbortController()
    const isFirstAllowed = Promise.withResolvers<boolean>()
    const hasFirst = Promise.withResolvers<void>()
    const first = mailer.handOver(
      aHandOver({
        mayBegin: () => {
          hasFirst.resolve()
          return isFirstAllowed.promise
        },
      }),
      signal,
    )
    let takenCount = 0
    const second = mailer.handOver(
      aHandOver({
        mayBegin: async () => {
          takenCount = server.takenCount()
          return true
        },
      }),
      signal,
    )
    await hasFirst.promise
    isFirstAllowed.resolve(true)
    assert.equal((await first).kind, 'accepted')
    assert.equal((await second).kind, 'accepted')
    assert.equal(takenCount, 1, 'the first was taken before the second was looked at')
  })

  it('survives a connection that the server closes between two messages', async (t) => {
    const server = await openScriptedServer(t, { DOT: '421 taken? no, closing' })
    const mailer = await openMailer(t, server.port, { connectionCountMax: 1 })
    const { signal } = new AbortController()
    for (let count = 0; count < 3; count++) {
      assert.equal((await mailer.handOver(aHandOver(), signal)).kind, 'deferred')
    }
    assert.equal(server.connectionCount(), 3)
  })

  it('brings every byte to a real server over a bounded number of sessions', async (t) => {
    const messages: { readonly to: readonly string[]; readonly bytes: string }[] = []
    let sessionCount = 0
    const server = new SMTPServer({
      authOptional: true,
      disabledCommands: ['AUTH', 'STARTTLS'],
      onConnect: (_session, done) => {
        sessionCount += 1
        done()
      },
      onData: (stream, session, done) => {
        const chunks: Buffer[] = []
        stream.on('data', (chunk: Buffer) => chunks.push(chunk))
        stream.on('end', () => {
          const to = session.envelope.rcptTo.map((recipient) => recipient.address)
          messages.push({ to, bytes: Buffer.concat(chunks).toString('latin1') })
          done()
        })
      },
    })
    server.listen(0, '127.0.0.1')
    await once(server.server, 'listening')
    t.after(() => new Promise<void>((resolve) => server.close(() => resolve())))
    const address = server.server.address()
    assert.ok(address !== null && typeof address === 'object')
    const mailer = await openMailer(t, address.port, { connectionCountMax: 4, timeLimitMs: 20_000 })
    const { signal } = new AbortController()
    const handOvers = await Promise.all(
      Array.from({ length: 200 }, (_, index) =>
        mailer.handOver(aHandOver({ envelopeTo: `p${index}@person.example` }), signal),
      ),
    )
    assert.ok(handOvers.every((handOver) => handOver.kind === 'accepted'))
    assert.equal(new Set(messages.map((message) => message.to.join())).size, 200)
    const raw = Buffer.from(aHandOver().raw).toString('latin1')
    assert.ok(messages.every((message) => message.bytes === raw))
    assert.ok(sessionCount <= 8, `${sessionCount} sessions`)
    await mailer.close()
  })
})
