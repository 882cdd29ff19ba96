/**
 * Fills a template for one person and makes the whole message.
 *
 * A pure function of the input and the signing keys: the same bytes every time, in every process.
 * It is what evidence rests on, so nothing here may read a clock (limits on time only refuse),
 * draw lots, or depend on a locale or a zone.
 *
 * Order: addresses and URLs are checked, subject, HTML and text are filled, links of the HTML are
 * signed, the bytes are written. Whatever is wrong with the input is an answer, never an
 * exception.
 */

import { compile } from 'html-to-text'
import { parseAddress, parseMailbox } from '../event/address.ts'
import { hashId } from '../lib/hash.ts'
import type { JsonObject } from '../lib/json.ts'
import { encodeAttribute, insertBeforeBodyEnd, rewriteLinks } from './html-links.ts'
import { isMessageId, type SigningKeys, signToken, unsubscribeUrlCharactersMax } from './links.ts'
import { createLiquidEngine, type FillOptions, outputBytesMax } from './liquid-engine.ts'
import { encodeHeaderText, encodeMailbox, encodeMessage, type Header } from './mime.ts'
import type { RenderAnswer, RenderInput, RenderRefusal } from './template.ts'

const subjectCharactersMax = 500
const linkCountMax = 500
const softMsDefault = 250

export interface RenderOptions {
  /**
   * After this much time in one part the render is refused. A simulation gives more than it ever
   * needs.
   */
  readonly softMs: number
}

export type RenderMessage = (input: RenderInput) => RenderAnswer

/** Who the message is from and to, and where its links lead, all checked. */
interface Letterhead {
  readonly from: string
  readonly fromDomain: string
  readonly to: string
  readonly replyTo: string | undefined
  readonly clickUrl: (index: number) => string
  readonly openUrl: string
  readonly unsubscribeUrl: string
}

/** Thrown inside this file alone, to leave the main path straight. */
class Refused extends Error {
  readonly reason: RenderRefusal
  constructor(reason: RenderRefusal, says: string) {
    super(says)
    this.reason = reason
  }
}

/** Returns the renderer. It keeps parsed templates, a bounded number, and nothing else. */
export function createMessageRenderer(
  keys: SigningKeys,
  options: RenderOptions = { softMs: softMsDefault },
): RenderMessage {
  const htmlEngine = createLiquidEngine('html')
  const textEngine = createLiquidEngine('text')
  const toText = createHtmlToText()

  function renderMessage(input: RenderInput): RenderAnswer {
    const letterhead = parseLetterhead(keys, input)
    const values: JsonObject = { ...input.values, unsubscribe_url: letterhead.unsubscribeUrl }
    const limits: FillOptions = { nowMs: input.message.dateMs, softMs: options.softMs }
    const { template } = input

    const fill = (engine: typeof htmlEngine, file: string, source: string): string => {
      const filled = engine.fill(source, values, limits)
      if (filled.kind === 'refused') throw new Refused(filled.reason, `${file}, ${filled.says}`)
      return filled.text.toWellFormed()
    }
    const subject = cleanSubject(fill(textEngine, 'subject', template.subject))
    if (subject === '') throw new Refused('template', 'the subject is empty')
    const filledHtml = fill(htmlEngine, 'html', template.html)
    const text =
      template.text === null ? toText(filledHtml) : fill(textEngine, 'text', template.text)
    const { html, links } = signLinks(filledHtml, letterhead)
    const headers = composeHeaders(input, letterhead, subject)
    const boundary = `=_${hashId('boundary', input.message.messageId)}`
    const raw = encodeMessage({ headers, boundary, text, html })
    return { kind: 'rendered', message: { subject, html, text, headers, raw, links } }
  }

  return (input) => {
    try {
      return renderMessage(input)
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      return { kind: 'refused', reason: error.reason, says: error.message }
    }
  }
}

