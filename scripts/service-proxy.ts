/**
 * A proxy before one port of the loopback, for tests of what a network does: it can hold what one
 * side sends, lose connections while what was sent is still on its way, and let it arrive later.
 */

import { connect, createServer, type Server, type Socket } from 'node:net'

export interface ServiceProxy {
  readonly port: number
  /** What clients send over the connections of now stays here until `deliver`. */
  holdRequests(): void
  /** What the server answers over the connections of now stays here, and is lost with them. */
  holdAnswers(): void
  /** Ends the clients' side of all connections; what is held can still be delivered. */
  cut(): void
  /** Sends the held requests to the server, also of clients that are gone. */
  deliver(): void
  /** New connections go to another port; refused where it is undefined. */
  retarget(port: number | undefined): void
  close(): Promise<void>
}

interface Link {
  readonly client: Socket
  readonly server: Socket
  readonly heldRequests: Uint8Array[]
  isHoldingRequests: boolean
  isHoldingAnswers: boolean
}

const host = '127.0.0.1'

export async function openServiceProxy(targetPort: number): Promise<ServiceProxy> {
  const links = new Set<Link>()
  let target: number | undefined = targetPort
  const listener = createServer((client) => {
    if (target === undefined) client.destroy()
    else links.add(createLink(client, target, links))
  })
  const port = await listen(listener)
  return {
    port,
    holdRequests() {
      for (const link of links) link.isHoldingRequests = true
    },
    holdAnswers() {
      for (const link of links) link.isHoldingAnswers = true
    },
    cut() {
      for (const { client } of links) client.destroy()
    },
    deliver() {
      for (const link of links) {
        link.isHoldingRequests = false
        for (const bytes of link.heldRequests.splice(0)) link.server.write(bytes)
      }
    },
    retarget(wanted) {
      target = wanted
    },
    async close() {
      for (const { client, server } of links) {
        client.destroy()
        server.destroy()
      }
      await new Promise((resolve) => listener.close(resolve))
    },
  }
}

function createLink(client: Socket, target: number, links: Set<Link>): Link {
  const server = connect({ host, port: target })
  const link: Link = {
    client,
    server,
    heldRequests: [],
    isHoldingRequests: false,
    isHoldingAnswers: false,
  }
  client.on('data', (bytes) => {
    if (link.isHoldingRequests) link.heldRequests.push(bytes)
    else server.write(bytes)
  })
  server.on('data', (bytes) => {
    if (!link.isHoldingAnswers) client.write(bytes)
  })
  client.on('close', () => {
    if (!link.isHoldingRequests) server.destroy()
  })
  server.on('close', () => {
    client.destroy()
    links.delete(link)
  })
  // A reset is one way for a connection to end; 'close' follows.
  client.on('error', () => {})
  server.on('error', () => {})
  return link
}

async function listen(listener: Server): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    listener.once('error', reject)
    listener.listen(0, host, resolve)
  })
  return (listener.address() as { readonly port: number }).port
}
