import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { decodeInForce, nothingComputed } from './computed-trait.ts'

const bytesOf = (version: number): Uint8Array =>
  Buffer.from(JSON.stringify({ version, traits: [{ name: 'K\u00e4ufe', readyAtMs: version }] }))

describe('decodeInForce', () => {
  it('gives one object for the same bytes, another for others', () => {
    const first = decodeInForce(bytesOf(1))
    assert.deepEqual(first, JSON.parse(Buffer.from(bytesOf(1)).toString()))
    assert.equal(decodeInForce(bytesOf(1)), first)
    assert.equal(decodeInForce(bytesOf(2)).version, 2)
    assert.equal(decodeInForce(undefined), nothingComputed)
  })

  it('keeps the newest 1,024 and forgets the others', () => {
    const first = decodeInForce(bytesOf(1))
    const second = decodeInForce(bytesOf(3000))
    for (let version = 10; version < 10 + 1023; version++) decodeInForce(bytesOf(version))
    assert.equal(decodeInForce(bytesOf(3000)), second)
    assert.notEqual(decodeInForce(bytesOf(1)), first)
  })
})
