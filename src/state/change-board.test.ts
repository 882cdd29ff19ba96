import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { changeBoardBytes, createChangeBoard, withChangeBoard } from './change-board.ts'
import { createMemoryStateStore } from './memory-state-store.ts'
import { aCommit } from './state-store.contract.ts'

const value = new Uint8Array([1])

function openBoard() {
  const shared = new SharedArrayBuffer(changeBoardBytes)
  const board = createChangeBoard(shared)
  const store = createMemoryStateStore()
  return { board, store, noted: withChangeBoard(store, board, ['person/']), shared }
}

describe('the board of changes', () => {
  it('moves the counts of changed and deleted keys in every thread, and of no others', async () => {
    const { board, noted, shared } = openBoard()
    const keys = ['person/a', 'person/b', 'person/c', 'item/a']
    const other = createChangeBoard(shared)
    const before = keys.map((key) => other.countOf(key))
    await noted.acquire(0, 1, 'n1')
    const changes = [
      { key: 'person/a', value },
      { key: 'item/a', value },
      { key: 'person/b', value: undefined },
    ]
    assert.deepEqual(await noted.commit([aCommit({ changes })]), ['committed'])
    const moved = keys.filter((key, index) => board.countOf(key) !== before[index])
    assert.deepEqual(moved, ['person/a', 'person/b'])
  })

  it('moves them behind the commit and before its answer', async () => {
    const { board, store } = openBoard()
    const seen: string[] = []
    const look = (name: string): void => void seen.push(`${name} ${board.countOf('person/a')}`)
    const slow = {
      ...store,
      async commit(commits: Parameters<typeof store.commit>[0]) {
        look('commit')
        const answers = await store.commit(commits)
        look('committed')
        return answers
      },
    }
    const noted = withChangeBoard(slow, board, ['person/'])
    await noted.acquire(0, 1, 'n1')
    await noted.commit([aCommit({ changes: [{ key: 'person/a', value }] })])
    look('answered')
    assert.deepEqual(seen, ['commit 0', 'committed 0', 'answered 1'])
  })

  it('moves them also where the store does not say whether it took the commit', async () => {
    const { board, store } = openBoard()
    const broken = { ...store, commit: () => Promise.reject(new Error('gone')) }
    const noted = withChangeBoard(broken, board, ['person/'])
    const commit = aCommit({ changes: [{ key: 'person/a', value }] })
    await assert.rejects(noted.commit([commit]), /gone/)
    assert.equal(board.countOf('person/a'), 1)
  })
})
