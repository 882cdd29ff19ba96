/**
 * A proxy before one port of the loopback that can be a slow network, or one that lets nothing
 * through in one direction, over the connections of now and of later.
 *
 * As in a network with TCP, what is held is not lost: it arrives once the way is open again, in
 * order. Held bytes are bounded by stopping to read from the side that sends.
 */

import { connect, createServer, type Server, type Socket } from 'node:net'
import { systemClock } from '../../src/lib/clock.ts'

export type Direction = 'requests' | 'answers'

export interface ClusterProxy {
  readonly port: number
  /** Everything arrives so much later, each way. */
  delay(ms: number): void
  /** Lets nothing through in one direction until `open`. */
  block(direction: Direction): void
  open(): void
  /** Ends all connections; what was held is lost. Returns how many pieces that were. */
  cut(): number
  close(): Promise<void>
}

interface Gate {
  isOpen: boolean
  heldCount: number
  passing: PromiseWithResolvers<void>
}

const host = '127.0.0.1'
const heldCountMax = 256

/** Opens on a free port. */
export async function openClusterProxy(targetPort: number): Promise<ClusterProxy> {
  let delayMs = 0
  const sockets = new Set<Socket>()
  const gates: Record<Direction, Gate> = { requests: createGate(), answers: createGate() }
  const listener = createServer((client) => {
    const server = connect({ host, port: targetPort })
    for (const socket of [client, server]) {
      sockets.add(socket)
      socket.setNoDelay(true)
      // A reset is one way for a connection to end; 'close' follows.
      socket.on('error', () => {})
      socket.on('close', () => sockets.delete(socket))
    }
    pass(client, server, gates.requests, () => delayMs)
    pass(server, client, gates.answers, () => delayMs)
  })
  const port = await listen(listener)
  const open = (): void => {
    for (const gate of Object.values(gates)) {
      gate.isOpen = true
      gate.passing.resolve()
      gate.passing = Promise.withResolvers()
    }
  }
  return {
    port,
    delay(ms) {
      delayMs = ms
    },
    block(direction) {
      gates[direction].isOpen = false
    },
    open,
    cut() {
      const heldCount = gates.requests.heldCount + gates.answers.heldCount
      for (const socket of sockets) socket.destroy()
      open()
      return heldCount
    },
    async close() {
      for (const socket of sockets) socket.destroy()
      open()
      await new Promise((resolve) => listener.close(resolve))
    },
  }
}

function createGate(): Gate {
  return { isOpen: true, heldCount: 0, passing: Promise.withResolvers() }
}

/** Carries what one side sends to the other, in order, each piece by its own delay. */
function pass(from: Socket, to: Socket, gate: Gate, delayMsOf: () => number): void {
  let last = Promise.resolve()
  let heldCount = 0
  const carry = (write: () => void): void => {
    const dueAt = systemClock.monotonicMs() + delayMsOf()
    heldCount++
    if (heldCount >= heldCountMax) from.pause()
    last = last.then(async () => {
      const waitMs = dueAt - systemClock.monotonicMs()
      if (waitMs > 0) await systemClock.sleep(waitMs)
      gate.heldCount++
      while (!gate.isOpen) await gate.passing.promise
      gate.heldCount--
      write()
      heldCount--
      if (heldCount < heldCountMax) from.resume()
    })
  }
  from.on('data', (bytes) => carry(() => to.write(bytes)))
  from.on('close', () => carry(() => to.destroy()))
}

async function listen(listener: Server): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    listener.once('error', reject)
    listener.listen(0, host, resolve)
  })
  return (listener.address() as { readonly port: number }).port
}
