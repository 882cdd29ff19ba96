#!/usr/bin/env node
// Starts Attune under any Node from 18 on. Attune itself needs Node 24: under an older one this
// starts the Node 24 of the package's own dependency, with the same parameters, input and output,
// and hands signals on to it.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'

const nodeMajorMin = 24
const main = new URL('../src/main.ts', import.meta.url)
const ownNode = fileURLToPath(new URL('../node_modules/node/bin/node', import.meta.url))

if (Number(process.versions.node.split('.')[0]) >= nodeMajorMin) {
  // main.ts tells by the second word of argv that it is the program.
  process.argv[1] = fileURLToPath(main)
  await import(main.href)
} else if (existsSync(ownNode)) {
  startOwnNode()
} else {
  console.error(
    `Attune needs Node ${nodeMajorMin} or newer; this is ${process.versions.node}. ` +
      `Install Node ${nodeMajorMin}, ` +
      'or run `npm ci` in the folder of Attune, which brings one.',
  )
  process.exitCode = 1
}

function startOwnNode() {
  // A limit of memory for what the main thread makes and drops at once, as in package.json.
  const flags = ['--max-semi-space-size=16', ...process.execArgv]
  const parameters = [...flags, fileURLToPath(main), ...process.argv.slice(2)]
  const child = spawn(ownNode, parameters, { stdio: 'inherit' })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2']) {
    process.on(signal, () => child.kill(signal))
  }
  child.on('error', (error) => {
    console.error(`Cannot start ${ownNode}: ${error.message}`)
    process.exitCode = 1
  })
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? 128 + (signal === null ? 1 : constants.signals[signal])
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2']) process.removeAllListeners(name)
  })
}
