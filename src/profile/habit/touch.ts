/**
 * Where somebody came from, as one event tells it: the channel, the referrer's host, campaign tags
 * and the page they came to. Of addresses only host and path are kept: a query may hold anything.
 *
 * Layout of a packed touch: u8 channel | for each text, in the order of `texts`: u8 bytes | UTF-8.
 * A text is cut at `textBytesMax`, all together at `touchBytesMax`: those that come first go first.
 */

import type { Event } from '../../event/event.ts'
import { isJsonObject, type Json, type JsonObject } from '../../lib/json.ts'
import { cutText } from '../activity-pack.ts'
import { type Channel, channelOf, channels } from './channel.ts'

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

/**
 * Returns what an event says of where its person came from; undefined where it names neither page
 * nor campaign.
 */
export function readTouch({ type, context, properties }: Event): Touch | undefined {
  const page = objectOf(context?.['page'])
  const own = type === 'page' ? objectOf(properties) : undefined
  const tags = objectOf(context?.['campaign'])
  const url = parseUrl(textOf(own?.['url']) ?? textOf(page?.['url']))
  const path = url?.pathname ?? textOf(own?.['path']) ?? textOf(page?.['path'])
  if (path === undefined && tags === undefined) return undefined
  const from = parseUrl(textOf(own?.['referrer']) ?? textOf(page?.['referrer']))
  const referrer = from === undefined || isSameSite(from, url) ? undefined : hostOf(from)
  const query = url?.searchParams
  const tag = (name: string): string | undefined => {
    const utm = query?.get(`utm_${name === 'name' ? 'campaign' : name}`) ?? undefined
    return textOf(tags?.[name]) ?? (utm === '' ? undefined : utm)
  }
  const given: Record<TextName, string | undefined> = {
    referrer,
    source: tag('source'),
    medium: tag('medium'),
    campaign: tag('name'),
    term: tag('term'),
    content: tag('content'),
    landingPage: path,
  }
  const channel = channelOf({ ...given, hasQuery: (name) => query?.has(name) === true })
  return { channel, ...withoutAbsent(given) }
}

export function encodeTouch(touch: Touch): Uint8Array {
  const pieces: Uint8Array[] = [Uint8Array.of(channels.indexOf(touch.channel))]
  let room = touchBytesMax - 1 - texts.length
  for (const name of texts) {
    const text = cutText(touch[name] ?? '', Math.min(textBytesMax, room))
    room -= text.length
    pieces.push(Uint8Array.of(text.length), text)
  }
  return Buffer.concat(pieces)
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

function withoutAbsent(given: Record<TextName, string | undefined>): Omit<Touch, 'channel'> {
  return Object.fromEntries(Object.entries(given).filter(([, text]) => text !== undefined))
}

function objectOf(value: Json | undefined): JsonObject | undefined {
  return isJsonObject(value) ? value : undefined
}

function textOf(value: Json | undefined): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** Undefined also for what is no page of the web, as `$direct`. */
function parseUrl(text: string | undefined): URL | undefined {
  const url = text === undefined ? null : URL.parse(text)
  return url !== null && url.hostname !== '' ? url : undefined
}

function hostOf(url: URL): string {
  return url.hostname.replace(/^www\./, '')
}

/** A shop and its checkout are one site, whichever of the two is a name below the other. */
function isSameSite(from: URL, page: URL | undefined): boolean {
  if (page === undefined) return false
  const [one, other] = [hostOf(from), hostOf(page)]
  return one === other || one.endsWith(`.${other}`) || other.endsWith(`.${one}`)
}
