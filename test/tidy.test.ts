/**
 * Runs the rules of `tidy-rules.ts` on the tree, and each on a made-up bad sample, so that the
 * guard itself is tested.
 */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type File, readTree, rules } from './tidy-rules.ts'

type RuleName = keyof typeof rules

/**
 * For each rule, files that break it and what it must say of them; the files with nothing to say
 * are good.
 */
const samples: Readonly<Record<RuleName, readonly (readonly [string, string, RegExp | null])[]>> = {
  'root and src hold only the entries listed here': [
    ['stuff/x.ts', '', /the root has no place/],
    ['src/utils/x.ts', '', /src\/utils is no part/],
    ['src/helper.ts', '', /is no part/],
    ['src/main-fold.ts', '', null],
    ['src/log/x.ts', '', null],
  ],
  'imports follow the ranking': [
    ['src/log/a.ts', "import { x } from '../campaign/x.ts'", /log is below campaign/],
    ['src/log/b.ts', "import type {\n  X,\n} from '../main.ts'", /b\.ts:3: log is below main/],
    ['src/api/c.ts', "import { x } from '../log/sqlite-event-log.ts'", /an adapter is imported/],
    ['src/api/d.ts', "const x = await import('../catcher/mail-catcher.ts')", /below catcher/],
    ['src/segment/e.ts', "import { hash } from 'node:crypto'", /runs without node/],
    ['src/campaign/f.ts', "import { DatabaseSync } from 'node:sqlite'", /has another place/],
    ['src/campaign/g.ts', "import 'nodemailer'", /has another place/],
    ['src/main.ts', "import { x } from './log/sqlite-event-log.ts'", null],
    ['src/log/sqlite-event-log.ts', "import { y } from './sqlite-file.ts'", null],
    ['src/log/sqlite-file.ts', "import { DatabaseSync } from 'node:sqlite'", null],
    ['src/api/c.test.ts', "import { x } from '../log/sqlite-event-log.ts'", null],
  ],
  'imports have no cycle': [
    ['src/log/a.ts', "import { b } from './b.ts'", /a\.ts -> src\/log\/b\.ts -> src\/log\/a\.ts/],
    ['src/log/b.ts', "import { a } from './a.ts'", null],
    ['src/log/c.ts', "import { a } from './a.ts'", null],
    ['src/log/d.ts', "new Worker(new URL('../main-d.ts', import.meta.url))", null],
    ['src/main-d.ts', "import { d } from './log/d.ts'", null],
  ],
  'banned text has a replacement': [
    ['src/log/a.ts', 'x\nconst now = Date.now()', /a\.ts:2: Date\.now\( is banned here, take deps/],
    ['src/log/b.ts', 'const at = new Date()', /new Date\(\)/],
    ['test/c.test.ts', 'setTimeout(go, 5)', /setTimeout\(/],
    ['src/log/d.ts', 'const id = randomUUID()', /randomUUID\(/],
    ['src/log/e.ts', 'const x = Math.random()', /Math\.random\(/],
    ['src/log/f.ts', "const x = process.env['X']", /process\.env is banned here, take an option/],
    ['src/log/g.ts', "console.log('x')", /console\./],
    ['src/log/h.ts', 'export default x', /export default/],
    ['src/log/i.ts', 'export const enum X {', /enum/],
    ['src/log/j.ts', 'const x = y as any', /as any/],
    ['src/log/k.ts', '// @ts-ignore', /@ts-ignore/],
    ['src/log/l.test.ts', "it.only('x', go)", /it\.only\(/],
    ['src/log/m.ts', '// TODO later', /TODO is banned here/],
    ['src/log/n.ts', '// tidy-ignore:', null],
    ['src/log/o.ts', 'const x = Date.now() // tidy-ignore:', /Date\.now/],
    ['src/log/p.ts', 'const x = Date.now() // tidy-ignore: why', null],
    ['src/log/q.ts', '// tidy-ignore: why\nsetTimeout(go, 5)', null],
    ['src/lib/clock.ts', 'Date.now()', null],
    ['src/log/r.ts', ' * Nobody calls Date.now() here.', null],
    ['src/command/s.ts', "console.log('x')", null],
    ['sdk/t.ts', 'setTimeout(go, 5)', null],
    ['examples/browser/u.js', 'Date.now()', null],
    ['examples/shop/v.ts', 'Date.now()', /examples\/shop\/v\.ts:1: Date\.now/],
  ],
  'JSON is parsed only in parsers': [
    [
      'src/log/a.ts',
      'function show(x: string) {\n  return JSON.parse(x)\n}',
      /a\.ts:2: JSON\.parse\(/,
    ],
    ['src/log/b.ts', 'function parseRule(x: string) {\n  return JSON.parse(x)\n}', null],
    ['src/log/c.test.ts', 'JSON.parse(x)', null],
  ],
  'files have at most 400 lines of at most 100 columns': [
    ['src/log/a.ts', 'x\n'.repeat(401), /401 lines; split it/],
    ['src/log/b.ts', 'x'.repeat(101), /b\.ts:1: over 100 columns/],
    ['src/log/c.ts', `${'x\n'.repeat(399)}${'x'.repeat(100)}\n`, null],
    ['src/log/d.ts', `// https://a.example/${'x'.repeat(100)}`, null],
  ],
  'each port has a contract, and each adapter a test that calls it': [
    [
      'src/log/a.ts',
      '/**\n * Contract, checked for every adapter by `x`:\n */',
      /write its promises/,
    ],
    ['src/log/b.ts', '/**\n * Contract, checked for every adapter by `x`:\n */', null],
    ['src/log/b.contract.ts', '', null],
    ['src/log/redis-b.ts', '', /redis-b\.ts: call src\/log\/b\.contract\.ts/],
    ['src/log/memory-b.ts', '', null],
    ['src/log/memory-b.test.ts', "import { x } from './b.contract.ts'", null],
    ['src/log/kafka-b.ts', '', null],
    ['src/log/kafka-b.kafka-test.ts', "import { x } from './b.contract.ts'", null],
  ],
  'each file of src is used': [
    ['src/log/a.ts', '', /nothing but its own test imports it/],
    ['src/log/a.test.ts', "import { a } from './a.ts'", null],
    ['src/log/memory-b.ts', '', null],
    ['src/log/memory-b.test.ts', "import { b } from './memory-b.ts'", null],
    ['src/log/c.ts', '', null],
    [
      'src/main.ts',
      "new Worker(new URL('./main-fold.ts', import.meta.url))\nimport './log/c.ts'",
      null,
    ],
    ['src/main-fold.ts', '', null],
  ],
  'each error code, metric and option is used and in docs/reference': [
    [
      'src/log/a.ts',
      "throw new OperatingError('DISK_FULL', 'x')",
      /^STORE_IO: nothing in src uses it/,
    ],
    ['docs/reference/errors.md', '`DISK_FULL`', /^STORE_IO: not in docs\/reference/],
    ['src/lib/errors.ts', "'STORE_IO'", /^attune_log_queue_bytes: nothing in src/],
    ['src/log/a.test.ts', "'STORE_CORRUPT'", /^server\.port: nothing in src/],
  ],
  'words are those of the glossary': [
    ['src/delivery/a.ts', 'const blackList = 1', /a\.ts:1: blackList: say suppression/],
    ['src/delivery/b.ts', 'const x = isWhitelisted(y)', /say what it allows/],
    ['src/delivery/c.ts', 'readonly subscriberId: string', /say profileId/],
    ['src/log/d.ts', 'readonly messageId: string', /say eventId/],
    ['src/log/e.ts', 'const highWatermark = 5', /it is only a bound on event time/],
    ['src/process/f.ts', 'readonly messageId: string', null],
    ['src/log/g.ts', 'const watermarkMs = 5', null],
  ],
  'each Markdown file has one title and links that resolve': [
    ['docs/a.md', 'no title', /a\.md: has 0 titles/],
    ['docs/b.md', '# One\n\n# Two', /b\.md: has 2 titles/],
    ['docs/c.md', '# One\n\n[x](../src/nowhere.ts)', /c\.md: \.\.\/src\/nowhere\.ts is not there/],
    [
      'docs/d.md',
      '# One\n\n```sh\n# no title\n```\n[x](../LICENSE#a) [y](https://a.example)',
      null,
    ],
  ],
  'source is ASCII': [
    ['src/log/a.ts', "const x = '\u00fc'", /a\.ts:1: not ASCII/],
    ['src/log/b.test.ts', "const x = '\u00fc'", null],
    ['test/fixtures/c.json', '"\u00fc"', null],
  ],
}

const names = Object.keys(rules) as readonly RuleName[]

describe('the tree', () => {
  const tree = readTree()

  for (const name of names) {
    it(`keeps to: ${name}`, () => {
      const faults = rules[name](tree)
      assert.equal(faults.length, 0, `\n${faults.join('\n')}`)
    })
  }
})

describe('the guard', () => {
  for (const name of names) {
    it(`finds what breaks: ${name}`, () => {
      const files: readonly File[] = samples[name].map(([path, text]) => ({ path, text }))
      const faults = rules[name](files)
      const expected = samples[name].flatMap(([, , says]) => (says === null ? [] : [says]))
      assert.ok(expected.length > 0, 'a rule has a sample that breaks it')
      for (const says of expected) {
        const found = faults.some((fault) => says.test(fault))
        assert.ok(found, `nothing says ${says} in:\n${faults.join('\n')}`)
      }
      for (const [path, , says] of samples[name]) {
        const isBlamed = faults.some((fault) => fault.startsWith(`${path}:`))
        assert.ok(says !== null || !isBlamed, `${path} is good, and blamed:\n${faults.join('\n')}`)
      }
    })
  }
})
