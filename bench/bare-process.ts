/**
 * The bare baseline: a `node:http` server that reads and parses the JSON of a POST and keeps
 * nothing, and answers a GET with bytes made beforehand. What no server can do without.
 */

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

const taken = '{"success":true}'

function serve(getBody: string): void {
  const server = createServer({ keepAliveTimeout: 65_000 }, (request, response) => {
    if (request.method === 'GET') {
      const length = Buffer.byteLength(getBody)
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': length })
      response.end(getBody)
      return
    }
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const isObject = typeof parseBody(chunks) === 'object'
      const length = taken.length
      const headers = { 'content-type': 'application/json', 'content-length': length }
      response.writeHead(isObject ? 200 : 400, headers)
      response.end(taken)
    })
  })
  server.listen(0, '127.0.0.1', () => {
    const { port } = server.address() as AddressInfo
    process.send?.({ port })
  })
}

function parseBody(chunks: readonly Buffer[]): unknown {
  return JSON.parse(Buffer.concat(chunks).toString()) as unknown
}

process.on('message', ({ getBody }: { readonly getBody: string }) => serve(getBody))
