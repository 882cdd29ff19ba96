/**
 * Where somebody came from, as one event tells it: the channel, the referrer's host, campaign tags
 * and the page they came to. Of addresses only host and path are kept: a query may hold anything.
 *
 * Layout of a packed touch: u8 channel | for each text, in the order of `texts`: u8 bytes | UTF-8.
 * A text is cut at `textBytesMax`, all together at `touchBytesMax`: those that come first go first.
 */

import type { Event } from '../../event/event.ts'
import { isJsonObject, type Json, type JsonObject } from '../../lib/json.ts'
import { type Address, parseAddress } from './address.ts'
import { type Channel, channelOf, channels } from './channel.ts'
import { writeText } from './desk.ts'

export interface Touch {
  readonly channel: Channel
  /** Host, without `www.`; absent where it is the site's own, or none. */
  readonly referrer?: string
  readonly source?: string
  readonly medium?: string
  readonly campaign?: string
  readonly term?: string
  readonly content?: string
  /** Path of the page. */
  readonly landingPage?: string
}

const texts = [
  'referrer',
  'source',
  'medium',
  'campaign',
  'landingPage',
  'content',
  'term',
] as const
type TextName = (typeof texts)[number]

const textBytesMax = 64
export const touchBytesMax = 200

type Given = { -readonly [Name in TextName]?: string }

/** By which names a tag goes in the context and in a query. */
const tagNames: readonly (readonly [TextName, string, string])[] = [
  ['source', 'source', 'utm_source'],
  ['medium', 'medium', 'utm_medium'],
  ['campaign', 'name', 'utm_campaign'],
  ['term', 'term', 'utm_term'],
  ['content', 'content', 'utm_content'],
]

/**
 * Returns what an event says of where its person came from; undefined where it names neither page
 * nor campaign.
 */
export function readTouch({ type, context, properties }: Event): Touch | undefined {
  const page = objectOf(context?.['page'])
  const own = type === 'page' ? objectOf(properties) : undefined
  const tags = objectOf(context?.['campaign'])
  const address = addressOf(own, page, 'url')
  const path = address?.path ?? textOf(own?.['path']) ?? textOf(page?.['path'])
  if (path === undefined && tags === undefined) return undefined
  const from = addressOf(own, page, 'referrer')
  const hasQuery = address !== undefined && address.query !== ''
  const query = hasQuery ? new URLSearchParams(address.query) : undefined
  const given: Given = {}
  if (from !== undefined && !isSameSite(from, address)) given.referrer = from.host
  if (tags !== undefined || query !== undefined) {
    for (const [name, inContext, inQuery] of tagNames) {
      const tag = textOf(tags?.[inContext]) ?? textOf(query?.get(inQuery))
      if (tag !== undefined) given[name] = tag
    }
  }
  if (path !== undefined) given.landingPage = path
  const channel = channelOf(given, (name) => query?.has(name) === true)
  return { channel, ...given }
}

export function encodeTouch(touch: Touch): Uint8Array {
  const bytes = Buffer.alloc(touchBytesMax)
  return bytes.subarray(0, writeTouch(bytes, 0, touch))
}

/** Writes a packed touch; returns where it ends. */
export function writeTouch(bytes: Buffer, from: number, touch: Touch): number {
  bytes[from] = channels.indexOf(touch.channel)
  let at = from + 1
  let room = touchBytesMax - 1 - texts.length
  for (let index = 0; index < texts.length; index++) {
    const text = touch[texts[index] as TextName] ?? ''
    const end = writeText(bytes, at + 1, text, Math.min(textBytesMax, room))
    bytes[at] = end - at - 1
    room -= end - at - 1
    at = end
  }
  return at
}

export function decodeTouch(source: Uint8Array): Touch {
  const bytes = Buffer.from(source.buffer, source.byteOffset, source.byteLength)
  const given: Partial<Record<TextName, string>> = {}
  let at = 1
  for (const name of texts) {
    const end = at + 1 + (bytes[at] ?? 0)
    if (end > at + 1) given[name] = bytes.toString('utf8', at + 1, end)
    at = end
  }
  return { channel: channelAt(bytes), ...given }
}

/** Tells the channel of a packed touch without decoding the rest. */
export function channelAt(bytes: Uint8Array): Channel {
  return channels[bytes[0] ?? 0] ?? 'other'
}

function objectOf(value: Json | undefined): JsonObject | undefined {
  return isJsonObject(value) ? value : undefined
}

function textOf(value: Json | undefined): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

function addressOf(
  own: JsonObject | undefined,
  page: JsonObject | undefined,
  name: 'url' | 'referrer',
): Address | undefined {
  const text = textOf(own?.[name]) ?? textOf(page?.[name])
  return text === undefined ? undefined : parseAddress(text)
}

/** A shop and its checkout are one site, whichever of the two is a name below the other. */
function isSameSite({ host: one }: Address, page: Address | undefined): boolean {
  if (page === undefined) return false
  const { host: other } = page
  return one === other || one.endsWith(`.${other}`) || other.endsWith(`.${one}`)
}
