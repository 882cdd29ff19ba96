/**
 * The shipped recommender in process, on generated data: how fast it learns and answers, and what
 * memory it takes; then the same of what all algorithms share, and of each algorithm alone, each in
 * a process of its own. 3 million sessions of 500,000 items with `--full`, a tenth of both without.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { algorithmNames } from '../src/recommend/algorithm-names.ts'
import type { BenchWorld } from './bench-world.ts'

const loadPath = fileURLToPath(new URL('recommend-load.ts', import.meta.url))
const fullSize = { sessions: 3_000_000, items: 500_000 }
const smallSize = { sessions: 300_000, items: 50_000 }

export async function benchRecommend(world: BenchWorld): Promise<void> {
  const { sessions, items } = world.settings.isFull ? fullSize : smallSize
  await load(sessions, items)
  for (const name of ['shared', ...algorithmNames]) await load(sessions, items, name)
}

async function load(sessions: number, items: number, ...only: readonly string[]): Promise<void> {
  const child = spawn(
    process.execPath,
    // As the thread of the server has it: three halves of 16 MB are 48.
    [
      ...['--expose-gc', '--max-semi-space-size=16', loadPath],
      ...[String(sessions), String(items), ...only],
    ],
    { stdio: ['ignore', 'inherit', 'inherit'] },
  )
  const [code] = (await once(child, 'exit')) as [number | null]
  if (code !== 0) throw new Error(`the process of the recommend bench ended with ${code}`)
}
