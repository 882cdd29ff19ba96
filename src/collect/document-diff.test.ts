import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { diffDocuments } from './document-diff.ts'

describe('diffDocuments', () => {
  it('names the innermost places that differ', () => {
    const before = { a: [{ b: '1' }, 2], c: 3, d: { e: 1 } }
    const after = { a: [{ b: 1 }, 2], d: 'x', 'f/g': null }
    assert.deepEqual(diffDocuments(before, after), [
      { path: '/a/0/b', before: '"1"', after: '1' },
      { path: '/c', before: '3' },
      { path: '/d', before: '{"e":1}', after: '"x"' },
      { path: '/f~1g', after: 'null' },
    ])
    assert.deepEqual(diffDocuments(before, structuredClone(before)), [])
  })

  it('is bounded in count, length and depth', () => {
    const wide = Array.from({ length: 1_000 }, (_, index) => index)
    assert.equal(diffDocuments(wide, wide.map(String)).length, 20)
    const [long] = diffDocuments('', 'x'.repeat(1_000))
    assert.equal(long?.after?.length, 203)
    const deep: unknown = JSON.parse(`${'['.repeat(30_000)}1${']'.repeat(30_000)}`)
    const other: unknown = JSON.parse(`${'['.repeat(30_000)}2${']'.repeat(30_000)}`)
    assert.equal(diffDocuments(deep, other)[0]?.after, '...')
  })
})
