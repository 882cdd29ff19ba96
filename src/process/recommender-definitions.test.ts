import { deepStrictEqual, equal } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { createMemoryBlobStore } from '../state/memory-blob-store.ts'
import { parseDefinitionFiles } from './definition-files.ts'
import { encodeDocument } from './definitions.ts'
import { createDefinitionsCache } from './definitions-cache.ts'

const campaign = `name: cart
trigger: {event: Product Added}
steps:
  - wait: 1h
  - send:
      template: mail
      topic: news
      recommendations: {count: 4, using: for-you}
      slots:
        reminder: {using: reminder, count: 2}
`
const files = {
  'campaigns/cart.yaml': campaign,
  'recommenders/for-you.yaml':
    'exclude: {categories: [Vouchers]}\nmaxPerBrand: 2\nweights: {1: {revisit: 2}}\n',
  'recommenders/reminder.yaml': 'kind: viewed-not-bought\n',
  'templates/mail/subject.liquid': 'Hello',
  'templates/mail/template.mjml':
    '<mjml><mj-body><mj-section><mj-column><mj-text>{{ slots.reminder[0].name }} ' +
    '<a href="{{ unsubscribe_url }}">x</a></mj-text></mj-column></mj-section></mj-body></mjml>',
}

async function parse(more: Readonly<Record<string, string>> = {}) {
  return await parseDefinitionFiles(new Map(Object.entries({ ...files, ...more })))
}

async function faultsOf(more: Readonly<Record<string, string>>): Promise<readonly string[]> {
  const answer = await parse(more)
  const faults = answer.kind === 'refused' ? answer.faults : []
  return faults.map(({ file, path }) => `${file} ${path}`)
}

describe('recommenders', () => {
  it('go with the message of the step that names them', async () => {
    const answer = await parse()
    deepStrictEqual(answer.kind === 'refused' ? answer.faults : [], [])
    if (answer.kind === 'refused') return
    const blobs = createMemoryBlobStore()
    const [hash = ''] = await blobs.put([encodeDocument(answer.document)])
    const cache = createDefinitionsCache(blobs)
    const origin = { definitionsHash: hash, campaign: 'cart', step: 1, template: 'mail' }
    const prepared = await cache.templateOf(origin)
    deepStrictEqual(prepared?.recommendationRules?.exclude, { categories: ['Vouchers'] })
    equal(prepared?.recommendationRules?.perBrandMax, 2)
    deepStrictEqual(prepared?.recommendationRules?.weights?.[0], { revisit: 1 })
    deepStrictEqual(
      prepared?.slots?.map(({ name, countMax, rules }) => [name, countMax, rules?.kind]),
      [['reminder', 2, 'viewed-not-bought']],
    )
  })

  it('are refused by file and path', async () => {
    deepStrictEqual(await faultsOf({ 'recommenders/for-you.yaml': 'kind: best\npin: x\n' }), [
      'recommenders/for-you.yaml kind',
      'recommenders/for-you.yaml pin',
    ])
    const weights = 'weights: {1: {revisit: .nan, magic: 1}, 5+: {trending: 0}}\n'
    deepStrictEqual(await faultsOf({ 'recommenders/for-you.yaml': weights }), [
      'recommenders/for-you.yaml weights.1.revisit',
      'recommenders/for-you.yaml weights.1.magic',
      'recommenders/for-you.yaml weights.5+',
    ])
    deepStrictEqual(await faultsOf({ 'recommenders/For You.yaml': '{}' }), [
      'recommenders/For You.yaml ',
    ])
    const path = 'steps[1].send'
    const unknown = campaign
      .replace('using: for-you', 'using: none')
      .replace('reminder, c', 'no, c')
    deepStrictEqual(await faultsOf({ 'campaigns/cart.yaml': unknown }), [
      `campaigns/cart.yaml ${path}.recommendations.using`,
      `campaigns/cart.yaml ${path}.slots.reminder.using`,
    ])
    const wrong = campaign.replace('reminder: {using: reminder, count: 2}', 'A-b: {count: 99}')
    deepStrictEqual(await faultsOf({ 'campaigns/cart.yaml': wrong }), [
      `campaigns/cart.yaml ${path}.slots.A-b`,
      `campaigns/cart.yaml ${path}.slots.A-b.using`,
      `campaigns/cart.yaml ${path}.slots.A-b.count`,
    ])
  })

  it('are taken as the guide shows them', async () => {
    const guide = readFileSync(
      new URL('../../docs/guide/recommendations.md', import.meta.url),
      'utf8',
    )
    const [rules = '', step = ''] = Array.from(
      guide.matchAll(/```yaml\n(.*?)```/gs),
      ([, text]) => {
        return text ?? ''
      },
    )
    const steps = step.replace(/^/gm, '  ').replace('cart-reminder', 'mail')
    const shown = `name: cart\ntrigger: {event: Product Added}\nsteps:\n${steps}`
    deepStrictEqual(
      await faultsOf({ 'recommenders/for-you.yaml': rules, 'campaigns/cart.yaml': shown }),
      [],
    )
    deepStrictEqual(await faultsOf({ 'recommenders/for-you.yaml': `${rules}colour: red\n` }), [
      'recommenders/for-you.yaml colour',
    ])
  })
})
