/**
 * What `attune dev` answers besides the server: the page, the inbox, pictures of the items, and
 * parts of the API for a page that has no key.
 *
 * Only for a server on this machine. Every path but the pictures asks for a Host header that names
 * this machine, so that a page of another site, whose name was pointed here (DNS rebinding), reads
 * nothing; no CORS header is ever sent. The page runs under a policy that allows no inline script;
 * an email is shown in a sandbox without scripts, under a policy of its own.
 */

import { readFile } from 'node:fs/promises'
import {
  type ClientRequest,
  request as httpRequest,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { renderItemImage } from '../../examples/shop/image.ts'
import type { Item } from '../catalog/item.ts'
import type { DevInbox } from './dev-inbox.ts'
import type { ExtraRoutes } from './server.ts'

const webFolder = fileURLToPath(new URL('../../web', import.meta.url))
const filePattern = /^\/web\/([a-z-]{1,40}\.(?:css|js|svg))$/
const listCountMax = 200

const contentTypes: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
}

const pagePolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "frame-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

/** Of the API, what the page may ask for: evidence, explain, the stream. All are reads. */
const proxied: readonly (readonly [pattern: RegExp, path: string])[] = [
  [/^\/demo(\/messages\/[A-Za-z0-9_-]{1,64}\/(?:evidence|explain))$/, '/api/v1$1'],
  [/^\/demo\/events$/, '/api/v1/events/stream'],
]

export interface DevRoutesOptions {
  readonly port: number
  readonly apiKey: string
  readonly items: readonly Item[]
  readonly inbox: DevInbox
  /** What the header of the page shows. */
  readonly readFigures: () => Promise<unknown>
}

export interface DevRoutes {
  readonly handle: ExtraRoutes
  /** Ends the streams that would stay open for ever. */
  close(): void
}

interface Exchange {
  readonly options: DevRoutesOptions
  readonly response: ServerResponse
  readonly path: string
  readonly query: string
}

export function createDevRoutes(options: DevRoutesOptions): DevRoutes {
  const { port } = options
  const hosts = new Set(['127.0.0.1', 'localhost', '[::1]'].map((name) => `${name}:${port}`))
  const items = new Map(options.items.map((item) => [item.itemId, item]))
  const upstreams = new Set<ClientRequest>()
  const handle: ExtraRoutes = (request, response) => {
    const [path = '', query = ''] = (request.url ?? '').split('?', 2)
    const isOurs = path === '/' || path.startsWith('/demo/') || path.startsWith('/web/')
    if (!isOurs) return false
    response.setHeader('x-content-type-options', 'nosniff')
    response.setHeader('referrer-policy', 'no-referrer')
    const picture = /^\/demo\/items\/([^/]{1,200})\.svg$/.exec(path)?.[1]
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD')
      refuse(response, 405, 'method-not-allowed', 'This path takes GET only.')
    } else if (picture !== undefined) {
      answerPicture(response, items.get(decodePath(picture)))
    } else if (!hosts.has(request.headers.host ?? '')) {
      refuse(response, 403, 'host-not-local', 'This page is for this machine only.')
    } else {
      const exchange: Exchange = { options, response, path, query }
      answer(exchange, request, upstreams).catch(() =>
        refuse(response, 500, 'internal', 'The page could not be made.'),
      )
    }
    return true
  }
  return {
    handle,
    close() {
      for (const upstream of upstreams) upstream.destroy()
    },
  }
}

async function answer(
  exchange: Exchange,
  request: IncomingMessage,
  upstreams: Set<ClientRequest>,
): Promise<void> {
  const { options, response, path, query } = exchange
  if (path === '/') return await answerFile(response, 'index.html')
  const file = filePattern.exec(path)?.[1]
  if (file !== undefined) return await answerFile(response, file)
  if (path === '/demo/inbox.json') {
    const after = Number(new URLSearchParams(query).get('after') ?? -1)
    const mails = options.inbox.list(Number.isInteger(after) ? after : -1, listCountMax)
    return answerJson(response, { count: options.inbox.count, mails, ...(await figures(options)) })
  }
  const [, index, form] = /^\/demo\/mail\/(\d{1,9})\.(json|html|eml)$/.exec(path) ?? []
  if (index !== undefined) return await answerMail(exchange, Number(index), form)
  const found = proxied.find(([pattern]) => pattern.test(path))
  if (found === undefined) return refuse(response, 404, 'not-found', 'There is nothing here.')
  const target = path.replace(...found) + (query === '' ? '' : `?${query}`)
  passOn(options, { request, response, target }, upstreams)
}

