import assert from 'node:assert/strict'
import { it } from 'node:test'
import fc from 'fast-check'
import { parseAddress } from './address.ts'

const pieces = [
  ...['https://', 'http://', 'https:/', 'HTTPS://', 'ftp://', 'android-app://', '//', '$direct'],
  ...[
    'www.',
    'shop',
    'Shop',
    '.example',
    '.',
    '-',
    'xn--',
    'xn--bcher-kva',
    '127.1',
    '.1',
    '.0x7f',
  ],
  ...[
    ':8443',
    '@',
    '/',
    '/p',
    '/.',
    '..',
    '/%2e',
    '~',
    '\u00e4',
    ' ',
    '\t',
    '\\',
    '|',
    "'",
    '"',
    '<',
  ],
  ...['?', '&', '=', '+', '%20', '%', 'utm_source', 'gclid', '#', ';', '{', '^', '*', ','],
]
const drawn = fc.array(fc.constantFrom(...pieces), { maxLength: 8 }).map((some) => some.join(''))
const likely = fc.tuple(drawn, drawn).map(([host, rest]) => `https://a.${host}example${rest}`)

it('an address is what URL says, whichever way it is read', () => {
  let readCount = 0
  fc.assert(
    fc.property(fc.oneof(drawn, likely, fc.webUrl({ withQueryParameters: true })), (text) => {
      const url = URL.parse(text)
      const address = parseAddress(text)
      if (url === null || url.hostname === '') return assert.equal(address, undefined)
      assert.equal(address?.host, url.hostname.replace(/^www\./, ''))
      assert.equal(address?.path, url.pathname)
      assert.deepEqual([...new URLSearchParams(address?.query)], [...url.searchParams])
      readCount++
    }),
    { numRuns: 3_000, examples: [['https://xn--.example/'], ['https://a.example/p??a=b']] },
  )
  assert.ok(readCount > 500)
})
