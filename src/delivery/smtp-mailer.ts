/**
 * Hands messages over by SMTP, on a few connections that are kept and used again.
 *
 * What matters is to know when the message's last byte may have left. The message is given to the
 * connection in small pieces, and its end is noted before the final dot is written. A failure
 * before that is `deferred`; after it, only the server's own complete answer counts, and without
 * one the hand-over is `unknown`. Pieces still buffered when the end is noted make some `unknown`
 * that could have been `deferred`, never the other way.
 *
 * Refusals of us rather than of the message (greeting, TLS, authentication) are `deferred`.
 */

import { Readable } from 'node:stream'
import SMTPConnection, { type SMTPConnectionOptions } from 'nodemailer/lib/smtp-connection'
import { parseAddress } from '../event/address.ts'
import { assert } from '../lib/assert.ts'
import { systemClock } from '../lib/clock.ts'
import type { HandOver, HandOverRequest, Mailer } from './mailer.ts'

/**
 * Servers close idle sessions, often without a word; a hand-over must not meet one that just did.
 */
const idleMsMax = 5_000
/** Many servers end a session after 100 messages. */
const messageCountMax = 100
const pieceBytes = 16 * 1024
const responseCharactersMax = 500
const endReason = 'the hand-over has ended'

export interface SmtpMailerOptions {
  /** `smtp://host:port` or `smtps://user:pass@host`; user and password percent-encoded. */
  readonly url: string
  readonly connectionCountMax: number
  /** For the whole hand-over: waiting for a connection, connecting, sending, the answer. */
  readonly timeLimitMs: number
}

interface Session {
  readonly connection: SMTPConnection
  messageCount: number
  idleSinceMs: number
  /** The transaction before was refused, and the server may still hold its envelope. */
  needsReset: boolean
  isOver: boolean
}

type Waiter = (session: Session | undefined) => void

/** Resolves at once: connections are made when the first messages come. */
export function openSmtpMailer(options: SmtpMailerOptions): Promise<Mailer> {
  assert(options.connectionCountMax >= 1, 'a mailer has at least one connection')
  assert(options.timeLimitMs > 0, 'a hand-over has time')
  return Promise.resolve(new SmtpMailer(options))
}

class SmtpMailer implements Mailer {
  readonly #options: SmtpMailerOptions
  readonly #connectionOptions: SMTPConnectionOptions
  readonly #credentials: { readonly user: string; readonly pass: string } | undefined
  readonly #idle: Session[] = []
  readonly #waiting: Waiter[] = []
  readonly #inHand = new Set<Promise<HandOver>>()
  #openCount = 0
  #isClosed = false

  constructor(options: SmtpMailerOptions) {
    const url = new URL(options.url)
    assert(['smtp:', 'smtps:'].includes(url.protocol), 'a mailer URL begins with smtp or smtps')
    this.#options = options
    this.#connectionOptions = connectionOptionsOf(url, options.timeLimitMs)
    this.#credentials =
      url.username === ''
        ? undefined
        : { user: decodeURIComponent(url.username), pass: decodeURIComponent(url.password) }
  }

