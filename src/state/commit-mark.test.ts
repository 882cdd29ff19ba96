import assert from 'node:assert/strict'
import { it } from 'node:test'
import { commitMarkBytes, runningCommit, withCommitMark } from './commit-mark.ts'
import { createMemoryStateStore } from './memory-state-store.ts'
import type { StateStore } from './state-store.ts'

it('a mark tells the commit that runs, also when one before it failed', async () => {
  const shared = new SharedArrayBuffer(commitMarkBytes)
  const answers = [Promise.withResolvers<[]>(), Promise.withResolvers<[]>()] as const
  const asked = answers.map(({ promise }) => promise)
  const commit: StateStore['commit'] = async () => (await asked.shift()) ?? []
  const store = withCommitMark({ ...createMemoryStateStore(), commit }, shared)
  assert.equal(runningCommit(shared), undefined)
  const first = store.commit([])
  assert.equal(runningCommit(shared), 0)
  answers[0].reject(new Error('disk'))
  await assert.rejects(first, /disk/)
  assert.equal(runningCommit(shared), undefined)
  const second = store.commit([])
  assert.equal(runningCommit(shared), 1)
  answers[1].resolve([])
  await second
  assert.equal(runningCommit(shared), undefined)
})
