import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { parseAddressList } from '../lib/address-list.ts'
import { clientAddressOf } from './client-address.ts'

const parsed = parseAddressList('127.0.0.1, 10.0.0.0/8')
const isTrusted = parsed.kind === 'list' ? parsed.has : () => false

function addressOf(peer: string | undefined, forwarded?: string | string[]): string | undefined {
  const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded as string }
  return clientAddressOf({ headers, socket: { remoteAddress: peer } }, isTrusted)
}

describe('the address of a client', () => {
  const cases: readonly [string, string | undefined, string | string[] | undefined, unknown][] = [
    ['is the peer where no proxy is named', '203.0.113.9', undefined, '203.0.113.9'],
    ['is the peer where a stranger names others', '203.0.113.9', '1.1.1.1', '203.0.113.9'],
    ['is what a trusted proxy says', '127.0.0.1', '203.0.113.9', '203.0.113.9'],
    ['passes over trusted proxies', '10.0.0.1', '203.0.113.9, 10.0.0.2', '203.0.113.9'],
    ['is not what the client wrote before', '10.0.0.1', '1.1.1.1, 203.0.113.9', '203.0.113.9'],
    ['reads several headers as one', '10.0.0.1', ['1.1.1.1', '203.0.113.9'], '203.0.113.9'],
    ['has no port', '10.0.0.1', '203.0.113.9:4711', '203.0.113.9'],
    ['has no brackets', '10.0.0.1', '[2001:db8::1]:4711', '2001:db8::1'],
    ['is IPv4 where it is mapped', '::ffff:203.0.113.9', undefined, '203.0.113.9'],
    ['has no zone', '10.0.0.1', 'fe80::1%eth0', 'fe80::1'],
    ['is not guessed from garbage', '10.0.0.1', 'unknown', undefined],
    ['is the outermost proxy where all are trusted', '10.0.0.1', '10.0.0.3, 10.0.0.2', '10.0.0.3'],
    ['is unknown where the socket has none', undefined, '1.1.1.1', undefined],
  ]
  for (const [name, peer, forwarded, address] of cases) {
    it(name, () => assert.equal(addressOf(peer, forwarded), address))
  }

  it('is never what stands left of an address that no trusted proxy has', () => {
    const hop = fc.oneof(fc.ipV4(), fc.string({ maxLength: 20 }))
    fc.assert(
      fc.property(fc.array(hop, { maxLength: 30 }), (hops) => {
        assert.equal(addressOf('10.0.0.1', [...hops, '198.51.100.7'].join(',')), '198.51.100.7')
      }),
    )
  })
})