  handOver(request: HandOverRequest, signal: AbortSignal): Promise<HandOver> {
    for (const address of [request.envelopeFrom, request.envelopeTo]) {
      const parsed = parseAddress(address)
      const response = parsed.kind === 'refused' ? `address refused: ${parsed.reason}` : ''
      if (response !== '') return Promise.resolve({ kind: 'failed', response })
    }
    if (this.#isClosed) return Promise.resolve(deferred('the mailer is closed'))
    if (signal.aborted) return Promise.resolve(deferred('aborted before the start'))
    const attempt = this.#attempt(request, signal)
    this.#inHand.add(attempt)
    void attempt.finally(() => this.#inHand.delete(attempt))
    return attempt
  }

  /** Lets the hand-overs under way finish (each has its time limit), then ends the sessions. */
  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all(this.#inHand)
    for (const session of this.#idle.splice(0)) this.#end(session)
  }

  async #attempt(request: HandOverRequest, signal: AbortSignal): Promise<HandOver> {
    const over = new AbortController()
    // A reason of ours: the exception that stands for none takes a stack trace each time.
    const end = (): void => over.abort(endReason)
    signal.addEventListener('abort', end, { once: true })
    const timeUp = systemClock
      .sleep(this.#options.timeLimitMs, over.signal)
      .then((): 'time-up' => 'time-up')
    try {
      return await this.#attemptUntil(request, timeUp)
    } finally {
      signal.removeEventListener('abort', end)
      end()
    }
  }

  async #attemptUntil(request: HandOverRequest, timeUp: Promise<'time-up'>): Promise<HandOver> {
    const waiter = this.#acquire()
    const session = await Promise.race([waiter.session, timeUp])
    if (session === 'time-up') {
      waiter.cancel()
      return deferred('no free connection in time')
    }
    const ready = await Promise.race([this.#prepare(session), timeUp])
    if (ready !== undefined) {
      this.#release(session, false)
      return deferred(ready === 'time-up' ? 'no connection in time' : ready)
    }
    const mayBegin = await Promise.race([request.mayBegin(), timeUp])
    if (mayBegin !== true) {
      // One that has taken no message yet would be greeted again.
      this.#release(session, session.messageCount > 0)
      return mayBegin === 'time-up' ? deferred('not checked in time') : refused
    }
    const progress = { hasEnded: false }
    const sent = await Promise.race([send(session, request, progress), timeUp])
    if (sent === 'time-up') {
      // At once: whoever quits politely first sends what is still in hand.
      session.isOver = true
      this.#release(session, false)
      const response = 'no answer in time'
      return progress.hasEnded ? { kind: 'unknown', response } : deferred(response)
    }
    this.#release(session, sent.isReusable)
    return sent.handOver
  }

  /** Gives an idle session, a new one, or the next that becomes free. */
  #acquire(): { readonly session: Promise<Session>; cancel(): void } {
    const session = this.#takeIdle() ?? this.#openSession()
    if (session !== undefined) return { session: Promise.resolve(session), cancel: () => {} }
    const { promise, resolve } = Promise.withResolvers<Session>()
    const waiter: Waiter = (given) => given && resolve(given)
    this.#waiting.push(waiter)
    const cancel = (): void => {
      const at = this.#waiting.indexOf(waiter)
      if (at >= 0) this.#waiting.splice(at, 1)
      // It was given a session in the very turn in which its time ran out.
      else void promise.then((given) => this.#release(given, given.messageCount > 0))
    }
    return { session: promise, cancel }
  }

  #takeIdle(): Session | undefined {
    for (;;) {
      const session = this.#idle.pop()
      if (session === undefined) return undefined
      const idleMs = systemClock.monotonicMs() - session.idleSinceMs
      if (!session.isOver && idleMs <= idleMsMax) return session
      this.#end(session)
    }
  }

  #openSession(): Session | undefined {
    if (this.#openCount >= this.#options.connectionCountMax) return undefined
    this.#openCount += 1
    const connection = new SMTPConnection(this.#connectionOptions)
    const session: Session = {
      connection,
      messageCount: 0,
      idleSinceMs: 0,
      needsReset: false,
      isOver: false,
    }
    // An error is reported to the call under way as well; without a listener it would end the
    // process.
    const markOver = (): void => {
      session.isOver = true
    }
    connection.on('error', markOver)
    connection.on('end', markOver)
    return session
  }

  /** Resolves to undefined when the session can take a message, or to what went wrong. */
  #prepare(session: Session): Promise<string | undefined> {
    const { connection } = session
    if (session.needsReset) {
      session.needsReset = false
      return new Promise((resolve) => {
        connection.once('end', () => resolve('connection lost'))
        connection.reset((error) => resolve(error === null ? undefined : textOf(error)))
      })
    }
    if (session.messageCount > 0) return Promise.resolve(undefined)
    return new Promise((resolve) => {
      connection.once('error', (error) => resolve(textOf(error)))
      connection.once('end', () => resolve('connection closed'))
      connection.connect((error) => {
        if (error) return resolve(textOf(error))
        if (this.#credentials === undefined) return resolve(undefined)
        connection.login({ credentials: this.#credentials }, (refusal) =>
          resolve(refusal === null ? undefined : textOf(refusal)),
        )
      })
    })
  }

  #release(session: Session, isReusable: boolean): void {
    const isKept = isReusable && !session.isOver && session.messageCount < messageCountMax
    if (isKept) {
      session.idleSinceMs = systemClock.monotonicMs()
      const waiter = this.#waiting.shift()
      if (waiter !== undefined) waiter(session)
      else this.#idle.push(session)
      return
    }
    this.#end(session)
    if (this.#waiting.length === 0) return
    const next = this.#openSession()
    if (next !== undefined) this.#waiting.shift()?.(next)
  }

  #end(session: Session): void {
    this.#openCount -= 1
    if (session.messageCount > 0 && !session.isOver) session.connection.quit()
    else session.connection.close()
    session.isOver = true
  }
}

interface Sent {
  readonly handOver: HandOver
  readonly isReusable: boolean
}

function send(
  session: Session,
  request: HandOverRequest,
  progress: { hasEnded: boolean },
): Promise<Sent> {
  session.messageCount += 1
  const message = Readable.from(pieces(request.raw), { objectMode: false })
  // Attached before the connection's own listener, so it runs before the final dot is written.
  message.once('end', () => {
    progress.hasEnded = true
  })
  const envelope = { from: request.envelopeFrom, to: [request.envelopeTo] }
  return new Promise((resolve) => {
    session.connection.send({ ...envelope, size: request.raw.length }, message, (error, info) => {
      if (error === null) {
        resolve({ handOver: { kind: 'accepted', response: cut(info.response) }, isReusable: true })
        return
      }
      const code = error.responseCode ?? 0
      // A reply to a command of this message; other errors are of the connection.
      const isReply = error.code === 'EENVELOPE' || error.code === 'EMESSAGE'
      session.needsReset = isReply
      resolve({
        handOver: judge(isReply ? code : 0, textOf(error), progress.hasEnded),
        isReusable: isReply && code >= 400 && code !== 421,
      })
    })
  })
}

function judge(code: number, response: string, hasEnded: boolean): HandOver {
  if (code >= 500 && code <= 599) return { kind: 'failed', response }
  if (code >= 400 && code <= 499) return deferred(response)
  return hasEnded ? { kind: 'unknown', response } : deferred(response)
}

function* pieces(raw: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < raw.length; at += pieceBytes) yield raw.subarray(at, at + pieceBytes)
}

function connectionOptionsOf(url: URL, timeLimitMs: number): SMTPConnectionOptions {
  const isSecure = url.protocol === 'smtps:'
  const isLoopback = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname)
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? (isSecure ? 465 : isLoopback ? 25 : 587) : Number(url.port),
    secure: isSecure,
    // A password is never sent in clear text over a network; a catcher on this machine has no
    // certificate.
    requireTLS: !isSecure && !isLoopback && url.username !== '',
    ignoreTLS: isLoopback,
    connectionTimeout: timeLimitMs,
    greetingTimeout: timeLimitMs,
    socketTimeout: timeLimitMs + idleMsMax,
    dnsTimeout: timeLimitMs,
    socketCloseTimeout: 0,
  }
}

const refused: HandOver = { kind: 'refused', response: 'it must not be sent' }

function deferred(response: string): HandOver {
  return { kind: 'deferred', response }
}

function textOf(error: Error & { readonly response?: string | false | undefined }): string {
  return cut(typeof error.response === 'string' ? error.response : error.message)
}

function cut(text: string): string {
  return text.replace(/\p{Cc}+/gu, ' ').slice(0, responseCharactersMax)
}
