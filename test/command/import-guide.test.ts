/** The guide of imports: its samples are written and its commands run, in their order. */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { openImportWorld, runImport } from './import-harness.ts'

const guidePath = fileURLToPath(new URL('../../docs/guide/import.md', import.meta.url))

interface Block {
  readonly language: string
  /** A file name, or `run`. */
  readonly word: string
  readonly text: string
}

function blocksOf(markdown: string): readonly Block[] {
  return [...markdown.matchAll(/^```(\w+) ?(\S*)\n([\s\S]*?)^```$/gm)].map((match) => ({
    language: match[1] ?? '',
    word: match[2] ?? '',
    text: match[3] ?? '',
  }))
}

describe('the guide of imports', () => {
  it('shows what its commands print', async () => {
    const world = await openImportWorld('guide')
    const blocks = blocksOf(readFileSync(guidePath, 'utf8'))
    let runCount = 0
    for (const [index, block] of blocks.entries()) {
      if (block.word === '') continue
      if (block.word !== 'run') {
        await writeFile(world.path(block.word), block.text)
        continue
      }
      const printed: string[] = []
      for (const line of block.text.trim().split('\n')) {
        const [program = '', ...words] = line.split(' ')
        if (program !== 'attune') {
          execFileSync(program, words, { cwd: world.folder })
          continue
        }
        assert.equal(words[0], 'import')
        const { stdout, stderr, code } = await runImport(words.slice(1), { cwd: world.folder })
        assert.notEqual(code, 2, stderr)
        printed.push(stdout)
      }
      const expected = blocks[index + 1]
      assert.equal(expected?.language, 'text', `what is printed stands behind ${block.text}`)
      assert.equal(printed.join(''), expected.text)
      runCount++
    }
    assert.ok(runCount >= 6, `${runCount} samples were run`)
    await world.close()
  })
})
