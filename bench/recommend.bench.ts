/**
 * The shipped recommender in process, on generated data: how fast it learns and answers, each of
 * its algorithms alone beside it, and what memory it takes. 3 million sessions of 500,000 items
 * with `--full`, a tenth of both without.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { BenchWorld } from './bench-world.ts'

const loadPath = fileURLToPath(new URL('recommend-load.ts', import.meta.url))
const fullSize = { sessions: 3_000_000, items: 500_000 }
const smallSize = { sessions: 300_000, items: 50_000 }

export async function benchRecommend(world: BenchWorld): Promise<void> {
  const { sessions, items } = world.settings.isFull ? fullSize : smallSize
  const child = spawn(
    process.execPath,
    // As the thread of the server has it: three halves of 16 MB are 48.
    ['--expose-gc', '--max-semi-space-size=16', loadPath, String(sessions), String(items)],
    { stdio: ['ignore', 'inherit', 'inherit'] },
  )
  const [code] = (await once(child, 'exit')) as [number | null]
  if (code !== 0) throw new Error(`the process of the recommend bench ended with ${code}`)
}
