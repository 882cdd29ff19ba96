/**
 * The caught mails as the page lists them: whose, of which campaign, and how long after it was due
 * each came.
 */

import type { Message } from '../campaign/message.ts'
import type { CaughtMail, MailCatcher } from '../catcher/mail-catcher.ts'
import { sha256Hex } from '../lib/hash.ts'

const keptCountMax = 2000
/** The figure shown is of so many newest mails. */
const delayCountMax = 500

export interface InboxEntry {
  readonly index: number
  readonly receivedAtMs: number
  readonly to: string
  readonly subject: string
  /** Absent where the mail is not one of ours. */
  readonly messageId?: string
  readonly campaign?: string
  /** From due to caught. */
  readonly handOverMs?: number
}

export interface DevInbox {
  /** Mails caught, listed or not. */
  readonly count: number
  /** Returns entries with an index above `after`, newest first. */
  list(after: number, countMax: number): readonly InboxEntry[]
  /** Median of the newest mails; null for none. */
  handOverP50Ms(): number | null
  read(index: number): Promise<ReadMail | undefined>
  raw(index: number): Uint8Array | undefined
}

export interface ReadMail {
  readonly index: number
  readonly receivedAtMs: number
  readonly envelopeFrom: string
  readonly envelopeTo: readonly string[]
  readonly subject: string
  readonly text: string
  readonly html: string
  readonly headers: readonly { readonly name: string; readonly value: string }[]
  readonly messageId?: string
  readonly bytes: number
  /** SHA-256 of the mail as it was caught. */
  readonly hash: string
}

/** `findMessage` answers what the server knows of a message; undefined where it knows nothing. */
export function createDevInbox(
  catcher: MailCatcher,
  findMessage: (messageId: string) => Promise<Message | undefined>,
): DevInbox {
  const entries = new Map<number, InboxEntry>()
  const delays: number[] = []
  const keep = async (mail: CaughtMail): Promise<void> => {
    const parsed = await catcher.parse(mail.index)
    const messageId = messageIdOf(parsed?.rfcMessageId)
    const message = messageId === undefined ? undefined : await findMessage(messageId)
    const handOverMs =
      message === undefined ? undefined : Math.max(0, mail.receivedAtMs - message.dueAtMs)
    entries.set(mail.index, {
      index: mail.index,
      receivedAtMs: mail.receivedAtMs,
      to: parsed?.to[0] ?? mail.envelopeTo[0] ?? '',
      subject: parsed?.subject ?? '',
      ...(messageId === undefined ? {} : { messageId }),
      ...(message === undefined ? {} : { campaign: message.campaign }),
      ...(handOverMs === undefined ? {} : { handOverMs }),
    })
    if (handOverMs !== undefined) delays.push(handOverMs)
    if (delays.length > delayCountMax) delays.shift()
    for (const oldest of entries.keys()) {
      if (entries.size <= keptCountMax) break
      entries.delete(oldest)
    }
  }
  catcher.subscribe((mail) => void keep(mail))
  return {
    get count() {
      return catcher.count
    },
    list(after, countMax) {
      const newer = [...entries.values()].filter(({ index }) => index > after)
      return newer.sort((left, right) => right.index - left.index).slice(0, countMax)
    },
    handOverP50Ms() {
      const sorted = delays.toSorted((left, right) => left - right)
      return sorted[Math.floor(sorted.length / 2)] ?? null
    },
    async read(index) {
      const mail = catcher.get(index)
      const parsed = await catcher.parse(index)
      if (mail === undefined || parsed === undefined) return undefined
      const { receivedAtMs, envelopeFrom, envelopeTo, raw } = mail
      const { subject, text, html, headers, rfcMessageId } = parsed
      const messageId = messageIdOf(rfcMessageId)
      return {
        ...{ index, receivedAtMs, envelopeFrom, envelopeTo, subject, text, html, headers },
        ...(messageId === undefined ? {} : { messageId }),
        bytes: raw.length,
        hash: sha256Hex(raw),
      }
    },
    raw: (index) => catcher.get(index)?.raw,
  }
}

/** The id before the `@` of an RFC message id. */
function messageIdOf(rfcMessageId: string | undefined): string | undefined {
  return /^<([A-Za-z0-9_-]+)@/.exec(rfcMessageId ?? '')?.[1]
}
