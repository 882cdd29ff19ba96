import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { openMainThreadLoad, parseThreadLoad } from './thread-load.ts'
import { ownThreadId } from './thread-niceness.ts'

const deadlineMs = 60_000

/** A kernel may have been built without these counts. */
function isTold(): boolean {
  try {
    const text = readFileSync(`/proc/${process.pid}/task/${process.pid}/schedstat`, 'utf8')
    return ownThreadId() !== undefined && text !== ''
  } catch {
    return false
  }
}

describe('the load of the main thread', () => {
  it('grows by what the thread runs', (t) => {
    if (!isTold()) return t.skip('the system does not tell how long a thread ran')
    const load = openMainThreadLoad()
    const before = load.read()
    assert(before !== undefined)
    const startedAtMs = performance.now()
    let ranMs = 0
    while (ranMs < 50 && performance.now() - startedAtMs < deadlineMs) {
      ranMs = (load.read()?.ranMs ?? 0) - before.ranMs
    }
    assert(ranMs >= 50, 'a loop that runs is seen to run')
    assert(ranMs <= performance.now() - startedAtMs + 50, 'it does not run longer than it takes')
    assert((load.read()?.waitedMs ?? -1) >= before.waitedMs)
    load.close()
  })

  it('is read from three numbers alone', () => {
    assert.deepEqual(parseThreadLoad('38480000 953331 2\n'), { ranMs: 38.48, waitedMs: 0.953331 })
    for (const text of ['', '0', '1 2', '1 -2 3', '1 2 3 4', 'ran 1 2']) {
      assert.equal(parseThreadLoad(text), undefined, text)
    }
  })
})
