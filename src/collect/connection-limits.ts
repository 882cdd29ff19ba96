/**
 * Bounds the connections of an HTTP server: in all, and of one address, so that nobody holds all
 * places. Connections of trusted proxies stand for many clients and count in all only.
 *
 * How long a slow client may hold a place is bounded by the time limits in `collectServerOptions`.
 */

import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { plainAddress } from '../lib/address-list.ts'

export interface ConnectionLimits {
  readonly connectionCountMax: number
  readonly connectionsPerAddressMax: number
  isTrustedProxy(address: string | undefined): boolean
  /** Told of each connection that was closed at once. */
  onRefused(): void
}

export function limitConnections(server: Server, limits: ConnectionLimits): void {
  const countByAddress = new Map<string, number>()
  server.maxConnections = limits.connectionCountMax
  server.on('drop', () => limits.onRefused())
  server.on('connection', (socket: Socket) => {
    const address = plainAddress(socket.remoteAddress)
    if (address === undefined || limits.isTrustedProxy(address)) return
    const count = (countByAddress.get(address) ?? 0) + 1
    if (count > limits.connectionsPerAddressMax) {
      limits.onRefused()
      socket.destroy()
      return
    }
    countByAddress.set(address, count)
    socket.once('close', () => {
      const left = (countByAddress.get(address) ?? 1) - 1
      if (left === 0) countByAddress.delete(address)
      else countByAddress.set(address, left)
    })
  })
}
