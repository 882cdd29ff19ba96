/**
 * A real SMTP server that keeps what it is given, for development and the demo. It takes any
 * address and hands nothing on.
 *
 * It keeps the newest mails in memory, bounded in count and in bytes; the oldest go first. A mail
 * is parsed only when somebody looks at it, so that catching stays cheap. How often each RFC
 * message id came is counted beyond what is kept, so that a mail handed over twice can be seen.
 *
 * Order of effects: a mail is kept and counted before it is answered with 250, as a provider would.
 */

import { SMTPServer, type SMTPServerDataStream, type SMTPServerSession } from 'smtp-server'
import { assert } from '../lib/assert.ts'
import { type Clock, systemClock } from '../lib/clock.ts'
import { OperatingError } from '../lib/errors.ts'
import { headerSection, type ParsedMail, parseMail, readRfcMessageId } from './parsed-mail.ts'

export interface MailCatcherOptions {
  readonly host: string
  /** 0 for any free one. */
  readonly port: number
  readonly mailCountMax?: number
  /** Bytes of all mails that are kept. */
  readonly bytesMax?: number
  readonly clock?: Clock
}

export interface CaughtMail {
  /** Counts from 0 since the catcher was opened. */
  readonly index: number
  readonly receivedAtMs: number
  readonly envelopeFrom: string
  readonly envelopeTo: readonly string[]
  /** As handed over, without the dots of the transfer. */
  readonly raw: Uint8Array
}

export interface MailCatcher {
  readonly host: string
  readonly port: number
  /** Mails caught since it was opened, those that are no longer kept included. */
  readonly count: number
  /** Returns the newest mails that are kept, newest first. */
  list(countMax: number): readonly CaughtMail[]
  /** Returns a mail by its index, undefined if it is not kept or never came. */
  get(index: number): CaughtMail | undefined
  /** Returns headers, subject, HTML and text of a mail. */
  parse(index: number): Promise<ParsedMail | undefined>
  /** Calls `listener` for each mail from now on, until the returned function is called. */
  subscribe(listener: (mail: CaughtMail) => void): () => void
  /**
   * Returns how often each RFC message id came; the newest million of them. Above 1 is a duplicate.
   */
  messageIds(): ReadonlyMap<string, number>
  /** Stops listening and ends all connections. */
  close(): Promise<void>
}

const mailCountMaxDefault = 10_000
const bytesMaxDefault = 512 * 1024 * 1024
/** Larger than any provider takes. */
const mailBytesMax = 32 * 1024 * 1024
const messageIdCountMax = 1_000_000
/** How long open connections may finish after `close`. */
const closeMsMax = 1_000

export async function openMailCatcher(options: MailCatcherOptions): Promise<MailCatcher> {
  const store = new MailStore(
    options.mailCountMax ?? mailCountMaxDefault,
    options.bytesMax ?? bytesMaxDefault,
  )
  const clock = options.clock ?? systemClock
  const server = new SMTPServer({
    banner: 'Attune mail catcher',
    disabledCommands: ['AUTH', 'STARTTLS'],
    disableReverseLookup: true,
    closeTimeout: closeMsMax,
    size: mailBytesMax,
    onData(stream, session, answer) {
      collect(stream).then(
        (raw) => {
          if (raw === undefined) return answer(oversized())
          const caught = store.add(clock.nowMs(), envelopeOf(session), raw)
          answer(null, `OK: caught as ${caught.index}`)
        },
        (error: unknown) => answer(error instanceof Error ? error : new Error(String(error))),
      )
    },
  })
  const port = await listen(server, options)
  return {
    host: options.host,
    port,
    get count() {
      return store.count
    },
    list: (countMax) => store.list(countMax),
    get: (index) => store.get(index),
    parse: async (index) => {
      const mail = store.get(index)
      return mail === undefined ? undefined : parseMail(mail.raw)
    },
    subscribe: (listener) => store.subscribe(listener),
    messageIds: () => store.messageIds,
    close: () => new Promise((resolve) => server.close(resolve)),
  }
}

/**
 * The newest mails, found by index: `#mails` holds those from `#first` on, oldest first, in a ring.
 */
