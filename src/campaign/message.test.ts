import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  applyResult,
  attemptCountMax,
  type MessageState,
  type MessageStateKind,
  partitionOfMessage,
  type ResultKind,
  type ResultSkeleton,
  resultKinds,
  retryWaitMs,
} from './message.ts'

const states: Readonly<Record<MessageStateKind, MessageState>> = {
  due: { kind: 'due', attempt: 0 },
  granted: { kind: 'granted', attempt: 1, epoch: 1, atMs: 1 },
  deferred: { kind: 'deferred', attempt: 1, retryAtMs: 9, says: '' },
  accepted: { kind: 'accepted', attempt: 1, atMs: 1, says: '' },
  failed: { kind: 'failed', attempt: 1, atMs: 1, says: '' },
  unknown: { kind: 'unknown', attempt: 1, atMs: 1, says: '' },
  refused: { kind: 'refused', attempt: 1, atMs: 1, reason: 'exit' },
}

/** What each result makes of each state; a state that is not named stays. */
const expected: Partial<Record<MessageStateKind, Readonly<Record<ResultKind, MessageStateKind>>>> =
  {
    granted: {
      accepted: 'accepted',
      deferred: 'deferred',
      failed: 'failed',
      unknown: 'unknown',
      refused: 'refused',
    },
    unknown: {
      accepted: 'accepted',
      deferred: 'deferred',
      failed: 'failed',
      unknown: 'unknown',
      refused: 'refused',
    },
  }

function aResult(given: Partial<ResultSkeleton>): ResultSkeleton {
  return { messageId: '00-x', attempt: 1, result: 'accepted', says: 'ok', ...given }
}

describe('a result', () => {
  for (const [kind, state] of Object.entries(states) as [MessageStateKind, MessageState][]) {
    for (const result of resultKinds) {
      const after = expected[kind]?.[result] ?? kind
      it(`${result} turns ${kind} into ${after}`, () => {
        assert.equal(applyResult(state, aResult({ result }), 5).kind, after)
      })
    }
  }

  it('of another attempt has no effect', () => {
    assert.equal(applyResult(states.granted, aResult({ attempt: 2 }), 5), states.granted)
  })

  it('that defers the last attempt fails the message', () => {
    const last: MessageState = { kind: 'granted', attempt: attemptCountMax, epoch: 1, atMs: 1 }
    const result = aResult({ result: 'deferred', attempt: attemptCountMax })
    assert.equal(applyResult(last, result, 5).kind, 'failed')
  })

  it('lets the waits between attempts grow to four hours', () => {
    assert.deepEqual([1, 2, 3, 9].map(retryWaitMs), [60_000, 120_000, 240_000, 14_400_000])
  })
})

describe('a message id', () => {
  it('tells its partition, and nothing else is taken for one', () => {
    assert.equal(partitionOfMessage(`1r-${'a'.repeat(22)}`), 63)
    for (const bad of [
      '',
      'preview',
      '1r-short',
      `../-${'a'.repeat(22)}`,
      `1r.${'a'.repeat(22)}`,
    ]) {
      assert.equal(partitionOfMessage(bad), undefined)
    }
  })
})
