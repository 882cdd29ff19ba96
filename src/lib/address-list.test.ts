import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { parseAddressList, plainAddress } from './address-list.ts'

function hasOf(text: string): (address: string | undefined) => boolean {
  const parsed = parseAddressList(text)
  assert.equal(parsed.kind, 'list')
  return parsed.kind === 'list' ? parsed.has : () => false
}

describe('a list of addresses', () => {
  it('finds addresses and ranges of both versions', () => {
    const has = hasOf('10.0.0.0/8, 192.0.2.7, 2001:db8::/32')
    for (const address of ['10.255.1.2', '::ffff:10.0.0.1', '192.0.2.7', '2001:db8:1::5%eth0']) {
      assert.ok(has(address), address)
    }
    for (const address of ['11.0.0.1', '192.0.2.8', '2001:db9::1', 'nonsense', '', undefined]) {
      assert.ok(!has(address), address)
    }
  })

  it('is empty where the text is', () => {
    assert.ok(!hasOf('')('127.0.0.1'))
  })

  it('refuses what is no address, and names it', () => {
    for (const entry of ['10.0.0.0/33', '10.0.0/8', 'proxy.example', '::1/129', '1.2.3.4/8/8']) {
      const parsed = parseAddressList(`127.0.0.1,${entry}`)
      assert.ok(parsed.kind === 'refused' && parsed.says.includes(entry), entry)
    }
    assert.equal(parseAddressList('::1,'.repeat(1_001)).kind, 'refused')
  })

  it('never throws, and knows nothing that is no address', () => {
    const has = hasOf('0.0.0.0/0, ::/0')
    fc.assert(
      fc.property(fc.string(), (text) => {
        parseAddressList(text)
        assert.equal(has(text), plainAddress(text) !== undefined)
      }),
    )
  })
})
