import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'

/** Keeps what it loads after that, here and in a thread, and says what became of it. */
const program = `
  const { keepCompiled } = await import('./src/lib/compile-cache.ts')
  const { getCompileCacheDir } = await import('node:module')
  const { Worker } = await import('node:worker_threads')
  const isKept = keepCompiled(process.env, process.argv[1])
  await import('./src/lib/json.ts')
  const inThread = "const { getBuiltinModule: get } = process; " +
    "get('node:worker_threads').parentPort.postMessage(" +
    "get('node:module').getCompileCacheDir() ?? 'none')"
  const worker = new Worker(inThread, { eval: true })
  worker.once('message', (ofThread) => {
    process.stdout.write(
      JSON.stringify({ isKept, own: getCompileCacheDir() ?? 'none', ofThread }))
  })`

interface Said {
  readonly isKept: boolean
  readonly own: string
  readonly ofThread: string
}

describe('keepCompiled', () => {
  let folder = ''

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'attune-compile-cache-'))
  })

  after(() => {
    rmSync(folder, { recursive: true })
  })

  it('keeps modules in its folder, for threads too', () => {
    const cache = join(folder, 'deep', 'cache')
    const said = run(cache)
    assert.equal(said.isKept, true)
    assert.ok(said.own.startsWith(cache), said.own)
    assert.equal(said.ofThread, said.own)
    assert.notEqual(readdirSync(said.own).length, 0)
  })

  it('goes on without it where the folder cannot be made', () => {
    const file = join(folder, 'file')
    writeFileSync(file, '')
    const none = { isKept: false, own: 'none', ofThread: 'none' }
    assert.deepEqual(run(join(file, 'cache')), none)
  })

  it('takes the folder that the environment names, or none', () => {
    const named = join(folder, 'named')
    assert.ok(run(join(folder, 'other'), { NODE_COMPILE_CACHE: named }).own.startsWith(named))
    const said = run(join(folder, 'other'), { NODE_DISABLE_COMPILE_CACHE: '1' })
    assert.deepEqual(said, { isKept: false, own: 'none', ofThread: 'none' })
  })
})

function run(folder: string, environment: Readonly<Record<string, string>> = {}): Said {
  const { NODE_COMPILE_CACHE: _, NODE_DISABLE_COMPILE_CACHE: __, ...rest } = process.env
  const flags = ['--input-type=module', '--eval', program, folder]
  const { stdout, stderr } = spawnSync(process.execPath, flags, {
    env: { ...rest, ...environment },
    encoding: 'utf8',
  })
  assert.notEqual(stdout, '', stderr)
  return JSON.parse(stdout) as Said
}
