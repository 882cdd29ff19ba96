/**
 * The address of whoever really sent a request, where proxies stand before this server.
 *
 * Only what a trusted proxy added is believed: `X-Forwarded-For` is read from its right end, and
 * the first address that is no trusted proxy's is the client's. What stands left of it was written
 * by the client itself. Undefined where a trusted proxy wrote something that is no address.
 */

import type { IncomingMessage } from 'node:http'
import { plainAddress } from '../lib/address-list.ts'

const hopCountMax = 20

export function clientAddressOf(
  request: Pick<IncomingMessage, 'headers'> & {
    readonly socket: { readonly remoteAddress?: string | undefined }
  },
  isTrustedProxy: (address: string | undefined) => boolean,
): string | undefined {
  const peer = plainAddress(request.socket.remoteAddress)
  const header = request.headers['x-forwarded-for']
  if (header === undefined || !isTrustedProxy(peer)) return peer
  const hops = (Array.isArray(header) ? header.join(',') : header).split(',').slice(-hopCountMax)
  let nearest = peer
  for (const hop of hops.reverse()) {
    nearest = plainAddress(withoutPort(hop.trim()))
    if (nearest === undefined || !isTrustedProxy(nearest)) return nearest
  }
  return nearest
}

/** Some proxies write `192.0.2.1:4711` or `[2001:db8::1]:4711`. */
function withoutPort(hop: string): string {
  return /^\[([^\]]+)\](?::\d+)?$/.exec(hop)?.[1] ?? hop.replace(/^(\d+\.\d+\.\d+\.\d+):\d+$/, '$1')
}
