import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { normalizeAddress, parseAddress, parseMailbox } from './address.ts'

const label63 = 'a'.repeat(63)
const local64 = 'l'.repeat(64)
const total254 = `${local64}@${label63}.${label63}.${'b'.repeat(58)}.io`

const good: readonly (readonly [string, string])[] = [
  ['ada@shop.example', 'ada@shop.example'],
  ['Ada.Lovelace+tag@Shop.EXAMPLE', 'Ada.Lovelace+tag@shop.example'],
  ["o'hara/x=y@a-b.co", "o'hara/x=y@a-b.co"],
  ['x@xn--bcher-kva.example', 'x@xn--bcher-kva.example'],
  [`${local64}@a.io`, `${local64}@a.io`],
  [total254, total254],
]

const bad: readonly (readonly [unknown, string])[] = [
  [undefined, 'not-text'],
  [null, 'not-text'],
  [['a@b.io'], 'not-text'],
  ['', 'empty'],
  [`${total254}m`, 'too-long'],
  [`${'l'.repeat(65)}@a.io`, 'bad-local'],
  ['ada', 'bad-local'],
  ['@a.io', 'bad-local'],
  ['a@b', 'bad-domain'],
  ['a@localhost', 'bad-domain'],
  ['a@b.io.', 'bad-domain'],
  ['a@.io', 'bad-domain'],
  ['a@b..io', 'bad-domain'],
  ['a@-b.io', 'bad-domain'],
  ['a@b-.io', 'bad-domain'],
  [`a@${'b'.repeat(64)}.io`, 'bad-domain'],
  ['a@[127.0.0.1]', 'bad-domain'],
  ['a@127.0.0.1', 'bad-domain'],
  ['a@[IPv6:::1]', 'bad-domain'],
  ['.a@b.io', 'bad-local'],
  ['a.@b.io', 'bad-local'],
  ['a..b@b.io', 'bad-local'],
  ['"a b"@b.io', 'bad-local'],
  ['a(comment)@b.io', 'bad-local'],
  ['a@b.io(comment)', 'bad-domain'],
  ['a@b.io,c@d.io', 'bad-local'],
  ['a@b.io c@d.io', 'bad-local'],
  ['a@b@c.io', 'bad-local'],
  ['<a@b.io>', 'bad-local'],
  ['Ada <a@b.io>', 'bad-local'],
  ['a@b.io>', 'bad-domain'],
  [' a@b.io', 'bad-local'],
  ['a@b.io ', 'bad-domain'],
  ['a@b.io\r\nRCPT TO:<c@d.io>', 'control-character'],
  ['a\n@b.io', 'control-character'],
  ['a\0@b.io', 'control-character'],
  ['a\t@b.io', 'control-character'],
  ['a\u0085@b.io', 'control-character'],
  ['a\u007f@b.io', 'control-character'],
  ['\u00e4da@b.io', 'not-ascii'],
  ['a@b\u00fccher.example', 'not-ascii'],
  ['a\u202e@b.io', 'not-ascii'],
  ['a\u2028@b.io', 'not-ascii'],
]

describe('an address', () => {
  for (const [input, address] of good) {
    it(`is taken: ${JSON.stringify(input)}`, () => {
      assert.deepEqual(parseAddress(input), { kind: 'address', address })
    })
  }

  for (const [input, reason] of bad) {
    it(`is refused as ${reason}: ${JSON.stringify(input)}`, () => {
      assert.deepEqual(parseAddress(input), { kind: 'refused', reason })
    })
  }

  it('never holds a character with a meaning in SMTP or in a header, whatever comes in', () => {
    const piece = fc.constantFrom(
      'a',
      '@',
      '.',
      'b.io',
      '\r\n',
      '\n',
      '<',
      '>',
      ',',
      ' ',
      '"',
      '\0',
      '\u00e9',
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.array(piece).map((parts) => parts.join('')),
          fc.string(),
        ),
        (text) => {
          const parsed = parseAddress(text)
          if (parsed.kind === 'refused') return
          assert.match(parsed.address, /^[^\s<>(),;:"\\[\]@]+@[a-z0-9.-]+$/)
          assert.deepEqual(parseAddress(parsed.address), parsed)
        },
      ),
      { numRuns: 5000 },
    )
  })

  it('is normalized as a whole for suppression', () => {
    assert.equal(normalizeAddress('Ada@Shop.example'), 'ada@shop.example')
  })
})

describe('a mailbox', () => {
  it('is an address with or without a name', () => {
    assert.deepEqual(parseMailbox('Acme "Shop" <Hi@Acme.example>'), {
      kind: 'mailbox',
      name: 'Acme "Shop"',
      address: 'Hi@acme.example',
    })
    assert.deepEqual(parseMailbox('"Acme, Inc." <hi@acme.example>'), {
      kind: 'mailbox',
      name: 'Acme, Inc.',
      address: 'hi@acme.example',
    })
    assert.deepEqual(parseMailbox('hi@acme.example'), {
      kind: 'mailbox',
      name: '',
      address: 'hi@acme.example',
    })
  })

  it('is refused with line ends, two addresses or an endless name', () => {
    assert.equal(parseMailbox('A\r\nBcc: x@y.io <a@b.io>').kind, 'refused')
    assert.equal(parseMailbox('A <a@b.io> <c@d.io>').kind, 'refused')
    assert.equal(parseMailbox(`${'n'.repeat(1024)} <a@b.io>`).kind, 'refused')
  })
})
