/** Further workers of a demo: real processes beside the one that runs the demo. */

import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { processEnvironment } from '../config.ts'
import { variableOf } from '../lib/parse-config.ts'

export interface DemoWorkers {
  /** Ends them in order; resolves when they are gone. */
  stop(): Promise<void>
}

const entryPath = fileURLToPath(new URL('../main.ts', import.meta.url))

/** Starts `count` workers with these settings; their log lines go to stderr. */
export function startDemoWorkers(
  count: number,
  settings: Readonly<Record<string, string>>,
): DemoWorkers {
  const variables = Object.entries(settings).map(([name, value]) => [variableOf(name), value])
  const children = Array.from(
    { length: count },
    (): ChildProcess =>
      spawn(process.execPath, [entryPath, 'start', '--role', 'work', '--port', '0'], {
        stdio: ['ignore', 'ignore', 'inherit'],
        env: { ...processEnvironment(), ...Object.fromEntries(variables) },
      }),
  )
  const endWithUs = (): void => {
    for (const child of children) child.kill('SIGKILL')
  }
  process.once('exit', endWithUs)
  return {
    async stop() {
      await Promise.all(
        children.map(
          (child) =>
            new Promise<void>((resolve) => {
              if (child.exitCode !== null || child.signalCode !== null) return resolve()
              child.once('close', () => resolve())
              child.kill('SIGTERM')
            }),
        ),
      )
      process.off('exit', endWithUs)
    },
  }
}
