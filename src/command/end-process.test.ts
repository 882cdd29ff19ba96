import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { systemClock } from '../lib/clock.ts'

const endMsMax = 60_000

it('ends with its code while a thread hangs in a call of the system', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'attune-end-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const fifo = join(folder, 'fifo')
  // Opening it for reading does not come back, since nobody writes.
  execFileSync('mkfifo', [fifo])
  const program = join(folder, 'program.mjs')
  await writeFile(
    program,
    `import { openSync } from 'node:fs'
import { Worker, isMainThread, parentPort } from 'node:worker_threads'
import { endProcess } from ${JSON.stringify(new URL('./end-process.ts', import.meta.url).href)}
if (isMainThread) {
  const worker = new Worker(new URL(import.meta.url))
  worker.on('message', () => endProcess(70))
} else {
  parentPort.postMessage('about to hang')
  openSync(${JSON.stringify(fifo)}, 'r')
}
`,
  )
  const child = spawn(process.execPath, [program], { stdio: ['ignore', 'ignore', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  const code = new Promise<number | null>((resolve) => child.on('exit', resolve))
  const tooLate = new AbortController()
  t.after(() => tooLate.abort())
  const late = systemClock.sleep(endMsMax, tooLate.signal).then((): 'late' => 'late')
  assert.equal(await Promise.race([code, late]), 70)
})
