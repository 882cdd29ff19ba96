import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { it } from 'node:test'
import { fileURLToPath } from 'node:url'

/**
 * Holds some MB, makes much that lives for a while beside it, and prints how large the heap was on
 * average, in bytes.
 */
const program = `
  const { setImmediate: nextTurn } = require('node:timers/promises')
  const { getHeapStatistics } = require('node:v8')
  const make = (count) => Array.from({ length: count }, (_, at) => [at, { at }])
  const turnCount = 1000
  async function run() {
    const held = make(200_000)
    gc()
    let bytes = 0
    for (let turn = 0; turn < turnCount; turn++) {
      held[turn % 10] = make(3000)
      await nextTurn()
      bytes += getHeapStatistics().used_heap_size / turnCount
    }
    process.stdout.write(String(bytes))
  }
  run()
`

it('has less garbage than V8 leaves by itself', () => {
  const path = fileURLToPath(new URL('./heap-growth.ts', import.meta.url))
  const byItself = meanOf(program)
  const little = meanOf(`require('${path}').growHeapsLittle(20);${program}`)
  assert.ok(little < 0.75 * byItself, `${little} of ${byItself} bytes`)
})

function meanOf(script: string): number {
  const flags = ['--max-semi-space-size=2', '--expose-gc', '--input-type=commonjs']
  return Number(execFileSync(process.execPath, [...flags, '-e', script], { encoding: 'utf8' }))
}
