/**
 * What a reader of a caught mail wants to see. Parsing is for the eye and for tests; what counts is
 * the raw mail.
 */

import PostalMime from 'postal-mime'

export interface MailHeader {
  readonly name: string
  readonly value: string
}

export interface ParsedMail {
  /** In the order of the mail, repeated ones included; values unfolded. */
  readonly headers: readonly MailHeader[]
  readonly from: string
  readonly to: readonly string[]
  readonly subject: string
  readonly html: string
  readonly text: string
  readonly rfcMessageId: string
}

/**
 * More than any provider accepts; a mail with a larger header section has no RFC message id here.
 */
const headerBytesMax = 256 * 1024

/**
 * Returns headers, subject and bodies; what a mail lacks is an empty text. A mail that cannot be
 * parsed is shown as text.
 */
export async function parseMail(raw: Uint8Array): Promise<ParsedMail> {
  try {
    const email = await PostalMime.parse(raw)
    return {
      headers: email.headers.map((header) => ({ name: header.originalKey, value: header.value })),
      from: email.from?.address ?? '',
      to: (email.to ?? []).flatMap((recipient) => recipient.address ?? []),
      subject: email.subject ?? '',
      html: email.html ?? '',
      text: email.text ?? '',
      rfcMessageId: email.messageId ?? '',
    }
  } catch {
    // postal-mime refuses only its own limits: nesting and size of headers.
    const text = Buffer.from(raw).toString('latin1')
    return { headers: [], from: '', to: [], subject: '', html: '', text, rfcMessageId: '' }
  }
}

/** Returns the bytes up to the empty line, as text. */
export function headerSection(raw: Uint8Array): string {
  const bytes = Buffer.from(raw.buffer, raw.byteOffset, Math.min(raw.length, headerBytesMax))
  const end = bytes.indexOf('\r\n\r\n')
  return bytes.toString('latin1', 0, end === -1 ? bytes.length : end)
}

/**
 * Returns the value of `Message-ID`, which may stand on a line of its own behind the name (RFC
 * 5322, folding).
 */
export function readRfcMessageId(headers: string): string | undefined {
  return /^message-id:\s*(<[^>\r\n]*>)/im.exec(headers)?.[1]
}
