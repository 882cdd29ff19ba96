import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { catalog, type ErrorCode, isRetryable, OperatingError } from './errors.ts'

const codes = Object.keys(catalog) as ErrorCode[]

describe('operating errors', () => {
  it('carry code, retryability and remedy from the catalogue, and the cause', () => {
    for (const code of codes) {
      const cause = new Error('client')
      const error = new OperatingError(code, 'append to partition 3', cause)
      assert.equal(error.code, code)
      assert.equal(error.retryable, catalog[code].retryable)
      assert.equal(error.remedy, catalog[code].remedy)
      assert.equal(error.message, 'append to partition 3')
      assert.equal(error.cause, cause)
      assert.equal(isRetryable(error), catalog[code].retryable)
    }
  })

  it('have no cause where none is given', () => {
    assert.equal('cause' in new OperatingError('DISK_FULL', 'append'), false)
  })

  it('are the only ones that can be retried, and asking never throws', () => {
    const hostile = new Proxy(
      {},
      {
        get() {
          throw new Error('no')
        },
      },
    )
    const others = [undefined, null, 3, 'x', {}, new Error('x'), { retryable: true }, hostile]
    for (const other of others) assert.equal(isRetryable(other), false)
  })

  it('have a code in capitals and a remedy that is a sentence', () => {
    for (const code of codes) {
      assert.match(code, /^[A-Z]+(_[A-Z]+)*$/)
      assert.match(catalog[code].remedy, /^[A-Z`].*\.$/)
    }
  })
})
