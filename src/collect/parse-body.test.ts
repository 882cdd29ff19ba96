import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib'
import { encodingOf, parseBody } from './parse-body.ts'

const value = { batch: [{ type: 'page', userId: 'ada' }] }
const json = Buffer.from(JSON.stringify(value))
const bytesMax = 10_000

async function outcomeOf(bytes: Uint8Array, header: string): Promise<unknown> {
  const encoding = encodingOf(header)
  if (encoding === undefined) return 'encoding unknown'
  const parsed = await parseBody(bytes, encoding, bytesMax)
  return parsed.kind === 'json' ? parsed.body : parsed.reason
}

describe('parseBody', () => {
  const readable: readonly [string, Uint8Array, string][] = [
    ['plain', json, ''],
    ['identity', json, 'identity'],
    ['gzip', gzipSync(json), 'gzip'],
    ['gzip by its old name', gzipSync(json), ' X-GZIP '],
    ['deflate', deflateSync(json), 'deflate'],
    ['deflate without its head', deflateRawSync(json), 'deflate'],
    ['brotli', brotliCompressSync(json), 'br'],
  ]
  for (const [says, bytes, header] of readable) {
    it(`reads ${says}`, async () => assert.deepEqual(await outcomeOf(bytes, header), value))
  }

  it('refuses what is cut, mislabelled or zipped twice', async () => {
    for (const [bytes, header] of [
      [gzipSync(json).subarray(0, 30), 'gzip'],
      [brotliCompressSync(json).subarray(0, 10), 'br'],
      [json, 'gzip'],
      [json, 'br'],
    ] as const) {
      assert.equal(await outcomeOf(bytes, header), 'body-not-inflatable')
    }
    assert.equal(await outcomeOf(gzipSync(gzipSync(json)), 'gzip'), 'body-not-utf8')
    assert.equal(await outcomeOf(json, 'gzip, gzip'), 'encoding unknown')
  })

  it('inflates up to the limit and not a byte more', async () => {
    const atLimit = Buffer.from(`"${'x'.repeat(bytesMax - 2)}"`)
    const above = Buffer.from(`"${'x'.repeat(bytesMax - 1)}"`)
    for (const [zip, header] of [
      [gzipSync, 'gzip'],
      [deflateSync, 'deflate'],
      [brotliCompressSync, 'br'],
    ] as const) {
      assert.equal(typeof (await outcomeOf(zip(atLimit), header)), 'string')
      assert.notEqual(await outcomeOf(zip(atLimit), header), 'body-too-large')
      assert.equal(await outcomeOf(zip(above), header), 'body-too-large')
    }
  })

  it('tells whether a backslash is in the text, however it was packed', async () => {
    for (const [text, hasEscapes] of [
      ['{"a":"b/c"}', false],
      ['{"a":"\\u0000"}', true],
      ['{"\\n":1}', true],
    ] as const) {
      const bytes = Buffer.from(text)
      for (const [sent, encoding] of [
        [bytes, 'identity'],
        [gzipSync(bytes), 'gzip'],
      ] as const) {
        const parsed = await parseBody(sent, encoding, bytesMax)
        assert.equal(parsed.kind === 'json' && parsed.hasEscapes, hasEscapes, text)
      }
    }
  })

  it('does not repeat the body in what it says', async () => {
    const parsed = await parseBody(Buffer.from('{"email": ada@example.com}'), 'identity', bytesMax)
    assert.ok(parsed.kind === 'refused')
    assert.doesNotMatch(parsed.says, /ada/)
  })
})