async function figures(options: DevRoutesOptions): Promise<object> {
  const handOverP50Ms = options.inbox.handOverP50Ms()
  return { handOverP50Ms, figures: await options.readFigures() }
}

async function answerFile(response: ServerResponse, name: string): Promise<void> {
  const bytes = await readFile(join(webFolder, name)).catch(() => undefined)
  if (bytes === undefined) return refuse(response, 404, 'not-found', 'There is no such file.')
  const type = contentTypes[name.slice(name.lastIndexOf('.') + 1)] ?? 'application/octet-stream'
  response.setHeader('content-security-policy', pagePolicy)
  send(response, type, bytes)
}

async function answerMail(
  { options, response }: Exchange,
  index: number,
  form: string | undefined,
): Promise<void> {
  if (form === 'eml') {
    const raw = options.inbox.raw(index)
    return raw === undefined
      ? refuseMail(response)
      : send(response, 'text/plain; charset=utf-8', raw)
  }
  const mail = await options.inbox.read(index)
  if (mail === undefined) return refuseMail(response)
  const { html, ...rest } = mail
  if (form === 'json') return answerJson(response, { ...rest, hasHtml: html !== '' })
  response.setHeader('content-security-policy', mailPolicyOf(options.port))
  send(response, 'text/html; charset=utf-8', Buffer.from(openOutside(html)))
}

/** Pictures of this server only; links open in a tab of their own. */
function mailPolicyOf(port: number): string {
  return [
    "default-src 'none'",
    `img-src http://127.0.0.1:${port} http://localhost:${port} data:`,
    "style-src 'unsafe-inline'",
    "form-action 'none'",
    "frame-ancestors 'self'",
    'sandbox allow-popups allow-popups-to-escape-sandbox',
  ].join('; ')
}

/** The email is shown as it is, but for where its links open: a frame is no place for a shop. */
function openOutside(html: string): string {
  return html.replace(/<head(\s[^>]*)?>/i, (head) => `${head}<base target="_blank">`)
}

function answerPicture(response: ServerResponse, item: Item | undefined): void {
  if (item === undefined) {
    refuse(response, 404, 'item-unknown', 'There is no such item.')
    return
  }
  response.setHeader('content-security-policy', "default-src 'none'")
  send(response, 'image/svg+xml', Buffer.from(renderItemImage(item)), 'public, max-age=3600')
}

/** Asks the API of this server with the key that the page does not have. */
function passOn(
  options: DevRoutesOptions,
  call: {
    readonly request: IncomingMessage
    readonly response: ServerResponse
    readonly target: string
  },
  upstreams: Set<ClientRequest>,
): void {
  const { request, response, target } = call
  const headers = {
    authorization: `Bearer ${options.apiKey}`,
    accept: request.headers.accept ?? '*/*',
  }
  const given = {
    host: '127.0.0.1',
    port: options.port,
    path: target,
    headers,
    agent: false as const,
  }
  const upstream = httpRequest(given, (answered) => {
    const type = answered.headers['content-type'] ?? 'application/json'
    response.writeHead(answered.statusCode ?? 502, {
      'content-type': type,
      'cache-control': 'no-store',
    })
    answered.pipe(response)
    answered.once('error', () => response.destroy())
  })
  upstreams.add(upstream)
  upstream.once('close', () => upstreams.delete(upstream))
  upstream.once('error', () => {
    if (response.headersSent) response.destroy()
    else refuse(response, 502, 'api-unreachable', 'The API did not answer.')
  })
  response.once('close', () => upstream.destroy())
  upstream.end()
}

function answerJson(response: ServerResponse, body: unknown): void {
  send(response, 'application/json', Buffer.from(JSON.stringify(body)))
}

function send(
  response: ServerResponse,
  contentType: string,
  bytes: Uint8Array,
  cacheControl = 'no-store',
): void {
  const headers = { 'content-type': contentType, 'content-length': bytes.length }
  response.writeHead(200, { ...headers, 'cache-control': cacheControl })
  response.end(bytes)
}

function refuseMail(response: ServerResponse): void {
  refuse(response, 404, 'mail-unknown', 'This mail is not kept any more, or never came.')
}

function refuse(response: ServerResponse, status: number, code: string, detail: string): void {
  if (response.headersSent) {
    response.destroy()
    return
  }
  response.writeHead(status, {
    'content-type': 'application/problem+json',
    'cache-control': 'no-store',
  })
  response.end(JSON.stringify({ type: `urn:attune:problem:${code}`, status, code, detail }))
}

function decodePath(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
