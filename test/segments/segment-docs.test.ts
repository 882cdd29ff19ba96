/** The pages about segments say what the parser takes. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { parse as parseYaml } from 'yaml'
import { explanationLines } from '../../src/command/segment.ts'
import { addActivity, createPerson } from '../../src/profile/person.ts'
import { viewPerson } from '../../src/profile/view-person.ts'
import { explainRule } from '../../src/segment/explain.ts'
import { Facts } from '../../src/segment/facts.ts'
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

  it('explain a membership as the program does', () => {
    const guide = page('guide/segments.md')
    const [, example = ''] = /```\nattune segment explain .*\n([\s\S]*?)```/.exec(guide) ?? []
    const added = { event: 'Product Added', count: { atLeast: 1 }, within: '30d' }
    const parsed = parseRule({ all: [added, { not: { list: 'staff' } }] })
    assert.ok(parsed.kind === 'rule')
    const [since, at] = ['2026-11-26T10:00:00.000Z', '2026-11-26T10:05:00.000Z']
    const person = createPerson('user:ada', 0)
    const [part] = person.parts
    assert.ok(part)
    addActivity(person, part, [
      { name: 'Product Added', occurredAtMs: Date.parse(since), eventRef: 1 },
    ])
    const facts = new Facts(viewPerson(person, {}), () => false)
    const rule = explainRule(parsed.rule, facts, Date.parse(at))
    const answer = { segment: 'good', person: 'user:ada', isMember: true, since, at, rule }
    const paint = (_color: unknown, text: string): string => text
    const lines = explanationLines({ ...answer, isPending: false }, { paint })
    assert.deepEqual(example.trimEnd().split('\n'), lines)
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
