import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { type DocumentAnswer, parseDefinitionFiles } from './definition-files.ts'
import { findingKinds } from './finding.ts'

const source = 'name: web\nwriteKeys: [wk_12345678]\n'

function parse(plan: string, schemas: Readonly<Record<string, unknown>>): Promise<DocumentAnswer> {
  const files = new Map([['sources/web.yaml', `${source}trackingPlan: ${plan}\n`]])
  for (const [name, schema] of Object.entries(schemas)) {
    files.set(`schemas/${name}.json`, JSON.stringify(schema))
  }
  return parseDefinitionFiles(files)
}

describe('parseDefinitionFiles', () => {
  it('puts schemas in place of their files, of each version too', async () => {
    const versions = '{1: removed, 2: {schema: schemas/a.json}, 3: {schema: schemas/b.json}}'
    const plan = `{events: {A: {versions: ${versions}}, B: {mode: strict, schema: schemas/a.json}}}`
    const answer = await parse(plan, { a: { required: ['a'] }, b: { required: ['b'] } })
    assert.deepEqual(answer.kind === 'document' ? answer.document.sources : answer.faults, [
      {
        name: 'web',
        writeKeys: ['wk_12345678'],
        trackingPlan: {
          events: {
            A: {
              versions: {
                1: 'removed',
                2: { schema: { required: ['a'] } },
                3: { schema: { required: ['b'] } },
              },
            },
            B: { mode: 'strict', schema: { required: ['a'] } },
          },
        },
      },
    ])
  })

  it('names a schema that cannot be used by its source and place', async () => {
    const plan = '{events: {A: {versions: {2: {schema: schemas/a.json}}}, B: {schema: no.json}}}'
    const answer = await parse(plan, { a: { pattern: '(a+)+' } })
    const faults = answer.kind === 'refused' ? answer.faults : []
    assert.deepEqual(
      faults.map(({ file, path }) => `${file} ${path}`),
      ['no.json ', 'sources/web.yaml /trackingPlan/events/A/versions/2/schema'],
    )
  })

  it('takes the plan that the guide shows, which names each finding', async () => {
    const guide = readFileSync(
      new URL('../../docs/guide/event-quality.md', import.meta.url),
      'utf8',
    )
    const yaml = /```yaml\n(.*?)```/s.exec(guide)?.[1] ?? assert.fail('the guide has an example')
    const files = new Map([['sources/web.yaml', yaml]])
    for (const [file] of yaml.matchAll(/schemas\/[\w-]+\.json/g)) files.set(file, '{}')
    assert.equal(files.size, 4)
    const answer = await parseDefinitionFiles(files)
    assert.equal(answer.kind, 'document', JSON.stringify(answer))
    for (const kind of Object.keys(findingKinds)) assert.ok(guide.includes(`\`${kind}\``), kind)
  })
})
