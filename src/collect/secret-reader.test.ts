import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import type { Logger } from '../lib/logger.ts'
import { silentLogger } from '../lib/logger.ts'
import { createSecretReader, type SecretReader } from './secret-reader.ts'

interface Stage {
  readonly file: string
  readonly reader: SecretReader
  readonly warnings: Record<string, unknown>[]
  readonly environment: Record<string, string>
  nowMs: number
}

async function openStage(t: TestContext): Promise<Stage> {
  const folder = await mkdtemp(join(tmpdir(), 'attune-secret-'))
  t.after(() => rm(folder, { recursive: true }))
  const warnings: Record<string, unknown>[] = []
  const logger: Logger = { ...silentLogger, warn: (fields) => warnings.push(fields) }
  const environment: Record<string, string> = {}
  const stage = { file: join(folder, 'secret'), warnings, environment, nowMs: 0 }
  const clock = {
    nowMs: () => stage.nowMs,
    monotonicMs: () => stage.nowMs,
    sleep: () => Promise.resolve(),
  }
  const reader = createSecretReader({ clock, logger, environment })
  return Object.assign(stage, { reader })
}

describe('a secret', () => {
  it('is read from its file, and again after half a minute', async (t) => {
    const stage = await openStage(t)
    const ref = { kind: 'file', file: stage.file } as const
    await writeFile(stage.file, 'first-secret\n')
    assert.deepEqual(await stage.reader.read(ref), ['first-secret'])
    await writeFile(stage.file, 'second secret\r\nfirst-secret\n')
    stage.nowMs += 29_999
    assert.deepEqual(await stage.reader.read(ref), ['first-secret'])
    stage.nowMs += 1
    assert.deepEqual(await stage.reader.read(ref), ['second secret', 'first-secret'])
  })

  it('is read from a variable, by its own name and no other', async (t) => {
    const stage = await openStage(t)
    stage.environment['SHOP_SECRET'] = 'from-variable'
    const read = (variable: string) => stage.reader.read({ kind: 'variable', variable })
    assert.deepEqual(await read('SHOP_SECRET'), ['from-variable'])
    assert.deepEqual(await read('OTHER_SECRET'), [])
  })

  for (const [what, text, says] of [
    ['is not there', undefined, 'cannot be read (ENOENT)'],
    ['is empty', '\n\n', 'is empty'],
    ['is short', 'hunter2\n', 'holds a secret of under 8 characters'],
    ['is one of many', 'secret-1\n'.repeat(6), 'holds over 5 secrets'],
    ['is a book', 'x'.repeat(8_193), 'has over 8192 characters'],
  ] as const) {
    it(`that ${what} is none, and a warning does not show it`, async (t) => {
      const stage = await openStage(t)
      if (text !== undefined) await writeFile(stage.file, text)
      assert.deepEqual(await stage.reader.read({ kind: 'file', file: stage.file }), [])
      assert.deepEqual(stage.warnings, [{ file: stage.file, says }])
    })
  }
})
