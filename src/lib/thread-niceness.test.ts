import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { getPriority } from 'node:os'
import { it } from 'node:test'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { lowerOwnPriority, ownThreadId } from './thread-niceness.ts'

const isLinux = process.platform === 'linux'
const niceness = 3

interface Told {
  readonly isLowered: boolean
  readonly before: number
  readonly after: number
}

if (isMainThread) {
  it('lowers the priority of the thread that asks, and of no other', async () => {
    const main = getPriority()
    const { isLowered, before, after } = await askWorker(niceness)
    assert.equal(isLowered, isLinux)
    assert.equal(after - before, isLinux ? Math.min(niceness, 19 - before) : 0)
    assert.equal(getPriority(), main)
  })

  it('does nothing where a thread is not to give way', async () => {
    const { isLowered, before, after } = await askWorker(0)
    assert.equal(isLowered, false)
    assert.equal(after, before)
  })

  it('lowers the priority of the helpers of V8, and of no other', {
    skip: isLinux ? false : 'Linux alone has it',
  }, () => {
    const module = new URL('./thread-niceness.ts', import.meta.url)
    const program = `
      const { lowerHelperPriority } = await import('${module}')
      const { readdirSync, readFileSync } = await import('node:fs')
      const { getPriority } = await import('node:os')
      const look = () => Object.fromEntries(readdirSync('/proc/self/task').map((thread) => [
        thread, [readFileSync('/proc/self/task/' + thread + '/comm', 'utf8').trim(),
        getPriority(Number(thread))]]))
      const before = look()
      const count = lowerHelperPriority(${niceness})
      process.stdout.write(JSON.stringify({ before, count, after: look() }))`
    const run = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
      encoding: 'utf8',
    })
    type Look = Readonly<Record<string, readonly [name: string, priority: number]>>
    const told = JSON.parse(run.stdout) as { before: Look; count: number; after: Look }
    const { before, count, after } = told
    const lowered = Object.entries(after).filter(([, [name]]) => name === 'V8Worker')
    assert.ok(count > 0, 'Node has helpers')
    assert.equal(count, lowered.length)
    for (const [thread, [name, priority]] of Object.entries(after)) {
      const [, earlier = priority] = before[thread] ?? []
      const more = name === 'V8Worker' ? Math.min(niceness, 19 - earlier) : 0
      assert.equal(priority - earlier, more, name)
    }
  })
} else {
  const thread = ownThreadId()
  const before = getPriority(thread)
  const isLowered = lowerOwnPriority(workerData as number)
  const told: Told = { isLowered, before, after: getPriority(thread) }
  parentPort?.postMessage(told)
}

async function askWorker(asked: number): Promise<Told> {
  const worker = new Worker(new URL(import.meta.url), { workerData: asked })
  const [told] = (await once(worker, 'message')) as [Told]
  await worker.terminate()
  return told
}
