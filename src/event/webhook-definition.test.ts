import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseSource } from './source.ts'

const secretFile = '/run/secrets/shop'

function faultsOf(definition: unknown): readonly string[] {
  const parsed = parseSource(definition)
  return parsed.kind === 'refused' ? parsed.faults.map(({ path }) => path) : []
}

describe('the webhook of a source', () => {
  it('is taken without a write key, since its signature proves it', () => {
    const parsed = parseSource({ name: 'shop', webhook: { kind: 'shopify', secretFile } })
    const webhook = { kind: 'shopify', secret: { kind: 'file', file: secretFile } }
    const source = { sourceId: 'shop', writeKeys: [], webhook }
    assert.deepEqual(parsed, { kind: 'source', source })
  })

  it('of Stripe has a tolerance of five minutes unless it says another', () => {
    const read = (more: object): unknown => {
      const webhook = { kind: 'stripe', secretVariable: 'PAY_SECRET', ...more }
      const parsed = parseSource({ name: 'pay', webhook })
      return parsed.kind === 'source' ? parsed.source.webhook : parsed.faults
    }
    const secret = { kind: 'variable', variable: 'PAY_SECRET' }
    assert.deepEqual(read({}), { kind: 'stripe', secret, toleranceSeconds: 300 })
    const short = { kind: 'stripe', secret, toleranceSeconds: 60 }
    assert.deepEqual(read({ toleranceSeconds: 60 }), short)
  })

  it('of the generic kind says what its fields mean', () => {
    const parsed = parseSource({
      name: 'loyalty',
      webhook: {
        kind: 'generic',
        secretFile,
        signature: { header: 'X-Signature', encoding: 'hex', prefix: 'sha256=' },
        mapping: {
          items: '/events',
          filters: [{ pointer: '/kind', equals: 'points' }],
          type: { value: 'track' },
          event: { value: 'Points Earned' },
          userId: '/member/a~1b~0c',
          properties: { points: '/points', shop: { value: 'main' } },
        },
      },
    })
    const secret = { kind: 'file', file: secretFile }
    const scheme = { header: 'x-signature', encoding: 'hex', prefix: 'sha256=', secret }
    const pointer = (...parts: string[]): object => ({ kind: 'pointer', pointer: parts })
    const mapping = {
      items: ['events'],
      filters: [{ pointer: ['kind'], equals: 'points' }],
      fields: {
        type: { kind: 'value', value: 'track' },
        event: { kind: 'value', value: 'Points Earned' },
        userId: pointer('member', 'a/b~c'),
        properties: {
          kind: 'object',
          fields: { points: pointer('points'), shop: { kind: 'value', value: 'main' } },
        },
      },
    }
    const webhook = { kind: 'generic', mapping, signature: scheme }
    assert.deepEqual(parsed.kind === 'source' ? parsed.source.webhook : parsed, webhook)
  })

  const mapping = { type: { value: 'track' }, event: '/name', userId: '/id' }
  const signature = { header: 'x-signature', encoding: 'hex' }
  const generic = { kind: 'generic', secretFile, signature, mapping }
  const faulty: readonly (readonly [string, unknown, readonly string[]])[] = [
    ['no mapping', 'shopify', ['/webhook', '/writeKeys']],
    ['an unknown kind', { kind: 'magento', secretFile }, ['/webhook/kind']],
    ['no secret', { kind: 'shopify' }, ['/webhook']],
    ['a secret itself', { kind: 'shopify', secret: 'abc' }, ['/webhook/secret', '/webhook']],
    ['two secrets', { kind: 'shopify', secretFile, secretVariable: 'A' }, ['/webhook', '/webhook']],
    ['a relative file', { kind: 'stripe', secretFile: 'a' }, ['/webhook/secretFile', '/webhook']],
    [
      'a file with ..',
      { kind: 'stripe', secretFile: '/run/../etc/shadow' },
      ['/webhook/secretFile', '/webhook'],
    ],
    [
      'a variable of the options',
      { kind: 'stripe', secretVariable: 'ATTUNE_REDIS__URLS' },
      ['/webhook/secretVariable', '/webhook'],
    ],
    [
      'a tolerance of a day',
      { kind: 'stripe', secretFile, toleranceSeconds: 86_400 },
      ['/webhook/toleranceSeconds'],
    ],
    [
      'what belongs to another kind',
      { kind: 'shopify', secretFile, toleranceSeconds: 60, mapping },
      ['/webhook/toleranceSeconds', '/webhook/mapping'],
    ],
    [
      'a secret without a signature',
      { ...generic, signature: undefined },
      ['/webhook/signature', '/writeKeys'],
    ],
    ['a signature without a secret', { ...generic, secretFile: undefined }, ['/webhook']],
    [
      'a scheme that is none',
      { ...generic, signature: { header: 'a b', encoding: 'hex' } },
      ['/webhook/signature/header'],
    ],
    [
      'an unknown encoding and prefix',
      { ...generic, signature: { header: 'a', encoding: 'base32' } },
      ['/webhook/signature/encoding'],
    ],
    ['no mapping of fields', { ...generic, mapping: undefined }, ['/webhook/mapping']],
    [
      'every fault of a mapping at once',
      {
        ...generic,
        mapping: {
          type: { value: 'tracks' },
          event: 'name',
          messageId: { value: '' },
          items: '~',
          filters: [{ pointer: '/a', equals: {} }, 7, { pointer: 'a', equals: 1, is: 2 }],
          properties: { a: 'x', b: '/ok' },
          user: '/id',
        },
      },
      [
        '/webhook/mapping/user',
        '/webhook/mapping/items',
        '/webhook/mapping/filters/0/equals',
        '/webhook/mapping/filters/1',
        '/webhook/mapping/filters/2/is',
        '/webhook/mapping/filters/2/pointer',
        '/webhook/mapping/event',
        '/webhook/mapping/messageId',
        '/webhook/mapping/properties/a',
        '/webhook/mapping/type/value',
        '/webhook/mapping',
      ],
    ],
  ]
  for (const [what, webhook, paths] of faulty) {
    it(`is refused with ${what}`, () => {
      assert.deepEqual(faultsOf({ name: 'shop', webhook }), paths)
    })
  }

  it('of the generic kind without a signature needs a write key', () => {
    const webhook = { kind: 'generic', mapping }
    assert.deepEqual(faultsOf({ name: 'shop', webhook }), ['/writeKeys'])
    assert.deepEqual(faultsOf({ name: 'shop', writeKeys: ['wk_12345678'], webhook }), [])
  })
})

describe('the pixel of a source', () => {
  const good = { name: 'mail', writeKeys: ['wk_12345678'] }

  it('may ask for a signature', () => {
    const parsed = parseSource({ ...good, pixel: { secretFile } })
    const pixelSecret = parsed.kind === 'source' ? parsed.source.pixelSecret : undefined
    assert.deepEqual(pixelSecret, { kind: 'file', file: secretFile })
  })

  for (const [what, pixel, paths] of [
    ['no mapping', true, ['/pixel']],
    ['no secret', {}, ['/pixel']],
    ['an unknown name', { secretFile, isSigned: true }, ['/pixel/isSigned']],
  ] as const) {
    it(`is refused with ${what}`, () => {
      assert.deepEqual(faultsOf({ ...good, pixel }), paths)
    })
  }
})
