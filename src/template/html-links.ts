/**
 * Reads the tags of rendered HTML one by one, in time linear in its length, and rewrites the links.
 *
 * Attributes are read as a browser reads them (WHATWG, 13.2.5): three quote styles, entities,
 * repeated names. Text of `style`, `script`, `title` and `textarea` is skipped. What stands in
 * conditional comments is read too, since some mail programs show it. Every URL must begin with a
 * scheme that is known to be harmless; a doubtful one is refused, never repaired.
 */

const rawTextTags = new Set(['style', 'script', 'title', 'textarea', 'xmp', 'noembed', 'noframes'])
const linkTags = new Set(['a', 'area'])
/** Attributes that make a mail program fetch or follow a URL. */
const urlAttributes = new Set([
  'href',
  'src',
  'action',
  'formaction',
  'background',
  'poster',
  'xlink:href',
])
const linkSchemes = /^(?:https?:\/\/[^\s/?#]|mailto:|tel:|#)/i
const sourceSchemes = /^(?:https?:\/\/[^\s/?#]|cid:|data:image\/(?:png|gif|jpeg|webp);|#)/i
const trackedSchemes = /^https?:/i
const linkCharactersMax = 4096
/**
 * Texts of tags without a URL: most tags of a message are those of its template. Bounded, and
 * emptied when full.
 */
const plainTags = new Set<string>()
const plainCountMax = 2_000
const plainCharactersMax = 1_000

/** A destination as found, and what shall stand in its place. */
export type RewriteLink = (destination: string) => string

export type Rewritten =
  | { readonly kind: 'rewritten'; readonly html: string }
  | { readonly kind: 'refused'; readonly says: string }

interface Attribute {
  readonly name: string
  /** As written, entities and all. */
  readonly raw: string
  readonly valueStart: number
  readonly valueEnd: number
}

interface OpenTag {
  readonly name: string
  readonly attributes: readonly Attribute[]
  readonly end: number
  /** False where the HTML ends inside the tag. */
  readonly isClosed: boolean
}

/**
 * Gives every http and https link to `rewrite`, in order, and refuses HTML with any other doubtful
 * URL.
 */
export function rewriteLinks(
  html: string,
  rewrite: RewriteLink,
  plain: Set<string> = plainTags,
): Rewritten {
  let output = ''
  let copied = 0
  for (const tag of readTags(html, plain)) {
    const seen = new Set<string>()
    for (const attribute of tag.attributes) {
      if (!urlAttributes.has(attribute.name)) continue
      const isLink = attribute.name.endsWith('href') && isLinkTag(tag.name)
      const url = decodeEntities(attribute.raw).trim()
      const fault = faultOf(url, isLink)
      if (fault !== undefined)
        return { kind: 'refused', says: `<${tag.name} ${attribute.name}>: ${fault}` }
      // Browsers follow the first of two attributes with one name.
      if (!isLink || seen.has(attribute.name) || !trackedSchemes.test(url)) continue
      seen.add(attribute.name)
      output += `${html.slice(copied, attribute.valueStart)}"${encodeAttribute(rewrite(url))}"`
      copied = attribute.valueEnd
    }
  }
  return { kind: 'rewritten', html: output + html.slice(copied) }
}

/** Puts `markup` before the last `</body>`, or at the end. */
export function insertBeforeBodyEnd(html: string, markup: string): string {
  const lower = html.lastIndexOf('</body>')
  const at = lower < 0 ? html.lastIndexOf('</BODY>') : lower
  return at < 0 ? html + markup : html.slice(0, at) + markup + html.slice(at)
}

/**
 * Names the tags in which Liquid stands where escaping does not protect: an unquoted attribute, a
 * script.
 */
export function findUnsafeLiquid(html: string): readonly string[] {
  const faults: string[] = []
  for (const tag of readTags(html)) {
    for (const { name, raw, valueStart } of tag.attributes) {
      if (!/\{[{%]/.test(raw)) continue
      if (html[valueStart] !== '"' && html[valueStart] !== "'") {
        faults.push(`put quotes around the value of ${name} in <${tag.name}>`)
      } else if (name.startsWith('on')) {
        faults.push(`no Liquid in ${name} of <${tag.name}>: it is a script`)
      }
    }
    const isScript =
      tag.name === 'script' && /^[^<]*\{[{%]/.test(html.slice(tag.end, tag.end + 4096))
    if (isScript) faults.push('no Liquid in <script>')
  }
  return faults
}

export function encodeAttribute(value: string): string {
  return value.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;')
}

/** `v:` is the markup that Outlook draws buttons with. */
function isLinkTag(name: string): boolean {
  return linkTags.has(name) || name.startsWith('v:')
}

function faultOf(url: string, isLink: boolean): string | undefined {
  if (url === '') return isLink ? 'a link without destination' : undefined
  if (url.length > linkCharactersMax) return `over ${linkCharactersMax} characters`
  // Browsers drop tabs and line ends inside a URL, so that `java\nscript:` would pass for a path.
  if (/\p{Cc}/u.test(url)) return 'a control character in a URL'
  if (!(isLink ? linkSchemes : sourceSchemes).test(url))
    return 'neither http, https, mailto nor tel'
  if (trackedSchemes.test(url) && !URL.canParse(url)) return 'not a URL'
  return undefined
}

/**
 * Reads all tags; without those known to be plain, where `plain` is given, and which learns more of
 * them. What a tag says depends on its own text alone if it ends with the first `>`.
 */
function* readTags(html: string, plain?: Set<string>): Generator<OpenTag> {
  let at = html.indexOf('<')
  while (at >= 0) {
    let next = at + 1
    if (html.startsWith('<!--', at)) {
      next = commentEnd(html, at)
    } else if (isLetter(html.charCodeAt(at + 1))) {
      const close = html.indexOf('>', at) + 1
      const text = plain === undefined ? '' : html.slice(at, close)
      if (plain?.has(text)) next = close
      else {
        const tag = readOpenTag(html, at)
        yield tag
        const isRaw = rawTextTags.has(tag.name)
        next = isRaw ? rawTextEnd(html, tag) : tag.end
        if (plain !== undefined && tag.end === close && !isRaw) learnPlain(plain, tag, text)
      }
    }
    at = html.indexOf('<', next)
  }
}

function learnPlain(plain: Set<string>, tag: OpenTag, text: string): void {
  if (!tag.isClosed || text.length > plainCharactersMax) return
  if (tag.attributes.some(({ name }) => urlAttributes.has(name))) return
  if (plain.size >= plainCountMax) plain.clear()
  // A copy: a slice would keep the whole message.
  plain.add(Buffer.from(text).toString())
}

/** Where reading goes on: behind the comment, or inside it if it is conditional. */
function commentEnd(html: string, at: number): number {
  if (html.startsWith('<!--[if', at)) return at + 4
  const end = html.indexOf('-->', at + 2)
  return end < 0 ? html.length : end + 3
}

function rawTextEnd(html: string, tag: OpenTag): number {
  let at = html.indexOf('</', tag.end)
  while (at >= 0) {
    const end = at + 2 + tag.name.length
    if (html.slice(at + 2, end).toLowerCase() === tag.name) return end
    at = html.indexOf('</', at + 2)
  }
  return html.length
}

function readOpenTag(html: string, start: number): OpenTag {
  let at = start + 1
  while (at < html.length && !isBreak(html.charCodeAt(at))) at += 1
  const name = html.slice(start + 1, at).toLowerCase()
  const attributes: Attribute[] = []
  while (at < html.length) {
    const code = html.charCodeAt(at)
    if (code === greater) return { name, attributes, end: at + 1, isClosed: true }
    if (isSpace(code) || code === slash) {
      at += 1
      continue
    }
    const attribute = readAttribute(html, at)
    attributes.push(attribute)
    at = attribute.valueEnd
  }
  return { name, attributes, end: html.length, isClosed: false }
}

function readAttribute(html: string, start: number): Attribute {
  // An equals sign in first place belongs to the name.
  let at = start + 1
  while (at < html.length && !isBreak(html.charCodeAt(at)) && html.charCodeAt(at) !== equals)
    at += 1
  const name = html.slice(start, at).toLowerCase()
  let next = skipSpace(html, at)
  if (html.charCodeAt(next) !== equals) return { name, raw: '', valueStart: at, valueEnd: at }
  next = skipSpace(html, next + 1)
  const quote = html[next]
  if (quote === '"' || quote === "'") {
    const close = html.indexOf(quote, next + 1)
    const end = close < 0 ? html.length : close
    const valueEnd = Math.min(end + 1, html.length)
    return { name, raw: html.slice(next + 1, end), valueStart: next, valueEnd }
  }
  let end = next
  while (end < html.length && !isSpace(html.charCodeAt(end)) && html.charCodeAt(end) !== greater)
    end += 1
  return { name, raw: html.slice(next, end), valueStart: next, valueEnd: end }
}

const namedEntities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

/**
 * Other names stay as they are; where one could matter, in front of the colon, the scheme is
 * refused.
 */
function decodeEntities(text: string): string {
  if (!text.includes('&')) return text
  return text.replace(
    /&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|(amp|lt|gt|quot|apos));/gi,
    (whole, decimal, hex, name) => {
      if (name !== undefined) return namedEntities[String(name).toLowerCase()] ?? whole
      const code = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal)
      return code <= 0x10ffff ? String.fromCodePoint(code) : whole
    },
  )
}

const slash = 0x2f
const equals = 0x3d
const greater = 0x3e

function isLetter(code: number): boolean {
  return (code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a)
}

function isSpace(code: number): boolean {
  return code === 0x20 || (code >= 0x09 && code <= 0x0d)
}

function isBreak(code: number): boolean {
  return isSpace(code) || code === slash || code === greater
}

function skipSpace(html: string, from: number): number {
  let at = from
  while (at < html.length && isSpace(html.charCodeAt(at))) at += 1
  return at
}