function parseLetterhead(keys: SigningKeys, { message }: RenderInput): Letterhead {
  const from = parseMailbox(message.from)
  if (from.kind === 'refused') throw new Refused('bad-address', `from: ${from.reason}`)
  const to = parseAddress(message.to)
  if (to.kind === 'refused') throw new Refused('bad-address', `to: ${to.reason}`)
  const replyTo = message.replyTo === undefined ? undefined : parseMailbox(message.replyTo)
  if (replyTo?.kind === 'refused') throw new Refused('bad-address', `replyTo: ${replyTo.reason}`)

  const { messageId, publicUrl, signingKeyId } = message
  if (!isMessageId(messageId)) throw new Refused('bad-link', 'the message id is not URL-safe')
  if (!isOrigin(publicUrl)) throw new Refused('bad-link', 'publicUrl is not a http or https URL')
  if (!keys.keys.has(signingKeyId)) throw new Refused('bad-link', `no signing key ${signingKeyId}`)
  const signing: SigningKeys = { currentId: signingKeyId, keys: keys.keys }
  const unsubscribeToken = signToken(signing, { purpose: 'unsubscribe', messageId })
  const unsubscribeUrl = `${publicUrl}/e/u/${unsubscribeToken}`
  if (unsubscribeUrl.length > unsubscribeUrlCharactersMax) {
    throw new Refused('bad-link', `unsubscribe URL over ${unsubscribeUrlCharactersMax} characters`)
  }
  return {
    from: encodeMailbox(from.name, from.address),
    fromDomain: from.address.slice(from.address.lastIndexOf('@') + 1),
    to: to.address,
    replyTo: replyTo && encodeMailbox(replyTo.name, replyTo.address),
    clickUrl: (index) =>
      `${publicUrl}/e/c/${signToken(signing, { purpose: 'click', messageId, index })}`,
    openUrl: `${publicUrl}/e/o/${signToken(signing, { purpose: 'open', messageId })}`,
    unsubscribeUrl,
  }
}

/** Sends every link but the unsubscribe link through us, and adds the open pixel. */
function signLinks(
  html: string,
  letterhead: Letterhead,
): { readonly html: string; readonly links: readonly string[] } {
  const links: string[] = []
  const rewritten = rewriteLinks(html, (destination) => {
    if (destination === letterhead.unsubscribeUrl) return destination
    if (links.length >= linkCountMax) throw new Refused('limit', `over ${linkCountMax} links`)
    links.push(destination)
    return letterhead.clickUrl(links.length - 1)
  })
  if (rewritten.kind === 'refused') throw new Refused('bad-link', rewritten.says)
  const pixelUrl = encodeAttribute(letterhead.openUrl)
  const pixel = `<img src="${pixelUrl}" alt="" width="1" height="1" border="0">`
  const signed = insertBeforeBodyEnd(rewritten.html, pixel)
  if (Buffer.byteLength(signed) > outputBytesMax) {
    throw new Refused('limit', `output over ${outputBytesMax} bytes`)
  }
  return { html: signed, links }
}

function composeHeaders(
  { message }: RenderInput,
  letterhead: Letterhead,
  subject: string,
): readonly Header[] {
  const date = new Date(message.dateMs)
  if (Number.isNaN(date.getTime())) throw new Refused('template', 'the date is out of range')
  const replyTo: readonly Header[] =
    letterhead.replyTo === undefined ? [] : [['Reply-To', letterhead.replyTo]]
  return [
    ['From', letterhead.from],
    ['To', letterhead.to],
    ...replyTo,
    ['Subject', encodeHeaderText(subject)],
    ['Date', date.toUTCString().replace('GMT', '+0000')],
    ['Message-ID', `<${message.messageId}@${letterhead.fromDomain}>`],
    ['List-Unsubscribe', `<${letterhead.unsubscribeUrl}>`],
    ['List-Unsubscribe-Post', 'List-Unsubscribe=One-Click'],
  ]
}

/**
 * One line: control characters become spaces, and marks that reorder text on the screen are taken
 * out.
 */
function cleanSubject(text: string): string {
  return text
    .replace(/[\u202a-\u202e\u2066-\u2069]/g, '')
    .replace(/[\p{Cc}\u2028\u2029]/gu, ' ')
    .trim()
    .slice(0, subjectCharactersMax)
    .toWellFormed()
}

function isOrigin(publicUrl: string): boolean {
  const isPlain = /^https?:\/\/[A-Za-z0-9._~:[\]/-]{1,150}$/.test(publicUrl)
  return isPlain && !publicUrl.endsWith('/') && URL.canParse(publicUrl)
}

function createHtmlToText(): (html: string) => string {
  return compile({
    wordwrap: false,
    limits: { maxInputLength: outputBytesMax, maxDepth: 100 },
    selectors: [
      { selector: 'img', format: 'skip' },
      { selector: 'a', options: { hideLinkHrefIfSameAsText: true, noAnchorUrl: true } },
    ],
  })
}
