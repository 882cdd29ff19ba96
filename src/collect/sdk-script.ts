/**
 * Serves the browser SDK as one script at `GET /sdk/v1/attune.js`, so that a shop needs no package.
 *
 * It is made from the modules in `sdk/`: joined in the order of their imports, without comments, in
 * one function. They are read at the start, so that one that is missing is noticed; squeezed and
 * packed (tens of ms) when somebody first asks. It depends on nothing but the program's version, so
 * any cache may keep it; an hour after an update all pages have the new one.
 */

import { readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { assert } from '../lib/assert.ts'
import { sha256Hex } from '../lib/hash.ts'
import { answerPreflight, answerProblem } from './collect-answer.ts'
import { methodProblem } from './collect-problem.ts'
import { squeezeScript } from './squeeze-script.ts'

const path = '/sdk/v1/attune.js'
const folder = fileURLToPath(new URL('../../sdk/', import.meta.url))
/** Each file behind those it imports. */
const names = [
  ...['storage', 'identity', 'queue', 'pace', 'sender', 'context', 'consent', 'ecommerce'],
  ...['attune', 'boot'],
]
const cacheControl = 'public, max-age=3600, stale-while-revalidate=86400'

/** Returns the script as it is served. */
export function makeSdkScript(): string {
  return squeezeScript(joinModules())
}

function joinModules(): string {
  const modules = names.map((name, index) => {
    const text = readFileSync(`${folder}${name}.js`, 'utf8')
    for (const [, imported = ''] of text.matchAll(/^import .* from '\.\/(.+)\.js'$/gm)) {
      assert(names.indexOf(imported) < index, `${name} stands behind ${imported}`)
    }
    return text.replace(/^import .*$/gm, '').replace(/^export /gm, '')
  })
  return `(() => {'use strict'\n${modules.join('\n')}})()`
}

interface Packed {
  readonly hash: string
  readonly identity: Buffer
  /** By the name of the encoding, the one that is liked best first. */
  readonly forms: ReadonlyMap<string, Buffer>
}

function pack(script: string): Packed {
  const identity = Buffer.from(squeezeScript(script))
  const forms = new Map<string, Buffer>([
    ['br', brotliCompressSync(identity)],
    ['gzip', gzipSync(identity, { level: 9 })],
    ['identity', identity],
  ])
  return { hash: sha256Hex(identity).slice(0, 16), identity, forms }
}

/** Answers the request and returns true where the path is the script's. */
export function createSdkRoutes(): (request: IncomingMessage, response: ServerResponse) => boolean {
  const script = joinModules()
  let packed: Packed | undefined
  return (request, response) => {
    if (request.url !== path && request.url?.startsWith(`${path}?`) !== true) return false
    response.setHeader('access-control-allow-origin', '*')
    if (request.method === 'OPTIONS') {
      answerPreflight(response)
      return true
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      answerProblem(response, methodProblem('GET, HEAD'))
      return true
    }
    packed ??= pack(script)
    const { hash, identity, forms } = packed
    const encoding = [...forms.keys()].find((name) => accepts(request, name)) ?? 'identity'
    const body = forms.get(encoding) ?? identity
    const etag = `"${hash}-${encoding}"`
    response.setHeader('cache-control', cacheControl)
    response.setHeader('etag', etag)
    response.setHeader('vary', 'accept-encoding')
    // A page that isolates itself (COEP) takes only what says so.
    response.setHeader('cross-origin-resource-policy', 'cross-origin')
    response.setHeader('x-content-type-options', 'nosniff')
    if (hasTag(request, etag)) {
      response.writeHead(304).end()
      return true
    }
    if (encoding !== 'identity') response.setHeader('content-encoding', encoding)
    response.writeHead(200, {
      'content-type': 'text/javascript; charset=utf-8',
      'content-length': body.length,
    })
    response.end(request.method === 'HEAD' ? undefined : body)
    return true
  }
}

function accepts(request: IncomingMessage, encoding: string): boolean {
  const header = String(request.headers['accept-encoding'] ?? '')
  return header.split(',').some((each) => {
    const [name = '', ...rest] = each.split(';').map((part) => part.trim().toLowerCase())
    return name === encoding && !rest.some((part) => /^q=0(\.0*)?$/.test(part))
  })
}

function hasTag(request: IncomingMessage, etag: string): boolean {
  const header = request.headers['if-none-match'] ?? ''
  const tags = header.split(',').map((tag) => tag.trim().replace(/^W\//, ''))
  return tags.includes(etag) || tags.includes('*')
}
