import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { OperatingError } from '../lib/errors.ts'
import { type Logger, silentLogger } from '../lib/logger.ts'
import { tellStopped } from './tell-stopped.ts'

/** Returns the line that is logged of a partition that stopped for this. */
function lineOf(cause: unknown): Readonly<Record<string, unknown>> {
  const lines: Record<string, unknown>[] = []
  const logger: Logger = { ...silentLogger, error: (fields) => lines.push(fields) }
  const told = tellStopped(logger, 3, { offset: 8, cause })
  const [line = {}] = lines
  assert.deepEqual(told, { offset: 8, says: line['cause'] })
  assert.deepEqual([line['code'], line['partition'], line['offset']], ['FOLD_POISONED', 3, 8])
  return line
}

describe('what is said of a stopped partition', () => {
  it('is to skip a record that cannot be folded', () => {
    assert.match(String(lineOf(new Error('no such kind'))['remedy']), /attune skip/)
    assert.equal(lineOf('text')['cause'], 'text')
  })

  it('is to bring back what the record needs, and never to skip it', () => {
    const line = lineOf(new OperatingError('BLOB_MISSING', 'read definitions d'))
    assert.equal(line['cause'], 'read definitions d')
    assert.match(String(line['remedy']), /folder of the definitions/)
    assert.doesNotMatch(String(line['remedy']), /skip/)
  })
})
