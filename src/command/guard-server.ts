/** Bounds the connections of the HTTP server, and counts what never became a request. */

import type { Server } from 'node:http'
import { limitConnections } from '../collect/connection-limits.ts'
import type { ServerValues } from '../config.ts'
import { parseAddressList } from '../lib/address-list.ts'
import { assert } from '../lib/assert.ts'
import type { Metrics } from '../lib/metrics.ts'

/** What node's parser answers by itself, by its code; everything else is 400. */
const statusByCode: Readonly<Record<string, string>> = {
  ERR_HTTP_REQUEST_TIMEOUT: '408',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: '413',
  HPE_HEADER_OVERFLOW: '431',
}

export function guardServer(server: Server, values: ServerValues, metrics: Metrics): void {
  const refused = metrics.counter('attune_http_connections_refused_total')
  const malformed = metrics.counter('attune_http_malformed_total')
  limitConnections(server, {
    connectionCountMax: values['server.connectionCountMax'],
    connectionsPerAddressMax: values['server.connectionsPerAddressMax'],
    isTrustedProxy: trustedProxiesOf(values),
    onRefused: () => refused({}),
  })
  server.on('clientError', (error: NodeJS.ErrnoException) => {
    // A client that went away sent nothing wrong.
    if (error.code === 'ECONNRESET' || error.code === 'EPIPE') return
    malformed({ status: statusByCode[error.code ?? ''] ?? '400' })
  })
}

/** Returns the test for trusted proxies; the list was checked with the configuration. */
export function trustedProxiesOf(values: ServerValues): (address: string | undefined) => boolean {
  const parsed = parseAddressList(values['server.trustedProxies'])
  assert(parsed.kind === 'list', 'the configuration was checked')
  return parsed.has
}
