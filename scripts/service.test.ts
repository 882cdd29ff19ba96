import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { it } from 'node:test'
import { freePorts } from './service.ts'

it('gives ports that one can listen on, each once while this process lives', async (t) => {
  const ports = [...(await freePorts(40)), ...(await freePorts(40))]
  assert.equal(new Set(ports).size, ports.length)
  for (const port of ports) {
    assert.ok(port < 32_768, `${port}: systems give it to connections`)
    const server = createServer().listen(port, '127.0.0.1')
    t.after(() => server.close())
    await once(server, 'listening')
    // So another process that asks is told that it is given.
    const other = createSocket('udp4')
    other.bind({ port, address: '127.0.0.1', exclusive: true })
    const [error] = (await once(other, 'error')) as [NodeJS.ErrnoException]
    other.close()
    assert.equal(error.code, 'EADDRINUSE')
  }
})
