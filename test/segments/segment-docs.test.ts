/** The pages about segments say what the parser takes. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { parse as parseYaml } from 'yaml'
import { parseRule } from '../../src/segment/parse-rule.ts'

const page = (path: string): string =>
  readFileSync(new URL(`../../docs/${path}`, import.meta.url), 'utf8')

describe('the pages about segments', () => {
  it('have examples that are rules', () => {
    const examples = [...page('guide/segments.md').matchAll(/```yaml\n([\s\S]*?)```/g)]
    assert.ok(examples.length >= 2)
    for (const [, text = ''] of examples) {
      const content = parseYaml(text) as { readonly rule?: unknown }
      const parsed = parseRule(content.rule ?? content)
      assert.equal(parsed.kind, 'rule', JSON.stringify(parsed))
    }
  })

  it('name every form and every test', () => {
    const reference = page('reference/segment-rules.md')
    const faultsOf = (rule: unknown): string => {
      const parsed = parseRule(rule)
      return parsed.kind === 'refused' ? (parsed.faults[0]?.says ?? '') : ''
    }
    const listed = [faultsOf({}), faultsOf({ trait: 't', none: 1 })].flatMap((says) =>
      (/(?:exactly one of|is tested by) (.*)$/.exec(says)?.[1] ?? '').split(', '),
    )
    assert.ok(listed.length > 15, `${listed.length} names`)
    for (const name of listed) assert.match(reference, new RegExp(`\`\\{?${name}\\b`), name)
  })
})
