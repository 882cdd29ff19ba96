import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { it } from 'node:test'
import { fileURLToPath } from 'node:url'

const path = fileURLToPath(new URL('./heap-flags.ts', import.meta.url))

/**
 * Holds some MB, makes much that lives for a while beside it, and prints how large the heap was on
 * average, in bytes.
 */
const growthProgram = `
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

/**
 * Lets all that one function makes live long, then drops what it makes at once, 160 MB of it, and
 * prints by how much the old generation grew, in bytes.
 */
const youngProgram = `
  const { getHeapSpaceStatistics } = require('node:v8')
  const isOld = ({ space_name }) => space_name === 'old_space'
  const oldBytes = () => getHeapSpaceStatistics().find(isOld).space_used_size
  const make = (at) => [at, { at, next: [at] }]
  let held = []
  for (let at = 0; at < 8_000_000; at++) {
    held.push(make(at))
    if (held.length > 400_000) held = []
  }
  held = []
  let bytes = 0
  let before = oldBytes()
  for (let turn = 0; turn < 1000; turn++) {
    for (let at = 0; at < 1000; at++) held[at % 10] = make(at)
    const now = oldBytes()
    bytes += Math.max(0, now - before)
    before = now
  }
  process.stdout.write(String(bytes))
`
const youngBytesMax = 8_000_000

it('has less garbage than V8 leaves by itself', () => {
  const byItself = numberOf(growthProgram)
  const little = numberOf(`require('${path}').growHeapsLittle(20);${growthProgram}`)
  assert.ok(little < 0.75 * byItself, `${little} of ${byItself} bytes`)
})

// By itself V8 makes 28 to 160 MB of it old, another share in each run.
it('makes what is dropped at once young, whatever lived long before', () => {
  const bytes = numberOf(`require('${path}').makeObjectsYoung();${youngProgram}`)
  assert.ok(bytes < youngBytesMax, `${bytes} bytes`)
})

/**
 * Prints how large the young generation of a thread became that was allowed 48 MB, a third of which
 * is allocated at a time, in bytes.
 */
const threadProgram = `
  const { Worker } = require('node:worker_threads')
  const churn = \`
    const { getHeapSpaceStatistics } = require('node:v8')
    const isNew = ({ space_name }) => space_name === 'new_space'
    let held = []
    let bytes = 0
    for (let at = 0; at < 3_000_000; at++) {
      held.push([at, { at }])
      if (held.length > 200_000) held = []
      if (at % 1000 > 0) continue
      bytes = Math.max(bytes, getHeapSpaceStatistics().find(isNew).space_used_size)
    }
    process.stdout.write(String(bytes))
  \`
  new Worker(churn, { eval: true, resourceLimits: { maxYoungGenerationSizeMb: 48 } })
`

// The flag of the process allows 2 MB of young objects, and Node itself has some more.
it('lets threads have young generations of their own size', () => {
  const ofFlag = numberOf(threadProgram)
  const heeded = numberOf(`require('${path}').heedThreadLimits();${threadProgram}`)
  assert.ok(ofFlag < 8_000_000 && heeded > 12_000_000, `${ofFlag} and ${heeded} bytes`)
})

/**
 * Makes much of which little lives, and prints the CPU time that V8's helpers took, in ns. More
 * that lives would become old, and be marked by helpers.
 */
const helperProgram = `
  const { readdirSync, readFileSync } = require('node:fs')
  const folder = '/proc/self/task/'
  const read = (id, name) => readFileSync(folder + id + '/' + name, 'utf8')
  let held = []
  for (let at = 0; at < 8_000_000; at++) {
    held.push([at, { at, next: [at] }])
    if (held.length > 3_000) held = []
  }
  const helpers = readdirSync(folder).filter((id) => read(id, 'comm').trim() === 'V8Worker')
  const times = helpers.map((id) => Number(read(id, 'schedstat').split(' ')[0]))
  process.stdout.write(String(times.reduce((sum, each) => sum + each, 0)))
`

// 90 to 100 ms by itself, 5 alone.
it('collects what is young without helpers', {
  skip: process.platform === 'linux' ? false : 'only Linux tells the time of a thread',
}, () => {
  const byItself = numberOf(helperProgram)
  const alone = numberOf(`require('${path}').collectYoungAlone();${helperProgram}`)
  assert.ok(alone < 0.4 * byItself, `${alone} of ${byItself} ns`)
})

function numberOf(script: string): number {
  const flags = ['--max-semi-space-size=2', '--expose-gc', '--input-type=commonjs']
  return Number(execFileSync(process.execPath, [...flags, '-e', script], { encoding: 'utf8' }))
}