class MailStore {
  readonly messageIds = new Map<string, number>()
  count = 0
  readonly #mailCountMax: number
  readonly #bytesMax: number
  readonly #mails: (CaughtMail | undefined)[]
  readonly #listeners = new Set<(mail: CaughtMail) => void>()
  /** Index of the oldest mail that is kept; equal to `count` if none is. */
  #first = 0
  #bytes = 0

  constructor(mailCountMax: number, bytesMax: number) {
    assert(mailCountMax > 0 && bytesMax > 0, 'at least one mail is kept')
    this.#mailCountMax = mailCountMax
    this.#bytesMax = bytesMax
    this.#mails = new Array<CaughtMail | undefined>(mailCountMax)
  }

  add(
    receivedAtMs: number,
    envelope: Pick<CaughtMail, 'envelopeFrom' | 'envelopeTo'>,
    raw: Uint8Array,
  ): CaughtMail {
    const mail: CaughtMail = { index: this.count, receivedAtMs, ...envelope, raw }
    if (this.count - this.#first === this.#mailCountMax) this.#removeOldest()
    this.#mails[mail.index % this.#mailCountMax] = mail
    this.count++
    this.#bytes += raw.length
    while (this.#bytes > this.#bytesMax && this.#first < this.count - 1) this.#removeOldest()
    this.#countMessageId(raw)
    for (const listener of this.#listeners) listener(mail)
    return mail
  }

  get(index: number): CaughtMail | undefined {
    if (index < this.#first || index >= this.count) return undefined
    return this.#mails[index % this.#mailCountMax]
  }

  list(countMax: number): readonly CaughtMail[] {
    const mails: CaughtMail[] = []
    for (let index = this.count - 1; index >= this.#first && mails.length < countMax; index--) {
      const mail = this.get(index)
      if (mail !== undefined) mails.push(mail)
    }
    return mails
  }

  subscribe(listener: (mail: CaughtMail) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #removeOldest(): void {
    const place = this.#first % this.#mailCountMax
    this.#bytes -= this.#mails[place]?.raw.length ?? 0
    this.#mails[place] = undefined
    this.#first++
  }

  #countMessageId(raw: Uint8Array): void {
    const rfcMessageId = readRfcMessageId(headerSection(raw))
    if (rfcMessageId === undefined) return
    const before = this.messageIds.get(rfcMessageId)
    this.messageIds.set(rfcMessageId, (before ?? 0) + 1)
    if (before !== undefined || this.messageIds.size <= messageIdCountMax) return
    // A Map gives its keys in the order in which they came.
    for (const oldest of this.messageIds.keys()) {
      this.messageIds.delete(oldest)
      break
    }
  }
}

/** Resolves with the whole mail, or with undefined if it is too large. */
function collect(stream: SMTPServerDataStream): Promise<Uint8Array | undefined> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    stream.on('data', (chunk: Buffer) => {
      if (!stream.sizeExceeded) chunks.push(chunk)
    })
    stream.on('end', () => resolve(stream.sizeExceeded ? undefined : Buffer.concat(chunks)))
    stream.on('error', reject)
  })
}

function envelopeOf(session: SMTPServerSession): Pick<CaughtMail, 'envelopeFrom' | 'envelopeTo'> {
  const { mailFrom, rcptTo } = session.envelope
  return {
    // The empty sender of a bounce is `false` here.
    envelopeFrom: mailFrom === false ? '' : mailFrom.address,
    envelopeTo: rcptTo.map((recipient) => recipient.address),
  }
}

function oversized(): Error {
  const error = new Error(`Message is larger than ${mailBytesMax} bytes`)
  return Object.assign(error, { responseCode: 552 })
}

function listen(server: SMTPServer, options: MailCatcherOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    const attempted = `listen for mail on ${options.host}:${options.port}`
    const refuse = (error: Error): void => reject(new OperatingError('PORT_BUSY', attempted, error))
    server.once('error', refuse)
    const listener = server.listen(options.port, options.host, () => {
      server.off('error', refuse)
      // A client that resets its connection is no fault of the catcher, and must not end the
      // process.
      server.on('error', () => {})
      const address = listener.address()
      assert(address !== null && typeof address === 'object', 'a TCP server has a port')
      resolve(address.port)
    })
  })
}
